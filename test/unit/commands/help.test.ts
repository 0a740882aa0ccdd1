import { describe, expect, it } from "vitest";
import { COMMANDS } from "../../../shim/reference/reference.js";
import { hopgate } from "./support.js";

describe.each(COMMANDS.filter((command) => !command.startsWith("envoy ")))("the help of %s", (command) => {
  it("has examples, of options that exist", async () => {
    const { code, stdout } = await hopgate(command, "--help");
    expect(code).toBe(0);
    const [options = "", examples = ""] = stdout.split("\nExamples:\n");
    expect(examples).toContain(`$ hopgate ${command} `);
    const lines = examples
      .replaceAll("\\\n", "")
      .split("\n")
      .filter((line) => line.includes(`$ hopgate ${command}`));
    const used = lines.flatMap((line) => line.replace(/\|.*/, "").match(/(?<= )--?[a-zA-Z][a-z-]*/g) ?? []);
    for (const option of used) expect(options).toMatch(new RegExp(`(^|[ ,])${option}[ ,]`, "m"));
  });
});
