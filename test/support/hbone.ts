import { once } from "node:events";
import { readFile } from "node:fs/promises";
import http from "node:http";
import http2 from "node:http2";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";

import type { LocalMesh } from "../../shim/local/mesh.js";

/**
 * Sends one request to a waypoint as another workload of the mesh would: HTTP/1.1 inside of a CONNECT tunnel to `vip`
 * (`ADDRESS:PORT`), over mutual TLS with the certificate of the hop `caller`.
 */
export async function requestByTunnel(
  mesh: LocalMesh,
  waypoint: string,
  caller: string,
  vip: string,
  headers: http.OutgoingHttpHeaders,
): Promise<{ status: number; headers: http.IncomingHttpHeaders; body: string }> {
  const folder = join(dirname(mesh.caPath), caller);
  const envoy = mesh.envoys.find(({ hop }) => hop === waypoint);
  const port = [...(envoy?.listeners.values() ?? [])].find((listener) => listener.port > 0)?.port ?? 0;
  const session = http2.connect(`https://127.0.0.1:${port}`, {
    cert: await readFile(join(folder, "identity-certificate.pem")),
    key: await readFile(join(folder, "identity-key.pem")),
    ca: mesh.ca,
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
