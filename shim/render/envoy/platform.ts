import type { Mesh } from "../../config/model.js";
import { endpointCluster } from "./cluster.js";
import { type Endpoint, required } from "./input.js";
import type { JsonObject } from "./json.js";
import { IAM_CREDENTIALS_SERVICE, METADATA_SERVICE, outboundCluster, type Service } from "./names.js";

/** The hosts outside the mesh that the filter itself calls: for tokens, and for the keys of the validators. */
export function platformServices(mesh: Mesh): readonly Service[] {
  const keyHosts = new Set([...mesh.validators.values()].map((validator) => validator.jwks.host));
  return [
    ...(mesh.identity.mode === "off" ? [] : [METADATA_SERVICE]),
    ...(mesh.identity.mode === "impersonate" ? [IAM_CREDENTIALS_SERVICE] : []),
    ...[...keyHosts].map((host) => ({ host, port: 443 })),
  ];
}

export function platformClusters(mesh: Mesh, endpoints: ReadonlyMap<string, Endpoint>): readonly JsonObject[] {
  return platformServices(mesh).map((service) =>
    endpointCluster(outboundCluster(service), required(endpoints, service.host, "platform service")),
  );
}
