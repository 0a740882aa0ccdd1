import { createPrivateKey, X509Certificate } from "node:crypto";
import tls from "node:tls";

import { describe, expect, it } from "vitest";

import { createCertificateAuthority } from "../../../shim/local/ca.js";
import { startHttpServer } from "../../../shim/local/server.js";
import { closedAfterEach, send } from "./support.js";

const authority = await createCertificateAuthority();
const keep = closedAfterEach();
const HOUR_MS = 3_600_000;

async function issue(request: Parameters<typeof authority.issue>[0]): Promise<X509Certificate> {
  return new X509Certificate((await authority.issue(request)).certificate);
}

describe("the private certificate authority", () => {
  it("signs itself and may sign leaves, but no further authority", () => {
    const root = new X509Certificate(authority.certificate);
    expect(root.ca).toBe(true);
    expect(root.verify(root.publicKey)).toBe(true);
    expect(root.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: "prime256v1" });
  });

  it("issues certificates that it signed, with a key that is theirs", async () => {
    const { certificate, key } = await authority.issue({ dnsNames: ["llm.example.internal"] });
    const leaf = new X509Certificate(certificate);
    const root = new X509Certificate(authority.certificate);
    expect(leaf.checkIssued(root)).toBe(true);
    expect(leaf.verify(root.publicKey)).toBe(true);
    expect(leaf.checkPrivateKey(createPrivateKey(key))).toBe(true);
    expect(leaf.ca).toBe(false);
  });

  it("begins validity a minute in the past and ends it within a day", async () => {
    const leaf = await issue({ dnsNames: ["a.example"] });
    const ageMs = Date.now() - Date.parse(leaf.validFrom);
    expect(ageMs).toBeGreaterThan(50_000);
    expect(ageMs).toBeLessThan(HOUR_MS);
    expect(Date.parse(leaf.validTo) - Date.parse(leaf.validFrom)).toBe(24 * HOUR_MS);
  });

  it("gives each certificate its own positive serial of 16 bytes", async () => {
    const serials = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => (await issue({ dnsNames: [`s${index}.example`] })).serialNumber),
    );
    expect(new Set(serials).size).toBe(20);
    for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9A-F]{31}$/);
  });

  it("names DNS wildcards, addresses and SPIFFE identities", async () => {
    const spiffeId = "spiffe://cluster.local/ns/agents/sa/waypoint";
    const leaf = await issue({ dnsNames: ["*.agents.example.internal"], ipAddresses: ["127.0.0.1", "::1"], spiffeId });
    expect(leaf.subjectAltName).toBe(
      `DNS:*.agents.example.internal, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, URI:${spiffeId}`,
    );
    expect(leaf.checkHost("kb.agents.example.internal")).toBe("*.agents.example.internal");
    expect(leaf.checkHost("agents.example.internal")).toBeUndefined();
  });

  it("lets only SPIFFE certificates serve clients", async () => {
    const [serverAuth, clientAuth] = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"];
    expect((await issue({ dnsNames: ["a.example"] })).keyUsage).toEqual([serverAuth]);
    expect((await issue({ spiffeId: "spiffe://cluster.local/ns/a/sa/b" })).keyUsage).toEqual([serverAuth, clientAuth]);
  });

  it("refuses to issue a certificate without a name", async () => {
    await expect(authority.issue({})).rejects.toThrow("at least one name");
  });

  it("is enough for a TLS client to trust a server, under its names only", async () => {
    const identity = await authority.issue({ dnsNames: ["*.example.internal"] });
    const server = await keep(startHttpServer((_, response) => void response.end("hello"), { tls: identity }));
    const ca = authority.certificate;
    const reply = await send(server.origin, "/", { ca, servername: "kb.example.internal" });
    expect(reply.body).toBe("hello");
    await expect(send(server.origin, "/", { ca, servername: "kb.example.org" })).rejects.toThrow("altnames");
    const other = await createCertificateAuthority();
    await expect(
      send(server.origin, "/", { ca: other.certificate, servername: "kb.example.internal" }),
    ).rejects.toThrow(/certificate/);
  });

  it("serves both sides of mutual TLS", async () => {
    const ca = authority.certificate;
    const serverSide = await authority.issue({ spiffeId: "spiffe://cluster.local/ns/agents/sa/waypoint" });
    const clientSide = await authority.issue({ spiffeId: "spiffe://cluster.local/ns/istio-ingress/sa/gateway" });
    const plain = await authority.issue({ dnsNames: ["gateway.example.internal"] });
    const mutual = { requestCert: true, rejectUnauthorized: true, ca };
    const server = tls.createServer({ cert: serverSide.certificate, key: serverSide.key, ...mutual });
    const listening = new Promise<number>((resolve) =>
      server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port)),
    );
    const port = await listening;
    try {
      const peerOf = (identity: { certificate: string; key: string }): Promise<string> =>
        new Promise((resolve, reject) => {
          server.once("secureConnection", (socket) => {
            resolve(socket.getPeerX509Certificate()?.subjectAltName ?? "none");
            socket.destroy();
          });
          server.once("tlsClientError", reject);
          const options = { ca, cert: identity.certificate, key: identity.key, checkServerIdentity: () => undefined };
          tls.connect({ host: "127.0.0.1", port, ...options }).on("error", () => undefined);
        });
      expect(await peerOf(clientSide)).toBe("URI:spiffe://cluster.local/ns/istio-ingress/sa/gateway");
      // A certificate for servers alone is no client's.
      await expect(peerOf(plain)).rejects.toThrow();
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });
});
