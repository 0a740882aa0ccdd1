import { isIP } from "node:net";
import type { KeyPair, WorkloadCertificate } from "./input.js";
import { extension, type JsonObject } from "./json.js";
import { TRUST_DOMAIN } from "./names.js";

const CONTEXTS = "envoy.extensions.transport_sockets.tls.v3";
const SOCKET = "envoy.transport_sockets.tls";

/** What a gateway shows its callers (Istio: Gateway server, TLS mode SIMPLE). */
export function servingTls(serving: KeyPair): JsonObject {
  return extension(SOCKET, `${CONTEXTS}.DownstreamTlsContext`, {
    common_tls_context: {
      alpn_protocols: ["h2", "http/1.1"],
      tls_params: { tls_minimum_protocol_version: "TLSv1_2", tls_maximum_protocol_version: "TLSv1_3" },
      tls_certificates: [certificate(serving)],
    },
    require_client_certificate: false,
  });
}

/**
 * TLS origination (Istio: DestinationRule, TLS mode SIMPLE). `sni` alone checks no name: a token would go to whoever
 * holds any certificate of a trusted authority. So the same name is always asked for in the certificate too.
 */
export function originateTls(name: string, caFile: string): JsonObject {
  const address = isIP(name) !== 0;
  return extension(SOCKET, `${CONTEXTS}.UpstreamTlsContext`, {
    // RFC 6066, 3: no literal addresses in server_name.
    ...(address ? {} : { sni: name }),
    common_tls_context: {
      tls_params: { tls_minimum_protocol_version: "TLSv1_2", tls_maximum_protocol_version: "TLSv1_3" },
      validation_context: {
        trusted_ca: { filename: caFile },
        match_typed_subject_alt_names: [{ san_type: address ? "IP_ADDRESS" : "DNS", matcher: { exact: name } }],
      },
    },
  });
}

/** Server side of HBONE: only workloads of the mesh may open a tunnel. */
export function hboneServerTls(identity: WorkloadCertificate): JsonObject {
  return extension(SOCKET, `${CONTEXTS}.DownstreamTlsContext`, {
    common_tls_context: meshContext(identity),
    require_client_certificate: true,
  });
}

/** Client side of HBONE. */
export function hboneClientTls(identity: WorkloadCertificate): JsonObject {
  return extension(SOCKET, `${CONTEXTS}.UpstreamTlsContext`, { common_tls_context: meshContext(identity) });
}

/** Both sides check the same: TLS 1.3, and a SPIFFE ID of our trust domain (buildCommonConnectTLSContext). */
function meshContext(identity: WorkloadCertificate): JsonObject {
  return {
    alpn_protocols: ["h2"],
    tls_params: { tls_minimum_protocol_version: "TLSv1_3", tls_maximum_protocol_version: "TLSv1_3" },
    tls_certificates: [certificate(identity)],
    validation_context: {
      trusted_ca: { filename: identity.caFile },
      match_typed_subject_alt_names: [{ san_type: "URI", matcher: { prefix: `spiffe://${TRUST_DOMAIN}/` } }],
    },
  };
}

function certificate(pair: KeyPair): JsonObject {
  return { certificate_chain: { filename: pair.certificateFile }, private_key: { filename: pair.keyFile } };
}
