import { readFileSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { parseMesh } from "../../shim/config/parse.js";
import type { AgentReport } from "../../shim/local/agent.js";
import type { ClientResponse } from "../../shim/trace/client.js";
import { exampleConfigPath } from "../../shim/package-root.js";
import { eventually, type MeshUnderTest, startMesh } from "../support/local-mesh.js";
import { realEnvoy } from "../support/real-envoy.js";

const envoyPath = (await realEnvoy()) ?? "";
const example = readFileSync(exampleConfigPath(), "utf8");

let running: MeshUnderTest | undefined;

afterEach(async () => {
  await running?.close();
  running = undefined;
});

const KB = "https://kb-abc123-uc.a.run.app";

function reportOf({ body }: ClientResponse): AgentReport {
  return JSON.parse(body) as AgentReport;
}

/** The audiences of the tokens that a hop added: Cloud Run has taken off their signature. */
function added(response: ClientResponse): readonly (string | null)[] {
  return reportOf(response).identity.flatMap((one) => (one.signature_removed ? one.audience : []));
}

/** The example with one text replaced by another. */
function changed(from: string, to: string): ReturnType<typeof parseMesh> {
  expect(example).toContain(from);
  return parseMesh(example.replaceAll(from, to), "changed.yaml");
}

describe.skipIf(envoyPath === "")("a changed hopgate.yaml", { timeout: 60_000 }, () => {
  it("goes live: routes, backends, audiences and certificates", async () => {
    const mesh = (running = await startMesh({ envoyPath }));
    await mesh.update(changed("kb-abc123", "other-xyz789"));
    expect(added(await mesh.send("kb"))).toEqual(["https://other-xyz789-uc.a.run.app"]);
    await mesh.update(changed("hosts: [llm.", "hosts: [models."));
    // The workers take the new certificate a moment after the main thread.
    const models = await eventually(() => mesh.send("models", "/v1/models").catch(() => undefined));
    expect(models.status).toBe(200);
    const gone = await mesh.send("llm", "/v1/models", { servername: "models.ai-platform.example.internal" });
    expect(gone.status).toBe(404);
  });

  it("moves a backend behind the waypoint and back", async () => {
    const mesh = (running = await startMesh({ envoyPath }));
    await mesh.update(changed("via: gcpBackend }", "via: gcpBackend }, through: agents"));
    const moved = await mesh.send("kb");
    expect(reportOf(moved).hopgate_path).toBe("ingress,agents");
    expect(added(moved)).toEqual([KB]);
    await mesh.update(parseMesh(example, "example.yaml"));
    const back = await mesh.send("kb");
    expect(reportOf(back).hopgate_path).toBe("ingress");
    expect(added(back)).toEqual([KB]);
  });

  it("loses no request while it goes live ten times under load", async () => {
    const mesh = (running = await startMesh({ envoyPath }));
    const variants = [changed("to: vectordb }", "to: llm }"), parseMesh(example, "example.yaml")];
    let isOver = false;
    const statuses: number[] = [];
    const client = async (name: string): Promise<void> => {
      while (!isOver) statuses.push((await mesh.send(name, "/healthz")).status);
    };
    const clients = ["llm", "vectors", "kb", "reports"].map(client);
    for (let i = 0; i < 10; i++) {
      const variant = variants[i % 2];
      if (variant !== undefined) await mesh.update(variant);
    }
    isOver = true;
    await Promise.all(clients);
    expect(statuses.length).toBeGreaterThan(50);
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
  });

  it("is refused where the filter refuses it, and the old one serves on", async () => {
    const mesh = (running = await startMesh({ envoyPath }));
    const good = parseMesh(example, "example.yaml");
    // No hopgate.yaml says so: the schema refuses it before the filter can.
    const refused = { ...good, identity: { ...good.identity, maxWaiters: 0 } };
    await expect(mesh.update(refused)).rejects.toMatchObject({
      message: expect.stringContaining("refused its configuration") as string,
      fix: expect.stringContaining("identity.maxWaiters") as string,
    });
    expect(added(await mesh.send("kb"))).toEqual([KB]);
    expect(mesh.mesh.identity.maxWaiters).toBe(1000);
  });

  it("goes live: tokens of another service account instead of the proxy's own, and back", async () => {
    const mesh = (running = await startMesh({ envoyPath }));
    const emails = async (): Promise<(string | null)[]> => {
      const reports = await Promise.all(["kb", "reports"].map((name) => mesh.send(name)));
      const carried = reports.flatMap((response) => reportOf(response).identity);
      return carried.flatMap(({ signature_removed, email }) => (signature_removed ? email : []));
    };
    const account = "invoker@local-mesh.iam.gserviceaccount.com";
    await mesh.update(
      parseMesh(`${example}\nidentity: { mode: impersonate, serviceAccount: ${account} }\n`, "changed.yaml"),
    );
    expect(await emails()).toEqual([account, account]);
    await mesh.update(parseMesh(example, "example.yaml"));
    expect(await emails()).toEqual(["kb", "reports"].map(() => "hopgate@local-mesh.iam.gserviceaccount.com"));
  });

  it("is refused where it has other hops", async () => {
    const mesh = (running = await startMesh({ envoyPath }));
    await expect(mesh.update(changed("namespace: istio-ingress", "namespace: elsewhere"))).rejects.toThrow(
      /The hops changed/,
    );
  });
});
