import { readFile } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import type { LocalServer } from "../../shim/local/server.js";
import { extension } from "../../shim/render/envoy/json.js";
import { METADATA_SERVICE, outboundCluster } from "../../shim/render/envoy/names.js";
import { guestPath } from "../support/compile-guest.js";
import { audienceOf } from "../support/echo.js";
import { sendLoad, startCheapService } from "../support/load.js";
import { scrape } from "../support/metrics.js";
import { realEnvoy } from "../support/real-envoy.js";
import { type Standalone, startStandalone } from "./standalone.js";

const envoyPath = (await realEnvoy()) ?? "";

const AUDIENCES = ["https://a-abc123-uc.a.run.app", "https://b-abc123-uc.a.run.app"];

let service: LocalServer;
let hop: Standalone | undefined;

describe.skipIf(envoyPath === "")("another plugin that overwrites what our workers share", { timeout: 120_000 }, () => {
  beforeAll(async () => {
    service = await startCheapService((head) => {
      const evil = /^x-evil/im.test(head) ? " and a header that nobody sent" : "";
      return `${audienceOf(/^authorization: (.*)$/im.exec(head)?.[1]) ?? "no token"}${evil}`;
    });
  });

  afterEach(async () => {
    await hop?.close();
    hop = undefined;
  });

  afterAll(() => service.close());

  it("makes no request go out with a wrong token or with none, and no VM trap", async () => {
    const keys = AUDIENCES.map((audience) => `hopgate/1/metadata/${outboundCluster(METADATA_SERVICE)}/${audience}`);
    const meddler = extension("meddler", "envoy.extensions.filters.http.wasm.v3.Wasm", {
      config: {
        name: "meddler",
        root_id: "",
        configuration: { "@type": "type.googleapis.com/google.protobuf.StringValue", value: keys.join("\n") },
        // The VM id of every plugin under Istio, and so of ours: they share the data.
        vm_config: {
          vm_id: "",
          runtime: "envoy.wasm.runtime.v8",
          code: { local: { filename: await guestPath("meddling") } },
        },
      },
    });
    hop = await startStandalone({
      envoyPath,
      concurrency: 2,
      config: {
        hop: "ingress",
        edge: true,
        routes: ["a", "b"].map((name) => ({
          hosts: [`${name}.x`],
          to: [{ backend: name, weight: 100 }],
          open: "a test",
        })),
        backends: Object.fromEntries(["a", "b"].map((name, i) => [name, { token: { audience: AUDIENCES[i] ?? "" } }])),
        identity: { timeoutMs: 500, refreshBeforeSec: 8 },
      },
      services: { a: service, b: service },
      filters: [meddler],
      // Due for refresh after 2 s, used for 5.
      metadata: { tokenLifetimeSec: 10 },
    });
    const answers = [new Map<string, number>(), new Map<string, number>()];
    const untilMs = performance.now() + 12_000;
    while (performance.now() < untilMs) {
      await sendLoad({
        port: hop.port,
        connections: 8,
        count: 400,
        head: (index) => `Host: ${index % 2 === 0 ? "a" : "b"}.x`,
        onAnswer: (index, head, body) => {
          const answer = head.startsWith("HTTP/1.1 200") ? body : (/x-hopgate-error: (\w+)/i.exec(head)?.[1] ?? head);
          const counts = answers[index % 2];
          counts?.set(answer, (counts.get(answer) ?? 0) + 1);
        },
      });
    }
    for (const [i, counts] of answers.entries()) {
      const others = [...counts.keys()].filter((answer) => answer !== AUDIENCES[i]);
      expect(others.filter((answer) => answer !== "token_unavailable")).toEqual([]);
      expect(counts.get(AUDIENCES[i] ?? "")).toBeGreaterThan(1000);
    }
    expect(await readFile(hop.envoy.logPath, "utf8")).not.toMatch(
      /Function: \w+ failed|vm_failed|Proxy-Wasm VM failed/i,
    );
    // It had its hands on what our workers share, over and over: a token record that it did not write itself.
    const found = (await scrape(hop.envoy.admin)).find(({ name }) => name === "hopgate_meddling_found");
    expect(found?.value).toBeGreaterThan(10);
    const refused = answers.map((counts) => counts.get("token_unavailable") ?? 0);
    process.stderr.write(`another plugin in the way: ${refused.join(" and ")} refused beside those served\n`);
  });
});
