import { connect, type Socket } from "node:net";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";

import { extension } from "../../shim/render/envoy/json.js";
import { fingerprint } from "../../shim/render/fingerprint.js";
import type { PluginValidator } from "../../shim/render/plugin-config.js";
import { base64url, google, JWKS, keySet, rsaKey, validating, validator } from "../support/caller-token.js";
import { guest } from "../support/compile-guest.js";
import { KB } from "../support/filter.js";
import { KEYS_PATH } from "../support/key-server.js";
import { sendLoad } from "../support/load.js";
import { eventually } from "../support/local-mesh.js";
import { runningConfigs, scrape } from "../support/metrics.js";
import { realEnvoy } from "../support/real-envoy.js";
import { liveToken, outcome, startValidating, type ValidatingHop } from "./validating.js";

const envoyPath = (await realEnvoy()) ?? "";

const long = process.env["HOPGATE_LONG"] !== undefined;
const second = rsaKey("google-2");
const stranger = rsaKey("stranger");

/** An edge that does nothing but check callers, so that nobody waits for a token of the hop's own. */
function checking(jwks: Partial<PluginValidator["jwks"]> = {}): ReturnType<typeof validating> {
  return validating(
    { jwks: { ...validator().jwks, ...jwks } },
    { routes: [{ hosts: [KB], to: [{ backend: "llm", weight: 100 }], validate: "google" }] },
  );
}

let hop: ValidatingHop | undefined;

async function start(options: Partial<Parameters<typeof startValidating>[0]>): Promise<ValidatingHop> {
  hop = await startValidating({ envoyPath, config: checking(), ...options });
  return hop;
}

afterEach(async () => {
  await hop?.close();
  hop = undefined;
});

describe.skipIf(envoyPath === "")("the workers of one Envoy", () => {
  it.each([
    [1, long ? 10_000 : 2_000],
    [2, long ? 10_000 : 2_000],
    [8, 10_000],
  ])(
    "%i: 200 requests wait for the first keys together; %i made-up keys cause one fetch in a cooldown",
    async (workers, count) => {
      const cooldownSec = 1;
      const config = checking({ cooldownSec, timeoutMs: 20_000 });
      const envoy = await start({ config, concurrency: workers, keySet: { fault: "hang" } });
      const cold = Array.from({ length: 200 }, () => outcome(envoy, { token: liveToken() }));
      await eventually(async () => ((await held(envoy)) === 200 ? true : undefined));
      envoy.keys.answer = keySet(google);
      envoy.keys.release();
      expect(await Promise.all(cold)).toEqual(cold.map(() => "200"));
      // Keys are not shared: each worker has fetched once, and the main thread.
      expect(envoy.keys.requests()).toBe(workers + 1);

      const before = envoy.keys.requests();
      const since = await eventually(async () => {
        const askedAt = performance.now();
        expect(await outcome(envoy, { token: forged("first") })).toBe("401 token_key_unknown");
        return envoy.keys.requests() > before ? askedAt : undefined;
      });
      const asked = envoy.keys.requests();
      const codes = new Map<string, number>();
      await sendLoad({
        port: envoy.port,
        connections: 32,
        count,
        head: (index) => `host: ${KB}\r\nauthorization: Bearer ${forged(String(index))}`,
        onAnswer: (_index, head) => {
          const code = `${head.slice(9, 12)} ${/x-hopgate-error: (\w+)/.exec(head)?.[1] ?? ""}`;
          codes.set(code, (codes.get(code) ?? 0) + 1);
        },
      });
      const seconds = (performance.now() - since) / 1000;
      const fetches = envoy.keys.requests() - asked;
      process.stderr.write(`${workers} workers: ${fetches} fetches in ${seconds.toFixed(1)} s\n`);
      expect([...codes]).toEqual([["401 token_key_unknown", count]]);
      expect(fetches).toBeLessThanOrEqual(Math.floor(seconds / cooldownSec));
      expect(await outcome(envoy, { token: liveToken() })).toBe("200");
    },
  );

  it("a new key is found by every worker for itself, each with one fetch", async () => {
    const envoy = await start({ config: checking({ cooldownSec: 1 }), concurrency: 2 });
    await eventually(async () => ((await outcome(envoy, { token: liveToken() })) === "200" ? true : undefined));
    await eventually(() => (envoy.keys.requests() === 3 ? true : undefined));
    const since = performance.now();
    await eventually(() => (performance.now() - since > 1_050 ? true : undefined));
    envoy.keys.answer = keySet(google, second);
    const fresh = Array.from({ length: 100 }, () => outcome(envoy, { token: liveToken({ key: second }) }));
    expect(await Promise.all(fresh)).toEqual(fresh.map(() => "200"));
    expect(envoy.keys.requests()).toBeLessThanOrEqual(5);
    expect(envoy.keys.requests()).toBeGreaterThanOrEqual(4);
  });

  it("made-up keys cause one fetch in a cooldown also where the issuer never writes its set the same way", async () => {
    const cooldownSec = 2;
    const envoy = await start({ config: checking({ cooldownSec }), concurrency: 4, keySet: { fault: "hang" } });
    let written = 0;
    envoy.keys.answer = () => (written++ % 2 === 0 ? keySet(google, second) : keySet(second, google));
    envoy.keys.release();
    await eventually(async () => ((await outcome(envoy, { token: liveToken() })) === "200" ? true : undefined));
    await eventually(() => (envoy.keys.requests() === 5 ? true : undefined));
    const before = envoy.keys.requests();
    const since = performance.now();
    await eventually(async () => {
      const asked = Array.from({ length: 20 }, (_, index) => outcome(envoy, { token: forged(String(index)) }));
      expect(new Set(await Promise.all(asked))).toEqual(new Set(["401 token_key_unknown"]));
      return envoy.keys.requests() > before && performance.now() - since > 3_900 ? true : undefined;
    });
    expect(envoy.keys.requests() - before).toBeLessThanOrEqual(Math.floor((performance.now() - since) / 2_000) + 1);
  });

  it("requests that are held for keys may go away, and the others are let in", async () => {
    const envoy = await start({ concurrency: 1, keySet: { fault: "hang" } });
    const gone = await Promise.all(Array.from({ length: 50 }, () => openRequest(envoy.port)));
    const staying = Array.from({ length: 50 }, () => outcome(envoy, { token: liveToken() }));
    await eventually(async () => ((await held(envoy)) === 100 ? true : undefined));
    for (const socket of gone) socket.destroy();
    await eventually(async () => ((await held(envoy)) === 50 ? true : undefined));
    envoy.keys.answer = keySet(google);
    envoy.keys.release();
    expect(await Promise.all(staying)).toEqual(staying.map(() => "200"));
    await eventually(async () => ((await held(envoy)) === 0 ? true : undefined));
    const ok = (await scrape(envoy.envoy.admin)).filter(
      ({ name, labels }) => name === "hopgate_validations" && labels["result"] === "ok",
    );
    expect(ok.map(({ value }) => value)).toEqual([50]);
  });

  it("a new configuration keeps the keys: with the issuer down no request is lost", async () => {
    const envoy = await start({ concurrency: 2 });
    await eventually(async () => ((await outcome(envoy, { token: liveToken() })) === "200" ? true : undefined));
    await eventually(() => (envoy.keys.requests() === 3 ? true : undefined));
    envoy.keys.answer = { fault: "reset" };
    let done = false;
    const answers: string[] = [];
    const askers = Array.from({ length: 8 }, async () => {
      while (!done) answers.push(await outcome(envoy, { token: liveToken() }));
    });
    for (const clockSkewSec of [10, 20, 30]) {
      const { validators, ...rest } = checking();
      const next = { ...rest, validators: { google: { ...validator(), ...validators?.["google"], clockSkewSec } } };
      await envoy.update(next);
      const wanted = fingerprint(JSON.stringify(next));
      await eventually(async () => ((await runningConfigs(envoy.envoy.admin)).get(wanted) === 3 ? true : undefined));
      const before = answers.length;
      await eventually(() => (answers.length > before + 20 ? true : undefined));
    }
    done = true;
    await Promise.all(askers);
    expect(new Set(answers)).toEqual(new Set(["200"]));
  });

  it("another plugin that writes over what they tell each other lets nobody in, and keeps nobody out", async () => {
    const folder = await mkdtemp(join(tmpdir(), "hopgate-test-"));
    try {
      const path = join(folder, "script.wasm");
      await writeFile(path, await guest("script"));
      const key = `hopgate/1/keys/0/${JWKS}/www.googleapis.com${KEYS_PATH}`;
      const planted = keySet(stranger).replaceAll(" ", "");
      const script = ["configure tick 5", `tick get ${key}`, `tick set ${key} ${planted} read`].join("\n");
      const filters = [scriptFilter(path, script)];
      const envoy = await start({
        config: checking({ cooldownSec: 1 }),
        concurrency: 2,
        filters,
        componentLogLevel: "wasm:info",
      });
      await eventually(async () => ((await outcome(envoy, { token: liveToken() })) === "200" ? true : undefined));
      for (let round = 0; round < 20; round++) {
        expect(await outcome(envoy, { token: liveToken({ key: stranger }) })).toBe("401 token_key_unknown");
        expect(await outcome(envoy, { token: liveToken() })).toBe("200");
      }
      envoy.keys.answer = keySet(google, second);
      await eventually(async () =>
        (await outcome(envoy, { token: liveToken({ key: second }) })) === "200" ? true : undefined,
      );
      expect(await outcome(envoy, { token: liveToken({ key: stranger }) })).toBe("401 token_key_unknown");
      const log = await readFile(envoy.envoy.logPath, "latin1");
      expect(log, "it has read what the workers wrote").toMatch(/get hopgate\/1\/keys\/\S+ -> 0 \[HGK1/);
      expect(log, "and written over it").toMatch(/set hopgate\/1\/keys\/\S+ \S+ read -> 0/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

/** Streams that the listener has at the moment. */
async function held({ envoy }: ValidatingHop): Promise<number> {
  const stats = await envoy.admin.stats("^http\\.plain\\.downstream_rq_active$");
  return stats.get("http.plain.downstream_rq_active") ?? 0;
}

/** A request that is sent and not waited for. */
function openRequest(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port }, () => {
      socket.write(`GET / HTTP/1.1\r\nHost: ${KB}\r\nAuthorization: Bearer ${liveToken()}\r\n\r\n`);
      resolve(socket);
    });
    socket.on("error", reject);
  });
}

/** The script guest as a filter of its own, in the VM id that Istio gives to all plugins: none. */
function scriptFilter(path: string, script: string): ReturnType<typeof extension> {
  return extension("script", "envoy.extensions.filters.http.wasm.v3.Wasm", {
    config: {
      name: "script",
      root_id: "",
      configuration: { "@type": "type.googleapis.com/google.protobuf.StringValue", value: script },
      vm_config: { vm_id: "", runtime: "envoy.wasm.runtime.v8", code: { local: { filename: path } } },
    },
  });
}

const [, payload = "", signature = ""] = liveToken().split(".");

/** A token of a key that does not exist. */
function forged(kid: string): string {
  return `${base64url(JSON.stringify({ alg: "RS256", kid: `made-up-${kid}` }))}.${payload}.${signature}`;
}
