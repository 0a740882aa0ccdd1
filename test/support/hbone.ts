import { once } from "node:events";
import { readFile } from "node:fs/promises";
import http from "node:http";
import http2 from "node:http2";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";

import type { LocalMesh } from "../../shim/local/mesh.js";

/** Who sends, and whom it trusts, all PEM. */
export interface WorkloadIdentity {
  readonly certificate: string;
  readonly key: string;
  readonly ca: string;
}

interface TunnelResponse {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/**
 * Sends one request to the waypoint at `place` (`ADDRESS:PORT`) as another workload of the mesh would: HTTP/1.1 inside of a
 * CONNECT tunnel to `vip` (`ADDRESS:PORT`), over mutual TLS.
 */
export async function requestByHbone(
  place: string,
  { certificate, key, ca }: WorkloadIdentity,
  vip: string,
  headers: http.OutgoingHttpHeaders,
): Promise<TunnelResponse> {
  const session = http2.connect(`https://${place}`, {
    cert: certificate,
    key,
    ca,
    // A waypoint is known by its SPIFFE identity, not by a host name.
    checkServerIdentity: () => undefined,
  });
  try {
    const tunnel = session.request({ ":method": "CONNECT", ":authority": vip });
    await once(tunnel, "response");
    const outgoing = http.request({ createConnection: () => tunnel, headers, path: "/" });
    outgoing.end();
    const [response] = (await once(outgoing, "response")) as [http.IncomingMessage];
    return { status: response.statusCode ?? 0, headers: response.headers, body: await text(response) };
  } finally {
    session.destroy();
  }
}

/** As `requestByHbone`, to a hop of a local mesh, with the certificate of the hop `caller`. */
export async function requestByTunnel(
  mesh: LocalMesh,
  waypoint: string,
  caller: string,
  vip: string,
  headers: http.OutgoingHttpHeaders,
): Promise<TunnelResponse> {
  const folder = join(dirname(mesh.caPath), caller);
  const envoy = mesh.envoys.find(({ hop }) => hop === waypoint);
  const port = [...(envoy?.listeners.values() ?? [])].find((listener) => listener.port > 0)?.port ?? 0;
  const identity = {
    certificate: await readFile(join(folder, "identity-certificate.pem"), "utf8"),
    key: await readFile(join(folder, "identity-key.pem"), "utf8"),
    ca: mesh.ca,
  };
  return requestByHbone(`127.0.0.1:${String(port)}`, identity, vip, headers);
}
