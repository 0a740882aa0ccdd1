import { expect, it } from "vitest";

import type { Mesh } from "../../../shim/config/model.js";
import { type Check, examine, type Read, type Result } from "../../../shim/doctor/check.js";
import type { ClusterSeen, SecretSeen } from "../../../shim/doctor/seen.js";
import type { Pod, ProxyStatus } from "../../../shim/kubernetes/proxies.js";
import { createCertificateAuthority } from "../../../shim/local/ca.js";
import type { ExpectedHop, Revision } from "../../../shim/plan/revision.js";
import { podLabels } from "../../../shim/render/istio/destination-rule.js";
import { type Resource, titleOf } from "../../../shim/render/istio/resource.js";
import { resourcesOf, sample } from "../render/istio/sample.js";

/** A case in which a check fails, and a part of what it then says. */
export interface Case<Seen> {
  readonly code: string;
  readonly what: string;
  readonly seen: () => Seen;
  readonly says: string;
}

/** Each of `checks` passes where all is well, and fails in each of the cases, of which there is one for every code. */
export function describeChecks<Seen>(
  checks: readonly Check<Seen>[],
  healthy: () => Seen,
  cases: readonly Case<Seen>[],
): void {
  it.each(checks.map(({ code, title }) => ({ code, title })))("$code where all is well: $title", ({ code }) => {
    expect(resultOf(checks, healthy(), code)).toMatchObject({ state: "passed", findings: [], unknowns: [] });
  });

  it.each(cases)("$code fails with $what", ({ code, seen, says }) => {
    const { state, findings } = resultOf(checks, seen(), code);
    expect(state).toBe("failed");
    const text = findings.map(({ about, reason }) => `${about}: ${reason}`).join("\n");
    expect(text).toContain(says);
    for (const { fix } of findings) expect(fix).not.toBe("");
  });

  it("there is a case for every code", () => {
    const provoked = new Set(cases.map(({ code }) => code));
    expect(checks.map(({ code }) => code).filter((code) => !provoked.has(code))).toEqual([]);
  });
}

export function resultOf<Seen>(checks: readonly Check<Seen>[], seen: Seen, code: string): Result {
  const result = examine(
    checks.filter((check) => check.code === code),
    seen,
  )[0];
  if (result === undefined) throw new Error(`no check ${code}`);
  return result;
}

export const NOW_MS = Date.parse("2026-03-01T12:00:00Z");

const authority = await createCertificateAuthority();

/** PEM of a certificate for these names, from now on for a while. */
export async function certificateFor(...dnsNames: readonly string[]): Promise<string> {
  return (await authority.issue({ dnsNames })).certificate;
}

export const CERTIFICATE = await certificateFor("*.example.internal", "*.llm.example.internal");

const MESH = sample({ more: "imagePullSecret: pull\ntiming: { expose: trace, key: 0123456789abcdef }\n" });

export function known<T>(value: T): Read<T> {
  return { value };
}

export function pod(
  namespace: string,
  name: string,
  more: Partial<Pod["metadata"]> = {},
  image = "istio/proxyv2:1.31.1",
): Pod {
  return {
    metadata: { name, namespace, ...more },
    spec: { containers: [{ image: `docker.io/${image}` }] },
    status: { phase: "Running" },
  };
}

export function proxy(
  more: Partial<ProxyStatus> = {},
  report: Partial<NonNullable<ProxyStatus["report"]>> = {},
): ProxyStatus {
  return {
    hop: "ingress",
    namespace: "istio-ingress",
    pod: "ingress-0",
    state: "loaded",
    reason: "",
    report: {
      workers: 2,
      running: [],
      configurationBytes: 1,
      requests: {},
      tokenFetches: { ok: 2 },
      keyFetches: { ok: 1 },
      errors: [],
      hasLabels: true,
      ...report,
    },
    ...more,
  };
}

export function revision(number: number, more: Partial<Revision> = {}): Revision {
  return {
    format: 1,
    number,
    state: "deployed",
    mesh: "shop",
    image: "registry.example.com/hopgate/filter",
    hops: [],
    resources: [],
    adopted: [],
    startedAt: "2026-03-01T11:00:00Z",
    ...more,
  };
}

/** Everything is as it should be, and deployed. */
export function healthy(mesh: Mesh = MESH): ClusterSeen {
  const resources = resourcesOf(mesh);
  const hops = [...mesh.hops.values()];
  const namespaces = [...new Set(hops.map(({ namespace }) => namespace))];
  const of = (kinds: readonly string[]): ReadonlyMap<string, Read<readonly Resource[]>> =>
    new Map(
      namespaces.map((namespace) => [
        namespace,
        known(resources.filter(({ kind, metadata }) => kinds.includes(kind) && metadata.namespace === namespace)),
      ]),
    );
  const expected: readonly ExpectedHop[] = hops.map((hop) => ({
    hop: hop.name,
    kind: hop.kind,
    namespace: hop.namespace,
    podLabels: podLabels(hop),
    config: "0",
    module: "0",
  }));
  return {
    mesh,
    api: "wasmplugin",
    resources,
    deployed: { resources, hops: expected },
    nowMs: NOW_MS,
    kinds: known(new Set(resources.map(({ apiVersion, kind }) => `${apiVersion}/${kind}`))),
    groups: known(["networking.istio.io", "apps"]),
    failStrategies: known(["FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"]),
    missingRights: known({ user: undefined, rights: new Map() }),
    revisions: known([revision(1)]),
    live: new Map(resources.map((resource) => [titleOf(resource), known(resource)])),
    serviceEntries: known({ found: [] }),
    plugins: of(["WasmPlugin", "TrafficExtension"]),
    destinationRules: of(["DestinationRule"]),
    pods: new Map(hops.map(({ name, namespace }) => [name, known([pod(namespace, `${name}-0`)])])),
    neighbours: new Map(),
    services: new Map([["llm-ns/llm", known({ ports: [80], isExternal: false, readyEndpoints: known(2) })]]),
    secrets: new Map<string, Read<SecretSeen | undefined>>([
      ["istio-ingress/shop-tls", known({ type: "kubernetes.io/tls", certificate: CERTIFICATE, hasKey: true })],
      ...namespaces.map(
        (namespace) =>
          [
            `${namespace}/pull`,
            known({ type: "kubernetes.io/dockerconfigjson", certificate: undefined, hasKey: false }),
          ] as const,
      ),
    ]),
    drift: known([]),
    proxies: known([proxy(), proxy({ hop: "agents", namespace: "agents", pod: "waypoint-0" })]),
    moduleFetches: new Map(),
  };
}

/** Healthy, with some things other. */
export function seenWith(more: Partial<ClusterSeen>): ClusterSeen {
  return { ...healthy(), ...more };
}

/** Healthy, with one live resource other than it was deployed; undefined: gone. */
export function liveWith(title: string, change: ((resource: Resource) => object) | undefined): ClusterSeen {
  const seen = healthy();
  const resource = seen.resources.find((one) => titleOf(one) === title);
  if (resource === undefined) throw new Error(`no ${title} among ${seen.resources.map(titleOf).join(", ")}`);
  const found = change === undefined ? undefined : { ...resource, ...change(resource) };
  return { ...seen, live: new Map([...seen.live, [title, known(found)]]) };
}

/** Healthy, with one more plugin in a namespace. */
export function pluginWith(namespace: string, spec: object, name = "by-hand"): ClusterSeen {
  const seen = healthy();
  const plugin = {
    apiVersion: "extensions.istio.io/v1alpha1",
    kind: "WasmPlugin",
    metadata: { name, namespace },
    spec,
  } as unknown as Resource;
  const others = seen.plugins.get(namespace);
  const list = others !== undefined && "value" in others ? others.value : [];
  return { ...seen, plugins: new Map([...seen.plugins, [namespace, known([...list, plugin])]]) };
}
