import { describe, expect, it } from "vitest";

import { gcpBackend, type GcpBackendKind } from "../../../../shim/render/istio/gcp-backend.js";
import { inOrder, meshResources } from "../../../../shim/render/istio/resources.js";
import { parsePinnedImage } from "../../../../shim/render/image.js";
import { IMAGE, resource, sample } from "./sample.js";

const meshWith = (cloudRun: string): ReturnType<typeof sample> =>
  sample({
    backends: `{ kb: { cloudRun: { ${cloudRun} } } }`,
    routes: "[{ hosts: [kb.example.internal], to: kb, open: a test }]",
  });
const MESH = meshWith("url: https://kb-abc123-uc.a.run.app, via: gcpBackend, region: us-central1");
const STRINGS = { type: "string" };

/** As in Google's reference, with the fields that are required there. */
const DOCUMENTED: GcpBackendKind = {
  apiVersion: "networking.gke.io/v1",
  spec: {
    type: "object",
    properties: {
      cloudrun: {
        type: "object",
        properties: { service: STRINGS, regions: { type: "array" }, project: STRINGS },
        required: ["service", "regions"],
      },
    },
  },
};
/** With other names, one region, and a type. */
const OTHER: GcpBackendKind = {
  apiVersion: "networking.gke.io/v1beta1",
  spec: {
    type: "object",
    properties: {
      type: { type: "string", enum: ["AppEngine", "CloudRun"] },
      cloudRun: { type: "object", properties: { serviceName: STRINGS, region: STRINGS } },
      port: { type: "integer", default: 443 },
    },
    required: ["type", "port"],
  },
};

function specOf(kind: GcpBackendKind, mesh = MESH): unknown {
  const backend = mesh.backends.get("kb");
  if (backend?.kind !== "cloudRun") throw new Error("no kb");
  return gcpBackend(mesh, "istio-ingress", backend, kind)["spec"];
}

describe("a GCPBackend", () => {
  it("is rendered beside the ServiceEntry, which the filter goes by, only where the cluster's kind is known", () => {
    const options = { image: parsePinnedImage(IMAGE), api: "wasmplugin" } as const;
    const without = inOrder(meshResources(MESH, options));
    const all = inOrder(meshResources(MESH, { ...options, gcpBackend: DOCUMENTED }));
    expect(without.some(({ kind }) => kind === "GCPBackend")).toBe(false);
    expect(all.filter(({ kind }) => kind !== "GCPBackend")).toEqual(without);
    expect(resource(all, "GCPBackend", "shop-kb", "istio-ingress")).toEqual({
      apiVersion: "networking.gke.io/v1",
      kind: "GCPBackend",
      metadata: {
        name: "shop-kb",
        namespace: "istio-ingress",
        labels: { "app.kubernetes.io/managed-by": "hopgate", "app.kubernetes.io/instance": "shop" },
      },
      spec: { cloudrun: { service: "kb", regions: ["us-central1"] } },
    });
  });

  it("is not rendered for backends that leave the mesh another way", () => {
    const mesh = meshWith("url: https://kb-abc123-uc.a.run.app, via: serviceEntry, region: us-central1");
    const options = { image: parsePinnedImage(IMAGE), api: "wasmplugin", gcpBackend: DOCUMENTED } as const;
    expect(inOrder(meshResources(mesh, options)).some(({ kind }) => kind === "GCPBackend")).toBe(false);
  });

  it("has the names and forms that the cluster's schema has", () => {
    expect(specOf(OTHER)).toEqual({ type: "CloudRun", cloudRun: { serviceName: "kb", region: "us-central1" } });
  });

  it("takes name and region out of a URL that has both", () => {
    const mesh = meshWith("url: https://my-kb-123456789012.europe-west1.run.app, via: gcpBackend");
    expect(specOf(DOCUMENTED, mesh)).toEqual({ cloudrun: { service: "my-kb", regions: ["europe-west1"] } });
  });

  it.each([
    [
      DOCUMENTED,
      "url: https://kb.example.com, via: gcpBackend, region: us-central1, audience: x",
      /backends\.kb\.cloudRun\.url: .* does not say the name of the service/,
    ],
    [DOCUMENTED, "url: https://kb-abc123-uc.a.run.app, via: gcpBackend", /backends\.kb\.cloudRun\.region is needed/],
    [
      { ...DOCUMENTED, spec: {} },
      undefined,
      /backends\.kb: the cluster's GCPBackend has no field for a Cloud Run service/,
    ],
    [
      { ...DOCUMENTED, spec: { properties: { cloudrun: {} } } },
      undefined,
      /no field for the service's name or region in spec\.cloudrun/,
    ],
    [
      {
        ...DOCUMENTED,
        spec: {
          properties: {
            cloudrun: {
              properties: { service: STRINGS, regions: { type: "array" }, project: STRINGS },
              required: ["project"],
            },
          },
        },
      },
      undefined,
      /wants spec\.cloudrun\.project, which hopgate does not know/,
    ],
    [{ ...DOCUMENTED, spec: { ...DOCUMENTED.spec, required: ["hostname"] } }, undefined, /wants spec\.hostname/],
  ] as const)("is refused where it cannot be filled in: %#", (kind, cloudRun, says) => {
    expect(() => specOf(kind, cloudRun === undefined ? MESH : meshWith(cloudRun))).toThrow(says);
  });
});
