import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import type { LocalServer } from "../../shim/local/server.js";
import type { PluginConfig } from "../../shim/render/plugin-config.js";
import { guestPath } from "../support/compile-guest.js";
import { audienceOf, startService } from "../support/echo.js";
import { eventually } from "../support/local-mesh.js";
import { RawConnection, rawRequest } from "../support/raw-http.js";
import { realEnvoy } from "../support/real-envoy.js";
import { type Standalone, startStandalone, type StandaloneOptions } from "./standalone.js";

const envoyPath = (await realEnvoy()) ?? "";

const AUDIENCE = "https://kb-abc123-uc.a.run.app";
const CONFIG: PluginConfig = {
  hop: "ingress",
  edge: true,
  routes: [{ hosts: ["kb.internal"], to: [{ backend: "kb", weight: 100 }], open: "a test" }],
  backends: { kb: { token: { audience: AUDIENCE } } },
  identity: { timeoutMs: 4000 },
};

let service: LocalServer;
let wasmPath: string;
let hop: Standalone | undefined;

async function start(options: Partial<StandaloneOptions>): Promise<Standalone> {
  return (hop = await startStandalone({ envoyPath, wasmPath, config: CONFIG, services: { kb: service }, ...options }));
}

/** What a request on a connection of its own gets: the audience of the token that the service saw, or the status. */
async function ask(lines = ""): Promise<string> {
  const { status, body } = await rawRequest(hop?.port ?? 0, `GET / HTTP/1.1\r\nHost: kb.internal\r\n${lines}\r\n`);
  return status === 200 ? body.toString() : String(status);
}

/** A build of the filter that traps on demand stands in for a defect that we do not know of. */
describe.skipIf(envoyPath === "")("after a trap, under FAIL_RELOAD,", { timeout: 60_000 }, () => {
  beforeAll(async () => {
    wasmPath = await guestPath("trapping");
    service = await startService((request, response) =>
      response.end(audienceOf(request.headers.authorization) ?? "no token"),
    );
  });

  afterEach(async () => {
    await hop?.close();
    hop = undefined;
  });

  afterAll(() => service.close());

  it("the next request is served by a new VM, which takes over the token that the others share", async () => {
    const { metadata } = await start({ concurrency: 1 });
    expect(await ask()).toBe(AUDIENCE);
    expect(await ask("X-Trap: 1\r\n")).toBe("503");
    // Envoy reloads at most once a second.
    await eventually(async () => ((await ask()) === AUDIENCE ? true : undefined));
    for (let i = 0; i < 20; i++) expect(await ask()).toBe(AUDIENCE);
    expect(metadata.requests).toHaveLength(1);
  });

  it("again and again, requests are refused or served with a token, and never without", async () => {
    await start({ concurrency: 2 });
    const answers = new Map<string, number>();
    for (let i = 0; i < 300; i++) {
      const answer = await ask(i % 10 === 0 ? "X-Trap: 1\r\n" : "");
      answers.set(answer, (answers.get(answer) ?? 0) + 1);
    }
    expect([...answers.keys()].sort()).toEqual(["503", AUDIENCE].sort());
    await eventually(async () => {
      const again = await Promise.all(Array.from({ length: 20 }, () => ask()));
      return again.every((answer) => answer === AUDIENCE) ? true : undefined;
    });
  });

  it("of the VM that was fetching, its lease ends and another one fetches", async () => {
    let answers = 0;
    const { port, metadata } = await start({
      concurrency: 2,
      metadata: { fault: () => (++answers === 1 ? { headers: { "x-trap": "1" }, delayMs: 200 } : undefined) },
    });
    const waiting = await Promise.all(Array.from({ length: 12 }, () => RawConnection.open(port)));
    const settled: number[] = [];
    for (const connection of waiting) {
      connection.write("GET / HTTP/1.1\r\nHost: kb.internal\r\n\r\n");
      void connection
        .response()
        .then(({ status }) => settled.push(status))
        .catch(() => undefined);
    }
    // Only what waits in the dead VM itself does not go on; and the VM may be the main thread's, where nothing waits.
    await eventually(() => (settled.length > 0 && answers === 2 ? true : undefined));
    await eventually(async () => {
      const fresh = await Promise.all(Array.from({ length: 20 }, () => ask()));
      return fresh.every((answer) => answer === AUDIENCE) ? true : undefined;
    });
    expect(new Set(settled)).toEqual(new Set([200]));
    expect(metadata.requests).toHaveLength(2);
    for (const connection of waiting) connection.close();
  });
});
