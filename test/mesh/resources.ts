/** What a person would write to run the filter by hand. */

import type { TlsIdentity } from "../../shim/local/server.js";
import type { PluginConfig } from "../../shim/render/plugin-config.js";

/** The proxies that a WasmPlugin or an EnvoyFilter is for. */
export type Target = { readonly selector: Readonly<Record<string, string>> } | { readonly gateway: string };

export function wasmPlugin(
  namespace: string,
  name: string,
  target: Target,
  url: string,
  pluginConfig: PluginConfig,
): object {
  return {
    apiVersion: "extensions.istio.io/v1alpha1",
    kind: "WasmPlugin",
    metadata: { namespace, name },
    spec: {
      ...("selector" in target
        ? { selector: { matchLabels: target.selector } }
        : { targetRefs: [gatewayRef(target.gateway)] }),
      url: `oci://${url}`,
      failStrategy: "FAIL_RELOAD",
      pluginConfig,
    },
  };
}

/** Brings the clusters of `hosts` to proxies that no route would bring them to. */
export function referencedServices(namespace: string, target: Target, hosts: readonly string[]): object {
  return {
    apiVersion: "networking.istio.io/v1alpha3",
    kind: "EnvoyFilter",
    metadata: {
      namespace,
      name: "referenced-services",
      annotations: { "envoyfilter.istio.io/referenced-services": hosts.join(",") },
    },
    spec:
      "selector" in target
        ? { workloadSelector: { labels: target.selector } }
        : { targetRefs: [gatewayRef(target.gateway)] },
  };
}

function gatewayRef(name: string): object {
  return { group: "gateway.networking.k8s.io", kind: "Gateway", name };
}

/** Google's metadata server, as a host of the mesh. */
export function metadataServer(namespace: string): object {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata: { namespace, name: "metadata" },
    spec: {
      hosts: ["metadata.google.internal"],
      location: "MESH_EXTERNAL",
      resolution: "DNS",
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
    },
  };
}

/** A host of Cloud Run's, reached with TLS whose certificate must have its name. */
export function cloudRunHost(namespace: string, host: string, labels: Readonly<Record<string, string>> = {}): object[] {
  const name = host.split(".", 1)[0] ?? "";
  return [
    {
      apiVersion: "networking.istio.io/v1",
      kind: "ServiceEntry",
      metadata: { namespace, name, labels },
      spec: {
        hosts: [host],
        location: "MESH_EXTERNAL",
        resolution: "DNS",
        ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: 443 }],
      },
    },
    {
      apiVersion: "networking.istio.io/v1",
      kind: "DestinationRule",
      metadata: { namespace, name },
      spec: { host, trafficPolicy: { tls: { mode: "SIMPLE", sni: host, subjectAltNames: [host] } } },
    },
  ];
}

export function tlsSecret(namespace: string, name: string, { certificate, key }: TlsIdentity): object {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { namespace, name },
    type: "kubernetes.io/tls",
    stringData: { "tls.crt": certificate, "tls.key": key },
  };
}
