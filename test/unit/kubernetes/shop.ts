import { test } from "vitest";

import { expectedOf } from "../../../shim/plan/mark.js";
import { Cluster } from "../../../shim/kubernetes/cluster.js";
import type { Rollout, Target } from "../../../shim/kubernetes/rollout.js";
import type { ExpectedHop } from "../../../shim/plan/revision.js";
import { podLabels } from "../../../shim/render/istio/destination-rule.js";
import type { Resource } from "../../../shim/render/istio/resource.js";
import { type Folder, temporaryFolder } from "../commands/support.js";
import { IMAGE, resourcesOf, sampleText } from "../render/istio/sample.js";
import { parseMesh } from "../../../shim/config/parse.js";
import { FakeApiServer, LIVE, writeKubeconfig } from "./api-server.js";

const RUNS = { config: LIVE, module: "0123456789abcdef" };

/** The sample mesh, and a cluster for it whose proxies run what is deployed. */
export class FakeShop {
  readonly notices: string[] = [];

  private constructor(
    readonly api: FakeApiServer,
    readonly folder: Folder,
    readonly kubeconfig: string,
  ) {}

  static async open(name = "one"): Promise<FakeShop> {
    const [api, folder] = [await FakeApiServer.start(name), temporaryFolder()];
    api.proxies.push(
      { hop: "ingress", namespace: "istio-ingress", pod: "ingress-0", runs: RUNS },
      { hop: "agents", namespace: "agents", pod: "waypoint-0", runs: RUNS },
    );
    const kubeconfig = await writeKubeconfig(`${folder.path}/kubeconfig`, [api]);
    folder.write("hopgate.yaml", sampleText());
    // The user's own waypoint and Service.
    const theirs = { apiVersion: "gateway.networking.k8s.io/v1", kind: "Gateway" };
    api.put({ ...theirs, metadata: { name: "waypoint", namespace: "agents" } });
    return new FakeShop(api, folder, kubeconfig);
  }

  /** What each command takes. */
  get options(): readonly string[] {
    return ["-c", `${this.folder.path}/hopgate.yaml`, "--kubeconfig", this.kubeconfig];
  }

  cluster(signal = new AbortController().signal): Cluster {
    return Cluster.open(parseMesh(sampleText(), "hopgate.yaml"), { kubeconfig: this.kubeconfig }, signal);
  }

  rollout({ timeoutMs = 10_000, signal = new AbortController().signal } = {}): Rollout {
    return this.cluster(signal).rollout({ notify: (line) => void this.notices.push(line), signal, timeoutMs });
  }

  target(parts: Parameters<typeof sampleText>[0] = {}): Target & { readonly resources: readonly Resource[] } {
    const mesh = parseMesh(sampleText(parts), "hopgate.yaml");
    const hops = [...mesh.hops.values()].map((hop): ExpectedHop => ({
      ...{ hop: hop.name, kind: hop.kind, namespace: hop.namespace, podLabels: podLabels(hop) },
      ...RUNS,
    }));
    const resources = resourcesOf(mesh);
    return { image: IMAGE, hops: expectedOf(hops, resources), resources };
  }

  async deploy(parts: Parameters<typeof sampleText>[0] = {}): Promise<number> {
    return (await this.rollout().to(this.target(parts))).revision;
  }

  async close(): Promise<void> {
    await this.api.close();
    this.folder.remove();
  }
}

/** A file with another host. */
export const OTHER_ROUTES = {
  routes: `
  - { hosts: [llm.example.internal, "*.llm.example.internal", more.example.internal], to: llm }
  - { hosts: [reports.example.internal], to: reports, open: a test }`,
};

/** A test with a shop of its own. Several run at the same time: they wait more than they compute. */
export const shopTest = test.extend<{ shop: FakeShop }>({
  shop: async ({}, use) => {
    const shop = await FakeShop.open();
    await use(shop);
    await shop.close();
  },
}).concurrent;
