import type { Mesh } from "../config/model.js";
import type { Read } from "../doctor/check.js";
import type { NamespaceSeen, SecretSeen, ServiceSeen } from "../doctor/seen.js";
import { Failure } from "../errors.js";
import { pluralOf } from "../render/istio/api-path.js";
import { meshNameOf } from "../render/istio/labels.js";
import type { Resource } from "../render/istio/resource.js";
import { ApiError, each, type Objects } from "./objects.js";

/** What was read, or why not: nothing that is forbidden or gone wrong ends a survey. */
export async function reading<T>(work: () => Promise<T>): Promise<Read<T>> {
  try {
    return { value: await work() };
  } catch (error) {
    if (error instanceof Failure) return { unknown: error.message };
    throw error;
  }
}

/** A Service and how many of its endpoints are ready; undefined: it is not there. */
export async function readService(objects: Objects, namespace: string, name: string): Promise<ServiceSeen | undefined> {
  const service = await objects.get({ apiVersion: "v1", kind: "Service", metadata: { name, namespace } });
  if (service === undefined) return undefined;
  const { type, ports = [] } = (service["spec"] ?? {}) as unknown as {
    readonly type?: string;
    readonly ports?: readonly { readonly port: number }[];
  };
  return {
    ports: ports.map(({ port }) => port),
    isExternal: type === "ExternalName",
    readyEndpoints: await reading(() => readyEndpoints(objects, namespace, name)),
  };
}

interface Port {
  readonly name?: string;
  readonly appProtocol?: string;
  readonly protocol?: string;
}

/** By what the port says; where it says nothing, it may be HTTP (https://istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection/). */
function isOtherProtocol({ name = "", appProtocol = name, protocol = "TCP" }: Port): boolean {
  return protocol !== "TCP" || /^(?:tcp|tls|https|mysql|mongo|redis)(?:-|$)/.test(appProtocol);
}

/** A namespace's labels, and its Services with theirs. */
export async function readNamespace(objects: Objects, namespace: string): Promise<NamespaceSeen> {
  const path = `/api/v1/namespaces/${namespace}`;
  interface Labelled {
    readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
    readonly spec?: { readonly type?: string; readonly ports?: readonly Port[] };
  }
  const [{ metadata }, { items }] = await Promise.all([
    objects.request<Labelled>({ method: "GET", path }, `read the Namespace ${namespace}`),
    objects.request<{ readonly items: readonly Labelled[] }>(
      { method: "GET", path: `${path}/services` },
      `list the Services of ${namespace}`,
    ),
  ]);
  return {
    labels: metadata.labels ?? {},
    services: items.map(({ metadata: { name, labels = {} }, spec }) => ({
      name,
      labels,
      isOther: spec?.type === "ExternalName" || (spec?.ports ?? []).every(isOtherProtocol),
    })),
  };
}

async function readyEndpoints(objects: Objects, namespace: string, service: string): Promise<number> {
  const { items } = await objects.request<{
    readonly items: readonly {
      readonly endpoints?: readonly { readonly conditions?: { readonly ready?: boolean } }[];
    }[];
  }>(
    {
      method: "GET",
      path: `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`,
      query: { labelSelector: `kubernetes.io/service-name=${service}` },
    },
    `list the EndpointSlices of ${namespace}`,
  );
  // Not said is ready (the API's own words).
  return items.flatMap(({ endpoints }) => endpoints ?? []).filter(({ conditions }) => conditions?.ready !== false)
    .length;
}

/** What a Secret holds, without its key; undefined: it is not there. */
export async function readSecret(objects: Objects, namespace: string, name: string): Promise<SecretSeen | undefined> {
  const secret = await objects.get({ apiVersion: "v1", kind: "Secret", metadata: { name, namespace } });
  if (secret === undefined) return undefined;
  const { type = "", data = {} } = secret as unknown as {
    readonly type?: string;
    readonly data?: Readonly<Record<string, string>>;
  };
  // Istio takes both pairs of names.
  const certificate = data["tls.crt"] ?? data["cert"];
  return {
    type,
    certificate: certificate === undefined ? undefined : Buffer.from(certificate, "base64").toString("utf8"),
    hasKey: data["tls.key"] !== undefined || data["key"] !== undefined,
  };
}

/** All of a kind in a namespace, or in all of them; empty where the cluster does not know the kind. */
export async function readAll(
  objects: Objects,
  apiVersion: string,
  kind: string,
  namespace?: string,
): Promise<readonly Resource[]> {
  const where = namespace === undefined ? "" : `/namespaces/${namespace}`;
  try {
    const { items } = await objects.request<{ readonly items: readonly Omit<Resource, "kind" | "apiVersion">[] }>(
      { method: "GET", path: `/apis/${apiVersion}${where}/${pluralOf({ kind })}` },
      `list the ${pluralOf({ kind })} of ${namespace ?? "all namespaces"}`,
    );
    // The items of a list do not say what they are.
    return items.map((item) => ({ ...item, apiVersion, kind }) as Resource);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return [];
    throw error;
  }
}

export const PLUGINS = ["WasmPlugin", "TrafficExtension"];

/** Every plugin of a namespace, whoever made it. */
export async function readPlugins(objects: Objects, namespace: string): Promise<readonly Resource[]> {
  const lists = await each(PLUGINS, (kind) => readAll(objects, "extensions.istio.io/v1alpha1", kind, namespace));
  return lists.flat();
}

/** The plugins of a mesh that are in the namespaces of its hops, by their labels. */
export async function readOwnPlugins(objects: Objects, mesh: Mesh): Promise<readonly Resource[]> {
  const namespaces = [...new Set([...mesh.hops.values()].map(({ namespace }) => namespace))];
  const lists = await each(namespaces, (namespace) => readPlugins(objects, namespace));
  return lists.flat().filter((plugin) => meshNameOf(plugin) === mesh.name);
}
