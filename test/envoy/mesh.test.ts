import { once } from "node:events";
import { readFileSync } from "node:fs";
import https from "node:https";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { parseMesh } from "../../shim/config/parse.js";
import type { Failure } from "../../shim/errors.js";
import type { AgentReport } from "../../shim/local/agent.js";
import { exampleConfigPath } from "../../shim/package-root.js";
import { eventually, type MeshUnderTest, startMesh, traceOf, TRACE_KEY } from "../support/local-mesh.js";
import { realEnvoy } from "../support/real-envoy.js";

const envoyPath = (await realEnvoy()) ?? "";

const example = readFileSync(exampleConfigPath(), "utf8");

let running: MeshUnderTest | undefined;

async function mesh(options: Omit<Parameters<typeof startMesh>[0], "envoyPath"> = {}): Promise<MeshUnderTest> {
  running = await startMesh({ envoyPath, ...options });
  return running;
}

afterEach(async () => {
  await running?.close();
  running = undefined;
});

describe.skipIf(envoyPath === "")("the local mesh on a real Envoy", { timeout: 60_000 }, () => {
  describe("routing", () => {
    it("leads each host to its backend, whatever the case of the host", async () => {
      const local = await mesh();
      expect((await local.send("llm", "/v1/models")).body).toContain('"local-chat"');
      expect((await local.send("vectors", "/collections")).body).toContain('"collections"');
      expect((await local.send("KB")).body).toContain('"service":"agent"');
    });

    it("has no route for a host that is not in the file", async () => {
      const local = await mesh();
      const response = await local.send("nobody", "/", { servername: "llm.ai-platform.example.internal" });
      expect(response.status).toBe(404);
    });

    it("takes no backend from the caller", async () => {
      const local = await mesh();
      const response = await local.send("llm", "/v1/models", { headers: { "x-hopgate-backend": "kb" } });
      expect(response.body).toContain('"local-chat"');
      expect(local.cloudRun.requests).toEqual([]);
    });
  });

  describe("identity", () => {
    it("adds one token, for the audience of the backend, at the gateway and at the waypoint", async () => {
      const local = await mesh();
      for (const [name, path] of [
        ["kb", "ingress"],
        ["reports", "ingress,agents"],
      ] as const) {
        const report = JSON.parse((await local.send(name)).body) as AgentReport;
        expect(report.identity).toEqual([
          {
            header: "authorization",
            audience: "https://ai-platform.example.internal",
            email: "orchestrator@my-project.iam.gserviceaccount.com",
            signature_removed: false,
          },
          {
            header: "x-serverless-authorization",
            audience: `https://${name}-abc123-uc.a.run.app`,
            email: "hopgate@local-mesh.iam.gserviceaccount.com",
            signature_removed: true,
          },
        ]);
        expect(report.hopgate_path).toBe(path);
      }
    });

    it("uses authorization where the caller has none of its own", async () => {
      const local = await mesh({
        yaml: example.replace("validate: google }\n  - { hosts: [rep", "open: a test }\n  - { hosts: [rep"),
      });
      const report = JSON.parse((await local.send("kb")).body) as AgentReport;
      expect(report.identity.map(({ header }) => header)).toEqual(["authorization"]);
    });

    it("sends nothing to Cloud Run that is not for it", async () => {
      const local = await mesh();
      expect((await local.send("llm", "/v1/models")).status).toBe(200);
      const kb = await eventually(() => local.metadata.requests.find(({ audience }) => audience?.includes("kb")));
      expect(kb.audience).toBe("https://kb-abc123-uc.a.run.app");
      expect(local.cloudRun.requests).toEqual([]);
    });

    it("asks for a token once for all workers, before anybody needs it", async () => {
      const local = await mesh({ concurrency: 4 });
      await eventually(() => (local.metadata.requests.length >= 2 ? true : undefined));
      const answers = await Promise.all(Array.from({ length: 40 }, () => local.send("kb")));
      expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 40 }, () => 200));
      const audiences = local.metadata.requests.map(({ audience }) => audience).sort();
      expect(audiences).toEqual(["https://kb-abc123-uc.a.run.app", "https://reports-abc123-uc.a.run.app"]);
    });

    it("holds requests that come before the token, and lets them go with it", async () => {
      const local = await mesh({ metadata: { delayMs: 1200 } });
      const answers = await Promise.all(Array.from({ length: 20 }, () => local.send("kb")));
      for (const answer of answers) {
        expect(answer.status).toBe(200);
        const [ingress] = traceOf(answer).hops;
        expect(ingress?.wait_us).toBeGreaterThan(0);
      }
      expect(local.metadata.requests.filter(({ audience }) => audience?.includes("kb"))).toHaveLength(1);
    });

    it("answers 503 and forwards nothing while there is no token, and recovers", async () => {
      let isDown = true;
      const local = await mesh({ metadata: { fault: () => (isDown ? { status: 500 } : undefined) } });
      const response = await local.send("kb");
      expect(response.status).toBe(503);
      expect(response.headers["x-hopgate-error"]).toBe("token_unavailable");
      expect(Number(response.headers["retry-after"])).toBeGreaterThanOrEqual(1);
      expect(response.headers["content-type"]).toBe("application/problem+json");
      expect(JSON.parse(response.body)).toMatchObject({ status: 503, code: "token_unavailable" });
      expect(local.cloudRun.requests).toEqual([]);
      expect((await local.send("llm", "/v1/models")).status).toBe(200);
      isDown = false;
      await eventually(async () => ((await local.send("kb")).status === 200 ? true : undefined));
    });
  });

  describe("callers", () => {
    const AUDIENCE = "https://ai-platform.example.internal";

    it("are let in with a token that the validator accepts, and named to the service", async () => {
      const local = await mesh();
      for (const [name, hop] of [
        ["kb", "ingress"],
        ["reports", "agents"],
      ] as const) {
        const response = await local.send(name, "/", { headers: { "x-hopgate-caller": "somebody@else.example" } });
        const report = JSON.parse(response.body) as AgentReport;
        expect(report.hopgate_caller).toBe("orchestrator@my-project.iam.gserviceaccount.com");
        expect(await validations(local, hop)).toEqual({ ok: 1 });
      }
    });

    it("are refused without a token, or where they are on no list, and nothing reaches Cloud Run", async () => {
      const local = await mesh();
      for (const [name, hops] of [
        ["kb", ["ingress"]],
        ["reports", ["ingress", "agents"]],
      ] as const) {
        const anonymous = await local.send(name, "/", { caller: "anonymous" });
        expect([anonymous.status, anonymous.headers["x-hopgate-error"]]).toEqual([401, "token_missing"]);
        expect(anonymous.headers["www-authenticate"]).toBe("Bearer");
        expect(traceOf(anonymous).hops.map((hop) => hop.name)).toEqual(hops);
        const stranger = await local.send(name, "/", { caller: "stranger" });
        expect([stranger.status, stranger.headers["x-hopgate-error"]]).toEqual([403, "caller_not_allowed"]);
      }
      expect(local.cloudRun.requests).toEqual([]);
      expect((await local.send("llm", "/v1/models", { caller: "anonymous" })).status).toBe(200);
    });

    it("cannot use a token that was made for the service, nor one with another signature", async () => {
      const local = await mesh();
      const ofMesh = await fetch(
        `${local.metadata.origin}/computeMetadata/v1/instance/service-accounts/default/identity?format=full&audience=https://kb-abc123-uc.a.run.app`,
        { headers: { "metadata-flavor": "Google" } },
      );
      const other = await local.send("kb", "/", { headers: { authorization: `Bearer ${await ofMesh.text()}` } });
      expect([other.status, other.headers["x-hopgate-error"]]).toEqual([401, "token_audience"]);
      const [value = ""] = Object.values(
        await local.callers.headersFor([...local.mesh.validators.values()], "allowed"),
      );
      const [head, claims, signature = ""] = value.split(".");
      const forged = `${String(head)}.${String(claims)}.${signature.replace(/^./, (first) => (first === "A" ? "B" : "A"))}`;
      const response = await local.send("kb", "/", { headers: { authorization: forged } });
      expect([response.status, response.headers["x-hopgate-error"]]).toEqual([401, "token_signature_invalid"]);
    });

    it("say in the access log why they were refused, and nothing of their token", async () => {
      const local = await mesh();
      await local.send("kb", "/", { caller: "stranger" });
      const log = join(dirname(local.caPath), "ingress/access.log");
      const line = await eventually(() => /^.*caller_not_allowed.*$/m.exec(readFileSync(log, "utf8"))?.[0]);
      expect(JSON.parse(line)).toMatchObject({ response_code: 403, hopgate_error: "caller_not_allowed" });
      expect(line).not.toMatch(/eyJ|stranger/);
    });

    it("may come through Identity-Aware Proxy: another header, another algorithm, keys at another place", async () => {
      const iap =
        "  iap: { issuers: [https://cloud.google.com/iap], audiences: [/projects/1/global/backendServices/2], emails: ['*'],\n" +
        "         algorithm: ES256, header: x-goog-iap-jwt-assertion, jwks: { host: www.gstatic.com, path: /iap/verify/public_key-jwk } }\n";
      const local = await mesh({
        yaml: example
          .replace("validators:\n", `validators:\n${iap}`)
          .replace("edge: true }", "edge: true, validate: iap }"),
      });
      const response = await local.send("kb");
      expect([response.status, response.body]).toEqual([200, expect.stringContaining(AUDIENCE)]);
      expect(await validations(local, "ingress")).toEqual({ ok: 2 });
      // The assertion alone is not enough for kb, and llm is no longer open.
      const { validators } = local.mesh;
      const assertion = await local.callers.headersFor(
        [validators.get("iap")].flatMap((one) => one ?? []),
        "allowed",
      );
      const half = await local.send("kb", "/", { caller: "anonymous", headers: { ...assertion } });
      expect([half.status, half.headers["x-hopgate-error"]]).toEqual([401, "token_missing"]);
      expect((await local.send("llm", "/v1/models", { caller: "anonymous" })).status).toBe(401);
      expect((await local.send("llm", "/v1/models")).status).toBe(200);
    });

    it("are checked as a changed file says, with the keys that its new validators want", async () => {
      const local = await mesh();
      const changed = example.replace("emails: [orchestrator@", "emails: [planner@");
      const before = await local.callers.headersFor([...local.mesh.validators.values()], "allowed");
      await local.update(parseMesh(changed, "changed.yaml"));
      const old = await local.send("kb", "/", { headers: { ...before } });
      expect([old.status, old.headers["x-hopgate-error"]]).toEqual([403, "caller_not_allowed"]);
      expect((await local.send("kb")).status).toBe(200);
      const file = local.callers.fileFor([...local.mesh.validators.values()]);
      const [, claims = ""] = readFileSync(file, "utf8").split(".");
      expect(Buffer.from(claims, "base64url").toString()).toContain("planner@my-project");
    });
  });

  describe("time", () => {
    it("is reported by both hops, from the service outwards", async () => {
      const local = await mesh();
      const response = await local.send("reports");
      expect(response.serverTiming).toHaveLength(2);
      expect(response.serverTiming[0]).toMatch(/^app;dur=[\d.]+$/);
      expect(response.serverTiming[1]).toMatch(
        /^agents;dur=\d+\.\d{3}, agents-upstream;dur=\d+\.\d{3}, ingress;dur=\d+\.\d{3}, ingress-upstream;dur=\d+\.\d{3}$/,
      );
      const [ingress, agents] = traceOf(response).hops;
      expect(ingress?.upstream_us).toBeGreaterThanOrEqual(agents?.total_us ?? Infinity);
    });

    it("is told only to those who know the key", async () => {
      const local = await mesh();
      for (const key of ["", "wrong", `${TRACE_KEY}x`]) {
        const response = await local.send("reports", "/", { headers: { "x-hopgate-trace": key } });
        expect(response.serverTiming).toEqual([expect.stringMatching(/^app;/)]);
        expect(response.headers["x-hopgate-timing"]).toBeUndefined();
      }
    });

    it("is in the metrics of both hops", async () => {
      const local = await mesh();
      await local.send("reports");
      for (const envoy of local.envoys) {
        const metrics = await eventually(async () => {
          const text = await envoy.admin.get("/stats/prometheus");
          return text.includes("hopgate_requests{") ? text : undefined;
        });
        const line = metrics.split("\n").find((candidate) => candidate.includes("hopgate_requests{"));
        expect(line).toContain(`hop="${envoy.hop}"`);
        expect(line).toContain('backend="reports"');
        expect(line).toContain('result="ok"');
      }
    });
  });

  describe("streams", () => {
    it("pass each event on before the service sends the next", async () => {
      const gate = new Gate();
      const local = await mesh({ chat: { tokens: 8, gate: (index) => gate.reached(index) } });
      const events = openStream(local);
      for (let index = 0; index < 9; index++) {
        gate.open(index);
        expect(await events.next()).toMatch(/^data: /);
      }
      gate.openAll();
      events.close();
    });
  });

  describe("faults", () => {
    it("names the hop whose Envoy dies", async () => {
      const crashes: Failure[] = [];
      const local = await mesh({ onCrash: (failure) => crashes.push(failure) });
      const waypoint = local.envoys.find(({ hop }) => hop === "agents");
      process.kill(waypoint?.pid ?? 0, "SIGKILL");
      const crash = await eventually(() => crashes[0]);
      expect(crash.message).toContain("agents");
      expect(crash.message).toContain("SIGKILL");
    });

    it("says which port is taken", async () => {
      const local = await mesh();
      const port = local.gateways[0].port;
      await expect(startMesh({ envoyPath, port })).rejects.toThrow(new RegExp(`port ${String(port)} is taken`));
    });
  });
});

/** How many checks a hop has made, by their result. */
async function validations(local: MeshUnderTest, hop: string): Promise<Readonly<Record<string, number>>> {
  const envoy = local.envoys.find((candidate) => candidate.hop === hop);
  const text = await eventually(async () => {
    const metrics = (await envoy?.admin.get("/stats/prometheus")) ?? "";
    return metrics.includes("hopgate_validations{") ? metrics : undefined;
  });
  const lines = [...text.matchAll(/^hopgate_validations\{.*result="(\w+)".*\} (\d+)$/gm)];
  return Object.fromEntries(lines.map(([, result, count]) => [result ?? "", Number(count)]));
}

/** Lets the chat service go on event by event. */
class Gate {
  private readonly opened = new Map<number, () => void>();
  private readonly passes = new Map<number, Promise<void>>();
  private isOpen = false;

  reached(index: number): Promise<void> {
    return this.isOpen ? Promise.resolve() : this.pass(index);
  }

  open(index: number): void {
    void this.pass(index);
    this.opened.get(index)?.();
  }

  openAll(): void {
    this.isOpen = true;
    for (const index of this.passes.keys()) this.open(index);
    for (let index = 0; index < 32; index++) this.open(index);
  }

  private pass(index: number): Promise<void> {
    const known = this.passes.get(index);
    if (known !== undefined) return known;
    const pass = new Promise<void>((resolve) => this.opened.set(index, resolve));
    this.passes.set(index, pass);
    return pass;
  }
}

function openStream(local: MeshUnderTest): { next(): Promise<string>; close(): void } {
  const { port } = local.gateways[0];
  const host = "llm.ai-platform.example.internal";
  const outgoing = https.request({
    host: "127.0.0.1",
    port,
    ca: local.ca,
    servername: host,
    headers: { host: `${host}:${String(port)}`, "content-type": "application/json" },
    method: "POST",
    path: "/v1/chat/completions",
  });
  outgoing.end(JSON.stringify({ model: "local-chat", stream: true, messages: [{ role: "user", content: "x" }] }));
  let text = "";
  let arrived = new Promise<void>(() => undefined);
  const answered = once(outgoing, "response").then(([response]: unknown[]) => {
    const incoming = response as NodeJS.ReadableStream;
    const wait = (): void => {
      arrived = new Promise((resolve) =>
        incoming.once("data", (chunk: Buffer) => {
          text += chunk.toString();
          resolve();
          wait();
        }),
      );
    };
    wait();
  });
  return {
    async next() {
      await answered;
      while (!text.includes("\n\n")) await arrived;
      const end = text.indexOf("\n\n");
      const event = text.slice(0, end);
      text = text.slice(end + 2);
      return event;
    },
    close: () => outgoing.destroy(),
  };
}
