import type { Hop, Mesh } from "../../config/model.js";
import { GATEWAY_NAME_LABEL } from "../../config/mesh-of.js";
import { metadataOf } from "./labels.js";
import type { Resource } from "./resource.js";

/** Labels of the Pods of a hop. */
export function podLabels(hop: Hop): Readonly<Record<string, string>> {
  return hop.kind === "waypoint" ? { [GATEWAY_NAME_LABEL]: hop.gateway } : hop.selector;
}

/**
 * TLS from the Pods of `hop` to `host`. The name is in the SNI and is looked for in the certificate, which has to come from a
 * root that the proxy's system trusts: with `sni` alone Istio would take any certificate.
 */
export function originateTls(mesh: Mesh, hop: Hop, part: string, host: string): Resource {
  return destinationRule(mesh, hop, part, host, podLabels(hop));
}

/**
 * TLS from a waypoint to a host that is bound to it. Istio honours no workload selector there (it looks the rule up as for inbound
 * traffic), so the rule is for the waypoint's whole namespace, and for no other.
 */
export function originateTlsAtWaypoint(mesh: Mesh, hop: Hop, part: string, host: string): Resource {
  return destinationRule(mesh, hop, part, host, undefined);
}

function destinationRule(
  mesh: Mesh,
  hop: Hop,
  part: string,
  host: string,
  matchLabels: Readonly<Record<string, string>> | undefined,
): Resource {
  // "system" is what Istio takes where it is left out; before 1.22, that meant no check at all.
  const tls = { mode: "SIMPLE", sni: host, subjectAltNames: [host], caCertificates: "system" };
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "DestinationRule",
    metadata: metadataOf(mesh, hop.namespace, hop, hop.name, part),
    spec: {
      host,
      exportTo: ["."],
      ...(matchLabels !== undefined && { workloadSelector: { matchLabels } }),
      trafficPolicy: { tls },
    },
  };
}
