/**
 * A private certificate authority that lives as long as the local mesh does, in the place of
 * cert-manager (server certificates) and istiod (workload certificates with SPIFFE names).
 */

import "reflect-metadata";

import { randomBytes, webcrypto } from "node:crypto";

import * as x509 from "@peculiar/x509";

import type { TlsIdentity } from "./server.js";

const KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256" };
const SIGNING_ALGORITHM = { name: "ECDSA", hash: "SHA-256" };
const LIFETIME_MS = 24 * 60 * 60 * 1000;
/** Certificates begin a little in the past: the clocks of two machines never agree. */
const BACKDATE_MS = 60_000;
const AUTHORITY_NAME = "O=hopgate local mesh, CN=hopgate local mesh CA";

/** At least one name of any kind. */
export interface CertificateRequest {
  /** DNS names; `*.example.internal` covers one label. */
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  /** Such as `spiffe://cluster.local/ns/agents/sa/waypoint`. The certificate then serves clients too (mesh mTLS). */
  readonly spiffeId?: string;
}

export interface CertificateAuthority {
  /** The root, PEM: what clients must trust. */
  readonly certificate: string;
  /** A new key (PKCS #8) and a certificate signed directly by the root, both PEM. */
  issue(request: CertificateRequest): Promise<TlsIdentity>;
}

/** Makes a new authority: ECDSA P-256, valid for 24 hours, as is everything that it issues. */
export async function createCertificateAuthority(): Promise<CertificateAuthority> {
  const keys = await generateKeys();
  const validity = validityFromNow();
  const root = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: randomSerial(),
      name: AUTHORITY_NAME,
      ...validity,
      signingAlgorithm: SIGNING_ALGORITHM,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );

  async function issue(request: CertificateRequest): Promise<TlsIdentity> {
    const leafKeys = await generateKeys();
    const leaf = await x509.X509CertificateGenerator.create(
      {
        serialNumber: randomSerial(),
        issuer: root.subject,
        // The root's own validity: a leaf that outlives its issuer is valid nowhere.
        ...validity,
        signingAlgorithm: SIGNING_ALGORITHM,
        publicKey: leafKeys.publicKey,
        signingKey: keys.privateKey,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension(extendedUsages(request)),
          // Critical because the subject is empty (RFC 5280, 4.2.1.6).
          new x509.SubjectAlternativeNameExtension(alternativeNames(request), true),
          await x509.SubjectKeyIdentifierExtension.create(leafKeys.publicKey, false, webcrypto),
          await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
        ],
      },
      webcrypto,
    );
    return { certificate: leaf.toString("pem"), key: await exportKey(leafKeys.privateKey) };
  }

  return { certificate: root.toString("pem"), issue };
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(KEY_ALGORITHM, true, ["sign", "verify"]);
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY");
}

function validityFromNow(): { notBefore: Date; notAfter: Date } {
  const notBefore = Date.now() - BACKDATE_MS;
  return { notBefore: new Date(notBefore), notAfter: new Date(notBefore + LIFETIME_MS) };
}

/** 127 random bits, hexadecimal: positive, and well under the 20 bytes that RFC 5280 allows. */
function randomSerial(): string {
  const bytes = randomBytes(16);
  // The top bit would make the DER integer negative; the next one keeps the length constant.
  bytes.writeUInt8((bytes.readUInt8(0) & 0x7f) | 0x40, 0);
  return bytes.toString("hex");
}

function extendedUsages(request: CertificateRequest): x509.ExtendedKeyUsage[] {
  const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
  return request.spiffeId === undefined ? [serverAuth] : [serverAuth, clientAuth];
}

function alternativeNames({ dnsNames = [], ipAddresses = [], spiffeId }: CertificateRequest): x509.JsonGeneralNames {
  const names: x509.JsonGeneralNames = [
    ...dnsNames.map((value) => ({ type: "dns" as const, value })),
    ...ipAddresses.map((value) => ({ type: "ip" as const, value })),
  ];
  if (spiffeId !== undefined) names.push({ type: "url", value: spiffeId });
  if (names.length === 0) throw new Error("a certificate needs at least one name");
  return names;
}
