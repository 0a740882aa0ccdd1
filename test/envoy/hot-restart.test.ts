import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { adminAt } from "../../shim/envoy/admin.js";
import { type Keeper, openKeeper, type RunningProgram } from "../../shim/envoy/keeper.js";
import { listen, type LocalServer } from "../../shim/local/server.js";
import type { PluginConfig } from "../../shim/render/plugin-config.js";
import { audienceOf, startService } from "../support/echo.js";
import { idToken } from "../support/filter.js";
import { eventually } from "../support/local-mesh.js";
import { RawConnection, rawRequest } from "../support/raw-http.js";
import { realEnvoy } from "../support/real-envoy.js";
import { writeStandalone } from "./standalone.js";

const envoyPath = (await realEnvoy()) ?? "";
const isLinux = process.platform === "linux";

const AUDIENCE = "https://kb-abc123-uc.a.run.app";
/** Names the shared memory and the sockets by which the two processes find each other. */
const BASE_ID = String(process.pid % 30_000);

let keeper: Keeper;
let service: LocalServer;
let metadata: LocalServer;
/** Fetches that the metadata server has not answered yet. */
const asked: (() => void)[] = [];

async function freePort(): Promise<number> {
  const server = await listen(createServer(), "http");
  await server.close();
  return server.port;
}

async function runEpoch(epoch: number, dir: string): Promise<RunningProgram> {
  const addressPath = join(dir, `admin-${epoch}`);
  const args = [
    ["--config-path", join(dir, "envoy.json"), "--admin-address-path", addressPath],
    ["--base-id", BASE_ID, "--restart-epoch", String(epoch)],
    ["--drain-time-s", "2", "--parent-shutdown-time-s", "8", "--drain-strategy", "immediate"],
    ["--concurrency", "2", "--log-level", "warning"],
  ].flat();
  const program = await keeper.run({
    file: envoyPath,
    args,
    cwd: dir,
    logPath: join(keeper.workDir, `envoy-${epoch}.log`),
  });
  await eventually(async () => {
    const address = await readFile(addressPath, "utf8").catch(() => "");
    if (address === "") return undefined;
    return (await adminAt(address.trim()).ready()) ? true : undefined;
  });
  return program;
}

/** What a request on a connection of its own gets. */
async function ask(port: number): Promise<string> {
  const { status, body } = await rawRequest(port, "GET / HTTP/1.1\r\nHost: kb.internal\r\n\r\n");
  return `${status} ${body.toString()}`;
}

describe.skipIf(envoyPath === "" || !isLinux)("a hot restart", { timeout: 120_000 }, () => {
  beforeAll(async () => {
    service = await startService((request, response) => response.end(audienceOf(request.headers.authorization)));
    metadata = await startService((_, response) => {
      asked.push(() => {
        const token = idToken({ aud: AUDIENCE, exp: Math.floor(Date.now() / 1000) + 3600 });
        response.writeHead(200, { "metadata-flavor": "Google" }).end(token);
      });
    });
    keeper = await openKeeper();
  });

  afterEach(() => keeper.close());

  afterAll(() => Promise.all([service.close(), metadata.close()]));

  it("serves what waited for its token in the old process, and everything new in the new one", async () => {
    const port = await freePort();
    const config: PluginConfig = {
      hop: "ingress",
      edge: true,
      routes: [{ hosts: ["kb.internal"], to: [{ backend: "kb", weight: 100 }], open: "a test" }],
      backends: { kb: { token: { audience: AUDIENCE } } },
      identity: { timeoutMs: 60_000 },
    };
    const dir = await writeStandalone({ config, services: { kb: service } }, keeper.workDir, metadata.port, port);
    const first = await runEpoch(0, dir);
    const waiting = await Promise.all(Array.from({ length: 10 }, () => RawConnection.open(port)));
    for (const connection of waiting) connection.write("GET / HTTP/1.1\r\nHost: kb.internal\r\n\r\n");
    await eventually(() => (asked.length === 1 ? true : undefined));

    await runEpoch(1, dir);
    // The new process shares nothing with the old one, and asks for a token of its own.
    await eventually(() => (asked.length === 2 ? true : undefined));
    for (const answer of asked) answer();
    const answers = await Promise.all(waiting.map((connection) => connection.response()));
    expect(answers.map(({ status, body }) => `${status} ${body.toString()}`)).toEqual(
      waiting.map(() => `200 ${AUDIENCE}`),
    );
    for (let i = 0; i < 50; i++) expect(await ask(port)).toBe(`200 ${AUDIENCE}`);
    await first.ended;
    for (let i = 0; i < 50; i++) expect(await ask(port)).toBe(`200 ${AUDIENCE}`);
    expect(asked).toHaveLength(2);
    for (const connection of waiting) connection.close();
  });
});
