import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { hopgate, temporaryFolder } from "./support.js";

/** What bash itself offers behind the words, of which the last is being typed. */
async function offered(...words: readonly string[]): Promise<readonly string[]> {
  const { stdout } = await hopgate("completion", "bash");
  const folder = temporaryFolder();
  try {
    const script = folder.write("completion.bash", stdout);
    const line = ["hopgate", ...words].map((word) => `'${word}'`).join(" ");
    const ask = `source '${script}'; COMP_WORDS=(${line}); COMP_CWORD=${String(words.length)}; _hopgate; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const answer = execFileSync("bash", ["--norc", "-c", ask], { cwd: folder.path, encoding: "utf8" });
    return answer.split("\n").filter((word) => word !== "");
  } finally {
    folder.remove();
  }
}

describe("in bash, completion offers", () => {
  it("the commands", async () => {
    const { stdout } = await hopgate("--help");
    const [, list = ""] = stdout.split("\nCommands:\n");
    const commands = [...list.matchAll(/^ {2}(\S+)/gm)].map(([, name]) => name);
    expect(commands.length).toBeGreaterThan(5);
    expect(await offered("")).toEqual(expect.arrayContaining(commands));
    expect(await offered("che")).toEqual(["check"]);
  });

  it("the commands and the options of a command", async () => {
    expect(await offered("envoy", "")).toEqual(expect.arrayContaining(["which", "install"]));
    expect(await offered("envoy", "which", "--env")).toEqual(["--envoy-path"]);
    expect(await offered("render", "--ku")).toEqual(["--kustomize"]);
  });

  it("the values of an option, and of an argument", async () => {
    expect(await offered("render", "--api", "")).toEqual(["wasmplugin", "trafficextension"]);
    expect(await offered("render", "--rbac", "-o", "j")).toEqual(["json"]);
    expect(await offered("completion", "")).toEqual(expect.arrayContaining(["bash", "zsh", "fish"]));
  });

  it("files where an option takes any value", async () => {
    expect(await offered("render", "-c", "comp")).toEqual(["completion.bash"]);
  });
});

it.each(["zsh", "fish"])("in %s, completion names every command and every value", async (shell) => {
  const { code, stdout } = await hopgate("completion", shell);
  expect(code).toBe(0);
  for (const word of ["render", "completion", "install", "kustomize", "trafficextension"])
    expect(stdout).toContain(word);
});

it("completion of another shell is refused", async () => {
  expect((await hopgate("completion", "tcsh")).code).toBe(2);
});
