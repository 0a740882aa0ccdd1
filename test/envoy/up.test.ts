import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { exampleConfigPath } from "../../shim/package-root.js";
import { eventually } from "../support/local-mesh.js";
import { realEnvoy } from "../support/real-envoy.js";

/** The built command, run as a user would. */
const MAIN = join(exampleConfigPath(), "../../../build/shim/main.js");

const envoyPath = (await realEnvoy()) ?? "";

const hasCurl = spawnSync("curl", ["--version"]).status === 0;
if (!hasCurl) process.stderr.write("skipped: there is no curl to try the printed requests with\n");

let dir: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "hopgate-up-test-"));
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(dir, { recursive: true, force: true });
});

/** Starts hopgate with a temporary folder of its own, so that what it leaves can be seen. */
function start(...args: string[]): ChildProcess {
  const env = { ...process.env, ENVOY_PATH: envoyPath, TMPDIR: dir, NO_COLOR: "1" };
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: dir, env, stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  return child;
}

async function finished(child: ChildProcess): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { stdout, stderr } = child;
  if (stdout === null || stderr === null) throw new Error("no output");
  const exit = once(child, "exit") as Promise<[number | null]>;
  const [out, err, [code]] = await Promise.all([text(stdout), text(stderr), exit]);
  return { code, stdout: out, stderr: err };
}

/** Waits for a line on stdout that says so. */
async function says(child: ChildProcess, words: string): Promise<string> {
  let seen = "";
  child.stdout?.on("data", (chunk: Buffer) => (seen += chunk.toString()));
  return eventually(() => (seen.includes(words) ? seen : undefined));
}

/** Processes whose command line mentions our temporary folder. */
function processes(): readonly number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      return readFileSync(`/proc/${name}/cmdline`, "utf8").includes(dir) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}

async function nothingIsLeft(): Promise<void> {
  await eventually(() => (processes().length === 0 ? true : undefined));
  await eventually(() =>
    readdirSync(dir).filter((name) => name.startsWith("hopgate-")).length === 0 ? true : undefined,
  );
}

describe.skipIf(envoyPath === "" || !existsSync("/proc"))("hopgate up", { timeout: 90_000 }, () => {
  it("shows an in-cluster, a streaming and two Cloud Run requests, who is let in, and ends with 0", async () => {
    const { code, stdout, stderr } = await finished(start("up", "--once"));
    expect(stderr).toBe("");
    expect(stdout).toContain("kb.ai-platform.example.internal       kb        the gateway          the gateway");
    expect(stdout).toMatch(
      /callers of reports\S+\n +orchestrator@\S+ +200\n +without a token +401 token_missing, from agents\n +stranger@\S+ +403 caller_not_allowed, from agents\n/,
    );
    expect(stdout).not.toContain("eyJ");
    for (const title of [
      "a chat completion in the cluster",
      "the same, streamed token by token",
      "a vector search in the cluster",
      "an agent on Cloud Run, ID token added by the gateway",
      "an agent on Cloud Run, ID token added by the waypoint agents",
      "first token",
      "All 9 demonstrations succeeded.",
    ]) {
      expect(stdout).toContain(title);
    }
    expect(stdout).toMatch(/requests +100 +100/);
    expect(code).toBe(0);
    await nothingIsLeft();
  });

  it("gives the same as data with -o json, and nothing else on stdout", async () => {
    const { code, stdout } = await finished(start("up", "--once", "-o", "json"));
    const report = JSON.parse(stdout) as {
      ok: boolean;
      demonstrations: {
        status: number;
        ok: boolean;
        backend: string;
        caller: string | null;
        error_code: string | null;
        trace: { hops: { name: string; self_us: number }[] };
      }[];
      comparison: { path: string; count: number }[];
    };
    expect(code).toBe(0);
    expect(report.ok).toBe(true);
    const allowed = "orchestrator@my-project.iam.gserviceaccount.com";
    const stranger = "stranger@local-mesh.iam.gserviceaccount.com";
    expect(
      report.demonstrations.map(({ backend, caller, status, error_code }) => [backend, caller, status, error_code]),
    ).toEqual([
      ["llm", null, 200, null],
      ["llm", null, 200, null],
      ["vectordb", null, 200, null],
      ["kb", allowed, 200, null],
      ["kb", null, 401, "token_missing"],
      ["kb", stranger, 403, "caller_not_allowed"],
      ["reports", allowed, 200, null],
      ["reports", null, 401, "token_missing"],
      ["reports", stranger, 403, "caller_not_allowed"],
    ]);
    expect(report.demonstrations.at(-1)?.trace.hops.map(({ name }) => name)).toEqual(["ingress", "agents"]);
    expect(stdout).not.toContain("eyJ");
    expect(report.comparison.map(({ path, count }) => [path, count])).toEqual([
      ["in-cluster", 100],
      ["Cloud Run", 100],
    ]);
  });

  it("lets the chat service take its time", async () => {
    const { code, stdout } = await finished(
      start("up", "--once", "-o", "json", "--first-token-ms", "400", "--token-gap-ms", "1"),
    );
    const { demonstrations } = JSON.parse(stdout) as { demonstrations: { trace: { ttft_us?: number } }[] };
    const [firstToken] = demonstrations.flatMap(({ trace }) => trace.ttft_us ?? []);
    expect(firstToken).toBeGreaterThanOrEqual(400_000);
    expect(code).toBe(0);
  });

  it("puts a real service in the place of a backend", async () => {
    const service = createServer((socket) => {
      socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi"));
    }).listen(0, "127.0.0.1");
    await once(service, "listening");
    const address = service.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const { code, stdout } = await finished(
      start("up", "--once", "--backend", `vectordb=http://127.0.0.1:${String(port)}`),
    );
    service.close();
    expect(stdout).toContain("a vector search in the cluster");
    expect(code).toBe(0);
  });

  it.each([["SIGINT"], ["SIGTERM"]] as const)("stays up until %s, and leaves nothing", async (signal) => {
    const child = start("up");
    const output = await says(child, "Ctrl-C ends it");
    expect(output).toMatch(/curl -i --cacert \S+ --resolve kb\.ai-platform\.example\.internal:\d+:127\.0\.0\.1/);
    expect(processes().length).toBeGreaterThanOrEqual(2);
    child.kill(signal);
    const [code] = (await once(child, "exit")) as [number];
    expect(code).toBe(0);
    await nothingIsLeft();
  });

  it.skipIf(!hasCurl)("prints requests that work as they are printed, and no token (needs curl)", async () => {
    const child = start("up");
    const output = await says(child, "Ctrl-C ends it");
    expect(output).not.toContain("eyJ");
    const lines = [...output.matchAll(/^ {2}(curl|hopgate) (.*)$/gm)];
    expect(lines.map(([, program]) => program)).toEqual(["curl", "curl", "curl", "curl", "hopgate"]);
    for (const [, program, words = ""] of lines) {
      const command = program === "curl" ? "curl -sS" : `${process.execPath} ${MAIN}`;
      const { code, stdout, stderr } = await finished(
        spawn("sh", ["-c", `${command} ${words}`], { cwd: dir, env: { ...process.env, NO_COLOR: "1" } }),
      );
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toMatch(/(^HTTP\/2|healthz) 200/m);
    }
    child.kill("SIGINT");
    await once(child, "exit");
    await nothingIsLeft();
  });

  it("takes a change of its file, and refuses a bad one with its place", async () => {
    const example = readFileSync(exampleConfigPath(), "utf8");
    const file = join(dir, "hopgate.yaml");
    writeFileSync(file, example);
    const child = start("up");
    let errors = "";
    child.stderr?.on("data", (chunk: Buffer) => (errors += chunk.toString()));
    await says(child, "Ctrl-C ends it");
    writeFileSync(file, example.replace("to: vectordb }", "to: llm }"));
    await eventually(() => (errors.includes("hopgate.yaml: the change is live.") ? true : undefined));
    writeFileSync(file, example.replace("to: vectordb }", "to: nobody }"));
    await eventually(() => (errors.includes("hopgate.yaml: refused; what ran before serves on.") ? true : undefined));
    expect(errors).toMatch(/hopgate\.yaml:\d+:\d+: routes\[1\]\.to: /);
    child.kill("SIGINT");
    const [code] = (await once(child, "exit")) as [number];
    expect(code).toBe(0);
  });

  it("leaves nothing when it is interrupted while it starts", async () => {
    const child = start("up", "--once");
    await eventually(() => (processes().length > 0 ? true : undefined));
    child.kill("SIGINT");
    const { code } = await finished(child);
    expect(code).toBe(130);
    await nothingIsLeft();
  });

  it("leaves nothing when it is killed", async () => {
    const child = start("up");
    await says(child, "Ctrl-C ends it");
    expect(processes().length).toBeGreaterThanOrEqual(2);
    child.kill("SIGKILL");
    await nothingIsLeft();
  });

  it("fails, and says which, when an Envoy dies", async () => {
    const child = start("up");
    const result = finished(child);
    await says(child, "Ctrl-C ends it");
    const waypoint = processes().find((pid) =>
      readFileSync(`/proc/${String(pid)}/cmdline`, "utf8").includes("/agents/envoy.json"),
    );
    process.kill(waypoint ?? 0, "SIGKILL");
    const { code, stderr } = await result;
    expect(stderr).toMatch(/agents: Envoy .*SIGKILL/);
    expect(code).toBe(1);
    await nothingIsLeft();
  });

  it("fails, and says which port, when a port is taken", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const address = other.address();
    const port = typeof address === "object" && address !== null ? String(address.port) : "";
    const { code, stderr } = await finished(start("up", "--once", "--port", port));
    other.close();
    expect(stderr).toContain(`port ${port} is taken`);
    expect(code).toBe(1);
    await nothingIsLeft();
  });

  it("runs ./hopgate.yaml where there is one, and names file, line and column of what is wrong", async () => {
    const example = readFileSync(exampleConfigPath(), "utf8");
    writeFileSync(join(dir, "hopgate.yaml"), example.replace("to: llm }", "to: lmm }"));
    const { code, stderr } = await finished(start("up", "--once"));
    expect(stderr).toMatch(/^hopgate\.yaml:\d+:\d+: routes\[0\]\.to: /);
    expect(stderr).toContain("llm");
    expect(code).toBe(2);
    await nothingIsLeft();
  });

  it("shows routes that are split, and a mesh around that adds the tokens itself", async () => {
    const example = readFileSync(exampleConfigPath(), "utf8");
    const split = example.replace("to: llm }", "split: { llm: 60, vectordb: 40 } }");
    writeFileSync(join(dir, "hopgate.yaml"), `${split}\nidentity: { mode: off }\n`);
    const { code, stdout } = await finished(start("up", "--once"));
    expect(stdout).toContain("a route that is split");
    expect(stdout).toContain("backend llm 60 %, vectordb 40 %");
    expect(stdout).toContain("All 8 demonstrations succeeded.");
    expect(code).toBe(0);
  });

  it("names the service that --backend put in a stand-in's place, where it does not answer", async () => {
    const { code, stdout } = await finished(start("up", "--once", "--backend", "llm=http://127.0.0.1:1"));
    expect(stdout).toMatch(/FAILED: answered 503: .*--backend has it at http:\/\/127\.0\.0\.1:1/);
    expect(code).toBe(1);
  });

  it("ends when nobody reads its output any more, and leaves nothing", async () => {
    const child = start("up", "--once");
    child.stdout?.destroy();
    const [code] = (await once(child, "exit")) as [number];
    expect(code).toBe(141);
    await nothingIsLeft();
  });

  it.each([
    [["up", "--config", "missing.yaml"], "missing.yaml:1:1: there is no such file"],
    [["up", "--backend", "nobody=http://127.0.0.1:1"], "there is no such backend"],
    [["up", "--backend", "llm"], "Write NAME=URL"],
    [["up", "--backend", "llm=ftp://127.0.0.1"], "must begin with http:// or https://"],
    [["up", "--first-token-ms", "-1"], "whole number of milliseconds"],
    [["up", "--port", "70000"], "A port is a number from 0 to 65535"],
    [["up", "-o", "xml"], "Allowed choices are text, json"],
    [["up", "--envoy-path", "/nonexistent/envoy"], "/nonexistent/envoy"],
    [["upp"], "unknown command"],
  ])("refuses bad input with 2: %j", async (args, message) => {
    const { code, stdout, stderr } = await finished(start(...args));
    expect(stderr).toContain(message);
    expect(stdout).toBe("");
    expect(code).toBe(2);
    await nothingIsLeft();
  });
});
