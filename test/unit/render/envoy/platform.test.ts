import { describe, expect, it } from "vitest";
import type { Validator } from "../../../../shim/config/model.js";
import type { Endpoint } from "../../../../shim/render/envoy/input.js";
import { platformClusters, platformServices } from "../../../../shim/render/envoy/platform.js";
import { everywhere, meshOf } from "./sample.js";

function validator(name: string, host: string): [string, Validator] {
  const jwks = { host, path: "/certs", cacheSec: 600, maxStaleSec: 3600, cooldownSec: 30, timeoutMs: 2000 };
  const caller = { issuers: ["i"], audiences: ["a"], emails: ["*"], algorithm: "RS256", header: undefined } as const;
  return [name, { name, ...caller, forward: true, clockSkewSec: 60, maxLifetimeSec: 3660, jwks }];
}

const validators = new Map([
  validator("google", "www.googleapis.com"),
  validator("google-too", "www.googleapis.com"),
  validator("partner", "keys.partner.example"),
]);
const mesh = meshOf([], [], { validators });

function withIdentity(mode: "metadata" | "impersonate" | "off") {
  return platformServices({ ...mesh, identity: { ...mesh.identity, mode } }).map(({ host }) => host);
}

describe("the services of the platform", () => {
  it("are the metadata server and each key host once", () => {
    expect(platformServices(mesh)).toEqual([
      { host: "metadata.google.internal", port: 80 },
      { host: "www.googleapis.com", port: 443 },
      { host: "keys.partner.example", port: 443 },
    ]);
  });

  it("depend on how tokens are had", () => {
    expect(withIdentity("off")).not.toContain("metadata.google.internal");
    expect(withIdentity("metadata")).not.toContain("iamcredentials.googleapis.com");
    expect(withIdentity("impersonate")).toContain("iamcredentials.googleapis.com");
  });

  it("get the clusters that the filter calls by name, key hosts over TLS with their name checked", () => {
    const place = (name: string) => ({ address: "127.0.0.1", port: 7000, tls: { name, caFile: "/pki/ca.pem" } });
    const clusters = platformClusters(
      mesh,
      new Map<string, Endpoint>([
        ["metadata.google.internal", { address: "127.0.0.1", port: 7001 }],
        ["www.googleapis.com", place("www.googleapis.com")],
        ["keys.partner.example", place("keys.partner.example")],
      ]),
    );
    expect(clusters.map((cluster) => cluster.name)).toEqual([
      "outbound|80||metadata.google.internal",
      "outbound|443||www.googleapis.com",
      "outbound|443||keys.partner.example",
    ]);
    expect(everywhere("exact", clusters[1] ?? {})).toEqual(["www.googleapis.com"]);
  });
});
