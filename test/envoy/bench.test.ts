import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { PARTS } from "../../bench/bench.js";
import type { Report } from "../../bench/report.js";
import { lookUp } from "../../shim/envoy/locate.js";
import { packagePath } from "../../shim/package-root.js";
import { run } from "../../shim/run.js";
import { realEnvoy } from "../support/real-envoy.js";

const envoyPath = (await realEnvoy()) ?? "";
const valgrind = await lookUp("valgrind", process.env["PATH"] ?? "");
const EMPTY = packagePath("build", "bench", "empty.wasm");
/** The least that can be measured: these tests are about the benchmark, not about its figures. */
const SHORT = ["--rounds", "3", "--seconds", "0.05", "--requests", "1000", "--generator", "node"];

let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "hopgate-bench-test-"));
});

afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const hopgateBench = (...args: readonly string[]): Promise<Ran> => hopgateBenchWith({}, ...args);

async function hopgateBenchWith(env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Ran> {
  let [stdout, stderr] = ["", ""];
  const io = {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
    env: { ...process.env, ENVOY_PATH: envoyPath, ...env },
  };
  const code = await run(["bench", ...SHORT, ...args], io, new AbortController().signal);
  return { code, stdout, stderr };
}

async function report(...args: readonly string[]): Promise<Report> {
  const { stdout, stderr } = await hopgateBench(...args, "-o", "json");
  if (stdout === "") throw new Error(stderr);
  return JSON.parse(stdout) as Report;
}

describe.skipIf(envoyPath === "" || process.platform !== "linux")("hopgate bench", { timeout: 240_000 }, () => {
  it("refuses the name of a variant that there is none of, and says which there are", async () => {
    const { code, stdout, stderr } = await hopgateBench("--variants", "hopgate-rout,none");
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(/--variants: there is no hopgate-rout[^]*write some of none[^]*hopgate-route,/);
  });

  it("measures every part", async () => {
    const variants = "hopgate-route,hopgate-inject,hopgate-inject-1000,gcp-authn";
    const parts = PARTS.filter((part) => part !== "instructions").join(",");
    const { cpu, latency, memory, reload, burst, generator } = await report("--only", parts, "--variants", variants);
    expect(cpu.map(({ workload }) => workload)).toEqual(PARTS.slice(0, 6));
    for (const { variants: results } of cpu) {
      expect(results.map(({ variant }) => variant)).toEqual(expect.arrayContaining(["none", "hopgate-inject"]));
      for (const { cpu_us, requests } of results) {
        expect(cpu_us.median).toBeGreaterThan(0);
        expect(requests).toBeGreaterThan(0);
      }
    }
    expect(latency?.variants.every(({ latency_us }) => latency_us.p50.median > 0)).toBe(true);
    expect(generator).toBe("node");
    const inject = memory.find(({ variant }) => variant === "hopgate-inject");
    expect(inject?.vm_end_bytes).toBeGreaterThanOrEqual(65_536);
    expect((inject?.vm_end_bytes ?? NaN) % 65_536).toBe(0);
    expect(memory.find(({ variant }) => variant === "none")?.vm_end_bytes).toBeNull();
    expect(reload.map(({ failed }) => failed)).toEqual(reload.map(() => 0));
    expect(burst.map(({ variant, answered }) => [variant, answered])).toEqual([
      ["hopgate-inject", 200],
      ["gcp-authn", 200],
    ]);
    expect(burst[0]?.token_fetches.median).toBe(1);
  });

  it.skipIf(valgrind === undefined)("counts instructions, the same each time (needs Valgrind)", async () => {
    const counted = async (variants: string): Promise<Report["instructions"]> =>
      (await report("--only", "instructions", "--variants", variants)).instructions;
    const [first, second] = [await counted("empty,hopgate-route"), await counted("hopgate-route")];
    expect(first?.variants.map(({ variant }) => variant)).toEqual(["empty", "hopgate-route"]);
    const [empty, route] = first?.variants.map(({ added_instructions }) => added_instructions) ?? [];
    expect(empty).toBeGreaterThan(1000);
    expect(route).toBeGreaterThan(4 * (empty ?? NaN));
    const compiled = first?.variants.map(({ compiled_instructions }) => compiled_instructions) ?? [];
    expect(compiled[0]).toBeGreaterThan(30);
    expect(compiled[1]).toBeGreaterThan(compiled[0] ?? NaN);
    expect(compiled[1]).toBeLessThan((route ?? NaN) / 2);
    const again = second?.variants[0]?.added_instructions ?? NaN;
    expect(Math.abs(again / (route ?? NaN) - 1)).toBeLessThan(0.05);
  });

  it("says where there is no Valgrind that instructions are not counted", async () => {
    const { stdout } = await hopgateBenchWith({ PATH: "" }, "--only", "instructions", "--variants", "empty");
    expect(stdout).toMatch(/^Not measured: instructions: there is no Valgrind on PATH$/m);
  });

  it("compares checked callers with jwt_authn, each over requests with a token", async () => {
    const { cpu } = await report(
      "--only",
      "http1",
      "--variants",
      "hopgate-route,hopgate-validate-seen,hopgate-validate-new,jwt-authn,jwt-authn-cache",
    );
    expect(cpu[0]?.variants.map(({ variant }) => variant)).toEqual([
      "none",
      "none-token",
      "hopgate-route",
      "hopgate-validate-seen",
      "hopgate-validate-new",
      "jwt-authn",
      "jwt-authn-cache",
    ]);
    expect(cpu[0]?.ratios.map(({ to }) => to)).toEqual(["jwt-authn-cache"]);
  });

  it("measures a filter of the user's own, writes a page, and exits with 1 where a limit is exceeded", async () => {
    const limits = join(dir, "limits.json");
    writeFileSync(limits, '{ "schema_version": 1, "limits": { "cpu/http1/none/cpu_us": 0.1 } }');
    const html = join(dir, "report.html");
    // As a user would write it.
    const wasm = relative(process.cwd(), EMPTY);
    const args = ["--only", "http1", "--variants", "peer", "--wasm", wasm, "--html", html, "--baseline", limits];
    const { code, stdout, stderr } = await hopgateBench(...args);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^over the baseline: cpu\/http1\/none\/cpu_us is \S+, more than 0\.1$/m);
    expect(stdout).toMatch(/^your filter +\d/m);
    expect(readFileSync(html, "utf8")).toContain("your filter");
  });

  it("measures each call of the host", async () => {
    const { host_calls } = await report("--host-calls");
    const costOf = (name: string): number => host_calls.find(({ call }) => call === name)?.cost_us.median ?? NaN;
    expect(host_calls.length).toBeGreaterThan(10);
    // How much, a busy machine cannot say.
    expect(costOf("verify_signature")).toSatisfy(Number.isFinite);
  });

  it.each([
    [["--only", "http3"], "there is nothing called http3"],
    [["--plugin-config", "a.json"], "--plugin-config is for a filter"],
    [["--wasm", "no-such.wasm"], "no-such.wasm does not exist"],
    [["--baseline", "no-such.json"], "--baseline no-such.json"],
    [["--html", "no-such-folder/report.html"], "--html no-such-folder/report.html: there is no such folder"],
  ])("says what is wrong with %j before it measures anything", async (args, message) => {
    const { code, stderr } = await hopgateBench(...args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});
