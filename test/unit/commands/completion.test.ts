import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { hopgate, temporaryFolder } from "./support.js";

/** What a shell prints of the script in `$SCRIPT`, in a folder where that is all there is, and a kubectl that has two contexts. */
async function asked(
  shell: string,
  options: readonly string[],
  question: string,
  contexts = ["staging", "prod"],
): Promise<readonly string[]> {
  const { stdout } = await hopgate("completion", shell);
  const folder = temporaryFolder();
  try {
    const script = folder.write("completion.script", stdout);
    chmodSync(folder.write("kubectl", `#!/bin/sh\nprintf '%s\\n' ${list(contexts)}\n`), 0o755);
    const env = {
      ...process.env,
      SCRIPT: script,
      HOME: folder.path,
      PATH: `${folder.path}:${process.env["PATH"] ?? ""}`,
    };
    const answer = execFileSync(shell, [...options, "-c", question], { cwd: folder.path, encoding: "utf8", env });
    return answer.split("\n").filter((word) => word !== "");
  } finally {
    folder.remove();
  }
}

/** What a shell itself offers behind the words, of which the last is being typed. */
const SHELLS = {
  bash: (words: readonly string[], contexts?: string[]) =>
    asked(
      "bash",
      ["--norc"],
      `source "$SCRIPT"; COMP_WORDS=(hopgate ${list(words)}); COMP_CWORD=${String(words.length)}; _hopgate; printf '%s\\n' "\${COMPREPLY[@]}"`,
      contexts,
    ),
  zsh: async (words: readonly string[], contexts?: string[]) => {
    // Which of them begin as what is typed, zsh sees to itself.
    const all = await asked(
      "zsh",
      ["-f"],
      `compdef() {}; compadd() { shift; print -rl -- "$@" }; _files() { print -rl -- * }; source "$SCRIPT"; words=(hopgate ${list(words)}); CURRENT=${String(words.length + 1)}; _hopgate`,
      contexts,
    );
    return all.filter((word) => word.startsWith(words.at(-1) ?? ""));
  },
  fish: async (words: readonly string[], contexts?: string[]) => {
    const question = `source "$SCRIPT"; complete -C "hopgate ${words.join(" ")}"`;
    const lines = await asked("fish", ["--no-config"], question, contexts);
    return lines.map((line) => line.split("\t", 1)[0] ?? "");
  },
} as const;

function list(words: readonly string[]): string {
  return words.map((word) => `'${word}'`).join(" ");
}

function isThere(shell: string): boolean {
  return spawnSync(shell, ["--version"]).status === 0;
}

describe.each(["bash", "zsh", "fish"] as const)(
  "in %s (skipped where it is not on PATH), completion offers",
  (shell) => {
    const offered = async (...words: readonly string[]): Promise<readonly string[]> =>
      [...(await SHELLS[shell](words))].sort();
    const test = it.skipIf(!isThere(shell));

    test("the commands", async () => {
      const { stdout } = await hopgate("--help");
      const [, text = ""] = stdout.split("\nCommands:\n");
      const commands = [...text.matchAll(/^ {2}(\S+)/gm)].map(([, name]) => name);
      expect(commands.length).toBeGreaterThan(5);
      expect(await offered("")).toEqual(expect.arrayContaining(commands));
      expect(await offered("che")).toEqual(["check"]);
    });

    test("the commands and the options of a command", async () => {
      expect(await offered("envoy", "")).toEqual(expect.arrayContaining(["which", "install"]));
      expect(await offered("envoy", "which", "--env")).toEqual(["--envoy-path"]);
      expect(await offered("render", "--ku")).toEqual(["--kustomize"]);
    });

    test("the values of an option, and of an argument", async () => {
      expect(await offered("render", "--api", "")).toEqual(["trafficextension", "wasmplugin"]);
      expect(await offered("render", "--rbac", "-o", "j")).toEqual(["json"]);
      expect(await offered("completion", "")).toEqual(expect.arrayContaining(["bash", "zsh", "fish"]));
    });

    test("the contexts that kubectl knows", async () => {
      expect(await offered("deploy", "--context", "")).toEqual(["prod", "staging"]);
    });

    test("contexts whose names are commands as they are, and runs none", async () => {
      const names = ["$(touch${IFS}ran)", "`touch${IFS}ran`", "a;b"];
      const words = await SHELLS[shell](["deploy", "--context", ""], names);
      expect([...words].sort()).toEqual(names.sort());
      // What would have been made is in the folder, which is what is offered for files.
      expect(await offered("render", "-c", "ra")).toEqual([]);
    });

    test("files where an option takes any value", async () => {
      expect(await offered("render", "-c", "comp")).toEqual(["completion.script"]);
    });
  },
);

it("completion of another shell is refused", async () => {
  expect((await hopgate("completion", "tcsh")).code).toBe(2);
});
