import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import type { Admin } from "../../shim/envoy/admin.js";
import type { LocalServer } from "../../shim/local/server.js";
import { startService } from "../support/echo.js";
import { eventually, type MeshUnderTest, startMesh } from "../support/local-mesh.js";
import { type Metric, runningConfigs, scrape } from "../support/metrics.js";
import { RawConnection, rawRequest } from "../support/raw-http.js";
import { realEnvoy } from "../support/real-envoy.js";
import { type Standalone, startStandalone } from "./standalone.js";

const envoyPath = (await realEnvoy()) ?? "";

const HISTOGRAMS = ["total", "upstream", "self", "stream"].map((what) => `hopgate_${what}_us`);

describe.skipIf(envoyPath === "")("what is counted", () => {
  describe("in a mesh of two hops", () => {
    let mesh: MeshUnderTest | undefined;

    afterEach(async () => {
      await mesh?.close();
      mesh = undefined;
    });

    it("is scraped from both Envoys, each with its hop, and a backend and result for each request", async () => {
      mesh = await startMesh({ envoyPath });
      for (const name of ["llm", "llm", "kb", "reports", "reports", "reports"]) {
        expect((await mesh.send(name, name === "llm" ? "/v1/models" : "/")).status).toBe(200);
      }
      const [agents, ingress] = ["agents", "ingress"].map(
        (hop) => mesh?.envoys.find((envoy) => envoy.hop === hop)?.admin,
      );
      expect(await requestsOf(ingress, 6)).toEqual({
        "ingress llm ok": 2,
        "ingress kb ok": 1,
        "ingress reports ok": 3,
      });
      expect(await requestsOf(agents, 3)).toEqual({ "agents reports ok": 3 });
      for (const [admin, hop, count] of [
        [agents, "agents", 3],
        [ingress, "ingress", 3],
      ] as const) {
        const metrics = await eventually(async () => {
          const found = await metricsOf(admin);
          return HISTOGRAMS.every((name) => valueOf(found, `${name}_count`, { hop, backend: "reports" }) === count)
            ? found
            : undefined;
        });
        const sum = (what: string): number =>
          valueOf(metrics, `hopgate_${what}_us_sum`, { hop, backend: "reports" }) ?? NaN;
        expect(sum("upstream")).toBeGreaterThan(0);
        // Envoy knows a histogram's values to a few percent.
        expect((sum("upstream") + sum("self") + (sum("wait") || 0)) / sum("total")).toBeCloseTo(1, 0.7);
      }
      const fetched = { hop: "ingress", result: "ok" };
      expect(valueOf(await metricsOf(ingress), "hopgate_token_fetches", fetched)).toBe(1);
    });

    it.each([1, 3])(
      "names one configuration for each hop, run by every worker and the main thread (%i workers)",
      async (concurrency) => {
        mesh = await startMesh({ envoyPath, concurrency });
        for (const { admin } of mesh.envoys) {
          const running = await eventually(async () => {
            const configs = await runningConfigs(admin);
            return [...configs.values()].includes(concurrency + 1) ? configs : undefined;
          });
          expect([...running.entries()]).toEqual([[expect.stringMatching(/^[0-9a-f]{8}$/), concurrency + 1]]);
        }
      },
    );
  });

  describe("at one hop", () => {
    let service: LocalServer;
    let hop: Standalone;
    let endStream: () => void = () => undefined;

    beforeAll(async () => {
      service = await startService((request, response) => {
        if (request.url === "/stream") {
          response.write("begun");
          endStream = () => response.end();
        } else if (request.url !== "/never") response.end("answered");
      });
      const names = ["plain", "streams", "injects", "tokenless"];
      hop = await startStandalone({
        envoyPath,
        config: {
          hop: "ingress",
          edge: true,
          unmatched: "reject",
          routes: names.map((name) => ({
            hosts: [`${name}.internal`],
            to: [{ backend: name, weight: 100 }],
            open: "a test",
          })),
          backends: {
            plain: {},
            streams: {},
            injects: { token: { audience: "https://injects.example" } },
            tokenless: { token: { audience: "https://tokenless.example" } },
          },
          identity: {},
        },
        services: { plain: service, streams: service, injects: service, tokenless: service },
        upgrades: ["chargen"],
        metadata: { fault: ({ audience }) => (audience?.includes("tokenless") ? { status: 404 } : undefined) },
      });
    });

    afterAll(async () => {
      await Promise.all([hop.close(), service.close()]);
    });

    it("has a result for everything that can become of a request, and no word of a caller's", async () => {
      const ask = (host: string, path = "/", lines = "") =>
        rawRequest(hop.port, `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${lines}\r\n`);
      await ask("plain.internal");
      await ask("PLAIN.internal:81", "/x?y");
      await ask("injects.internal");
      await ask("caller-made-this-up.example");
      await ask("a,b");
      await ask("tokenless.internal");
      await ask("injects.internal", "/", "Connection: upgrade\r\nUpgrade: chargen\r\n");
      const giveUp = await RawConnection.open(hop.port);
      giveUp.write("GET /never HTTP/1.1\r\nHost: plain.internal\r\n\r\n");
      await eventually(async () => {
        const stats = await hop.envoy.admin.stats("^cluster\\.plain;\\.upstream_rq_active$");
        return [...stats.values()][0] === 1 ? true : undefined;
      });
      giveUp.close();
      expect(await requestsOf(hop.envoy.admin, 8)).toEqual({
        "ingress plain ok": 2,
        "ingress injects ok": 1,
        "ingress _unmatched route_unmatched": 1,
        "ingress _unmatched host_invalid": 1,
        "ingress tokenless token_unavailable": 1,
        "ingress injects upgrade_unsupported": 1,
        "ingress plain aborted": 1,
      });
      expect(await hop.envoy.admin.get("/stats/prometheus")).not.toContain("caller-made-this-up");
    });

    it("counts a stream when it ends, not when it begins", async () => {
      const count = async (name: string): Promise<number | undefined> =>
        valueOf(await metricsOf(hop.envoy.admin), name, { backend: "streams" });
      const connection = await RawConnection.open(hop.port);
      connection.write("GET /stream HTTP/1.1\r\nHost: streams.internal\r\n\r\n");
      expect((await connection.head()).status).toBe(200);
      expect(await count("hopgate_requests")).toBeUndefined();
      endStream();
      await eventually(async () => ((await count("hopgate_requests")) === 1 ? true : undefined));
      connection.close();
      // Envoy merges the histograms of its workers every few seconds.
      await eventually(async () => ((await count("hopgate_stream_us_count")) === 1 ? true : undefined));
    });
  });
});

async function metricsOf(admin: Admin | undefined): Promise<Metric[]> {
  return admin === undefined ? [] : scrape(admin);
}

/** The requests by `hop backend result`, as soon as they are `count` in all: Envoy's workers hand their numbers over in time. */
async function requestsOf(admin: Admin | undefined, count: number): Promise<Record<string, number>> {
  return eventually(async () => {
    const found = (await metricsOf(admin)).filter(({ name }) => name === "hopgate_requests");
    if (found.reduce((sum, { value }) => sum + value, 0) < count) return undefined;
    return Object.fromEntries(
      found.map(({ labels: { hop, backend, result }, value }) => [`${hop} ${backend} ${result}`, value]),
    );
  });
}

function valueOf(
  metrics: readonly Metric[],
  name: string,
  labels: Readonly<Record<string, string>>,
): number | undefined {
  return metrics.find(
    (metric) => metric.name === name && Object.entries(labels).every(([key, value]) => metric.labels[key] === value),
  )?.value;
}
