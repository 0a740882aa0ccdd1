import { describe, expect, it } from "vitest";

import { explainEnd, explainRefusal, withLog } from "../../../shim/envoy/log.js";

const CODE_1 = { code: 1, signal: null, because: "ended" } as const;
const CRASH = { code: null, signal: "SIGSEGV", because: "ended" } as const;

function entry(level: string, component: string, message: string): string {
  return `[2026-01-31 12:00:00.001][4711][${level}][${component}] [source/some/file.cc:12] ${message}\n`;
}

const refused = (reason: string): string =>
  entry("critical", "main", `error \`${reason}\` initializing config 'goo.gle/debugonly\n  envoy.json'`) +
  `${reason}\n`;

describe("explainEnd", () => {
  it("names the port that is taken and the flag for another", () => {
    const failure = explainEnd("ingress", CODE_1, refused("cannot bind '127.0.0.1:8443': Address already in use"));
    expect(failure.message).toBe("ingress: port 8443 is taken (127.0.0.1)");
    expect(failure.fix).toContain("--port");
  });

  it("names the port that needs more rights", () => {
    const failure = explainEnd("ingress", CODE_1, refused("cannot bind '[::1]:443': Permission denied"));
    expect(failure.message).toBe("ingress: no permission to listen on port 443 ([::1])");
    expect(failure.fix).toContain("1024");
  });

  it("gives any other reason of a socket in the system's words", () => {
    const log = refused("cannot bind '10.9.8.7:80': Cannot assign requested address");
    expect(explainEnd("ingress", CODE_1, log).message).toBe(
      "ingress: cannot listen on 10.9.8.7:80: Cannot assign requested address",
    );
  });

  it("gives Envoy's reason for refusing its configuration on one line, and what led to it", () => {
    const log =
      entry("info", "main", "initializing") +
      entry("warning", "wasm", "wasm log ingress: /routes/0/hosts: must not be empty") +
      entry("critical", "wasm", "Plugin configured to fail closed failed to load") +
      refused("Unable to create\n  Wasm plugin");
    expect(explainEnd("ingress", CODE_1, log).message).toBe(
      [
        "ingress: Envoy refused its configuration: Unable to create Wasm plugin",
        "  warning: wasm log ingress: /routes/0/hosts: must not be empty",
        "  critical: Plugin configured to fail closed failed to load",
      ].join("\n"),
    );
  });

  it("keeps head and tail of a long reason", () => {
    const { message } = explainEnd("ingress", CODE_1, refused(`no such field${" x".repeat(9000)} is required`));
    expect(message.length).toBeLessThan(600);
    expect(message).toMatch(/: no such field .* \.\.\. .*is required$/);
  });

  it("tells the signal of a crash and its error, not the backtrace nor earlier warnings", () => {
    const log =
      entry("warning", "config", "a deprecated field") +
      entry("critical", "backtrace", "Caught Segmentation fault, suspect faulting address 0x0") +
      entry("critical", "assert", "assert failure: false");
    expect(explainEnd("agents", CRASH, log).message).toBe(
      "agents: Envoy was ended by SIGSEGV\n  critical: assert failure: false",
    );
  });

  it("does not blame a configuration that was refused earlier for a crash", () => {
    expect(explainEnd("agents", CRASH, refused("x")).message).toContain("agents: Envoy was ended by SIGSEGV");
  });

  it("tells plain words where Envoy never got to log", () => {
    const { message } = explainEnd("agents", { ...CODE_1, code: 127 }, "libfoo.so: cannot open shared object file\n");
    expect(message).toBe("agents: Envoy ended with code 127\n  stderr: libfoo.so: cannot open shared object file");
  });

  it("does not blame Envoy where its keeper was killed", () => {
    const { message } = explainEnd("agents", { code: null, signal: "SIGKILL", because: "keeperLost" }, "");
    expect(message).toContain("the process that watches over it was killed");
  });
});

describe("explainRefusal", () => {
  it("reads what Envoy has against a file of a discovery service", () => {
    const log =
      entry("warning", "config", "Filesystem config update rejected: Error adding listener(s) a: no such filter\n") +
      entry("warning", "main", "caught ENVOY_SIGTERM");
    expect(explainRefusal("ingress", log)?.message).toBe(
      "ingress: Envoy refused its configuration: Error adding listener(s) a: no such filter",
    );
  });

  it("finds nothing in a log of other things", () => {
    expect(explainRefusal("ingress", entry("error", "main", "something else"))).toBeUndefined();
  });
});

describe("withLog", () => {
  it("tells the last five different errors", () => {
    const log = [1, 2, 3, 4, 5, 6, 6].map((number) => entry("error", "main", `error ${number}`)).join("");
    expect(withLog("late", log).split("\n  ")).toEqual(["late", ...[2, 3, 4, 5, 6].map((n) => `error: error ${n}`)]);
  });

  it("adds nothing where the log is empty", () => {
    expect(withLog("late", "")).toBe("late");
  });
});
