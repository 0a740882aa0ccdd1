import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { parseMesh } from "../../shim/config/parse.js";
import type { AgentReport } from "../../shim/local/agent.js";
import { virtualIps } from "../../shim/render/envoy/vips.js";
import { requestByTunnel } from "../support/hbone.js";
import { eventually, type MeshUnderTest, startMesh } from "../support/local-mesh.js";
import { realEnvoy } from "../support/real-envoy.js";

const envoyPath = (await realEnvoy()) ?? "";

const AUDIENCE = "https://ai-platform.example.internal";
/** The identity of the local mesh: the caller of these tests has a token of its own. */
const CALLER = "hopgate@local-mesh.iam.gserviceaccount.com";
const SERVICES = ["reports-abc123-uc.a.run.app", "ledger-abc123-uc.a.run.app"];
const HOSTS = [
  ...SERVICES,
  "REPORTS-abc123-uc.a.run.app.",
  "reports.ai-platform.example.internal",
  "open.ai-platform.example.internal",
  "nobody.example",
  "a,b",
  "user@ledger-abc123-uc.a.run.app",
  "127.0.0.1:1",
];

const YAML = `
name: ai-platform
backends:
  reports: { cloudRun: { url: https://reports-abc123-uc.a.run.app, via: serviceEntry }, through: agents }
  ledger: { cloudRun: { url: https://ledger-abc123-uc.a.run.app, via: serviceEntry }, through: agents }
validators:
  google: { audiences: [${AUDIENCE}], emails: [${CALLER}] }
routes:
  - { hosts: [reports.ai-platform.example.internal], to: reports, open: checked at the waypoint }
  - { hosts: [ledger.ai-platform.example.internal], to: ledger, open: checked at the waypoint }
hops:
  ingress: { gateway: { namespace: istio-ingress, selector: { istio: ingressgateway } }, edge: true }
  agents: { waypoint: { namespace: agents, name: waypoint }, validate: google }
`;

describe.skipIf(envoyPath === "")("a waypoint that checks its callers", () => {
  let mesh: MeshUnderTest;
  const vips = virtualIps(parseMesh(YAML, "test.yaml"));

  const ask = (service: string, headers: Record<string, string>): ReturnType<typeof requestByTunnel> =>
    requestByTunnel(mesh, "agents", "ingress", `${vips.get(service) ?? ""}:80`, headers);

  beforeAll(async () => {
    mesh = await startMesh({ envoyPath, yaml: YAML });
    const bearer = await bearerFor(AUDIENCE);
    await eventually(async () => {
      const { status } = await ask(SERVICES[0] ?? "", { host: "any", authorization: bearer });
      return status === 200 ? true : undefined;
    });
  });

  afterAll(() => mesh.close());

  /** A token of the caller's, as the metadata server of the mesh makes them. */
  async function bearerFor(audience: string): Promise<string> {
    const path = "/computeMetadata/v1/instance/service-accounts/default/identity";
    const response = await fetch(
      `${mesh.metadata.origin}${path}?format=full&audience=${encodeURIComponent(audience)}`,
      {
        headers: { "metadata-flavor": "Google" },
      },
    );
    return `Bearer ${await response.text()}`;
  }

  it("lets nobody in without a token, whatever service and host", async () => {
    const before = mesh.cloudRun.requests.length;
    for (const service of SERVICES) {
      for (const host of HOSTS) {
        const { status, headers } = await ask(service, { host });
        expect([status, headers["x-hopgate-error"]], `${host} at ${service}`).toEqual([401, "token_missing"]);
      }
    }
    expect(mesh.cloudRun.requests.length).toBe(before);
  });

  it("lets nobody in with a token that is meant for the service behind, and not for the mesh", async () => {
    for (const service of SERVICES) {
      const authorization = await bearerFor(`https://${service}`);
      for (const host of HOSTS) {
        const { status, headers } = await ask(service, { host, authorization });
        // The metadata server has given the waypoint the same one: it is then taken for its own, and off.
        expect(headers["x-hopgate-error"], `${host} at ${service}`).toMatch(/^token_(audience|missing)$/);
        expect(status).toBe(401);
      }
    }
  });

  it("adds the token of the service of the address, and of no other, whatever the host", async () => {
    const authorization = await bearerFor(AUDIENCE);
    for (const service of SERVICES) {
      for (const host of HOSTS) {
        const { status, body } = await ask(service, { host, authorization });
        expect(status, `${host} at ${service}`).toBe(200);
        const { identity } = JSON.parse(body) as AgentReport;
        const audiences = identity.map(({ header, audience }) => `${header} ${audience ?? ""}`).sort();
        expect(audiences, `${host} at ${service}`).toEqual([
          `authorization ${AUDIENCE}`,
          `x-serverless-authorization https://${service}`,
        ]);
      }
    }
  });
});
