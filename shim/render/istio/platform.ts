import type { Hop, Mesh } from "../../config/model.js";
import { METADATA_SERVICE } from "../envoy/names.js";
import { pluginConfigFor } from "../plugin-config-for.js";
import { originateTls, podLabels } from "./destination-rule.js";
import { metadataOf } from "./labels.js";
import { gatewayRef, type Resource } from "./resource.js";
import { serviceEntry } from "./service-entry.js";

/** The hosts that the filter of a hop calls itself: for tokens, and for the keys of validators. */
function calledHosts(mesh: Mesh, hop: Hop): readonly { readonly host: string; readonly port: number }[] {
  const { identity, validators = {} } = pluginConfigFor(mesh, hop.name);
  const clusters = [
    identity?.cluster,
    identity?.impersonate?.cluster,
    ...Object.values(validators).map(({ jwks }) => jwks.cluster),
  ];
  const names = new Set(clusters.filter((cluster) => cluster !== undefined));
  return [...names].map((cluster) => {
    const [, port = "", , host = ""] = cluster.split("|");
    return { host, port: Number(port) };
  });
}

/** What makes those hosts known, and brings their clusters into the proxies of the hop, which Istio else leaves out. */
export function platform(mesh: Mesh, hop: Hop): readonly Resource[] {
  const called = calledHosts(mesh, hop);
  if (called.length === 0) return [];
  return [
    ...called.flatMap(({ host, port }) => {
      const part = host.replaceAll(".", "-");
      if (host === METADATA_SERVICE.host) {
        return [serviceEntry(mesh, hop.namespace, part, { host, port: { number: port, protocol: "HTTP" } })];
      }
      return [
        // HTTPS, so that whoever else in the namespace speaks TLS to the host himself still can.
        serviceEntry(mesh, hop.namespace, part, { host, port: { number: port, protocol: "HTTPS" } }),
        originateTls(mesh, hop, part, host),
      ];
    }),
    referencedServices(
      mesh,
      hop,
      called.map(({ host }) => host),
    ),
  ];
}

/** An EnvoyFilter that patches nothing. Istio reads the annotation, in which a space after the comma would be part of a name. */
function referencedServices(mesh: Mesh, hop: Hop, hosts: readonly string[]): Resource {
  return {
    apiVersion: "networking.istio.io/v1alpha3",
    kind: "EnvoyFilter",
    metadata: {
      ...metadataOf(mesh, hop.namespace, hop, hop.name),
      annotations: { "envoyfilter.istio.io/referenced-services": hosts.join(",") },
    },
    spec:
      hop.gateway === undefined
        ? { workloadSelector: { labels: podLabels(hop) } }
        : { targetRefs: [gatewayRef(hop.gateway)] },
  };
}
