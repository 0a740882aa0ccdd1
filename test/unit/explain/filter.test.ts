import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { askFilter } from "../../../shim/explain/answer.js";
import { refusalsOf, startFilter } from "../../../shim/explain/filter.js";
import { UsageError } from "../../../shim/errors.js";
import { wasmPath } from "../../../shim/package-root.js";
import type { PluginConfig } from "../../../shim/render/plugin-config.js";
import { isFilterBuilt } from "../commands/support.js";

const CONFIG: PluginConfig = {
  hop: "inner",
  routes: [{ hosts: ["kb.example.internal"], to: [{ backend: "kb", weight: 100 }] }],
  backends: { kb: { token: { audience: "https://kb.example/?a=b&c" } } },
  // As short as it can be: the answer must come before it is over.
  identity: { cluster: "metadata", timeoutMs: 1 },
};

const REQUEST = [
  [":method", "GET"],
  [":path", "/"],
  [":authority", "kb.example.internal"],
] as const;

describe.skipIf(!isFilterBuilt)("the filter (needs build/hopgate.wasm)", () => {
  const module = isFilterBuilt ? readFileSync(wasmPath()) : new Uint8Array();

  it("says for each configuration why it refuses it", async () => {
    const twice = { ...CONFIG, hop: "twice", routes: [...CONFIG.routes, ...CONFIG.routes] };
    const empty = { ...CONFIG, hop: "empty", backends: {} };
    expect(await refusalsOf(module, [twice, CONFIG, empty])).toEqual([
      "routes[1].hosts[0]: is listed twice",
      undefined,
      "routes[0].to[0].backend: names no backend",
    ]);
  });

  it("is not asked with a configuration that it refuses", async () => {
    await expect(startFilter(module, { ...CONFIG, hop: "Inner" }, REQUEST)).rejects.toThrow(UsageError);
  });

  it("gets a token for the audience that it asks for, whatever its letters and its timeout", async () => {
    const { outcome, token } = askFilter(await startFilter(module, CONFIG, REQUEST), REQUEST, {});
    expect({ outcome, token }).toEqual({
      outcome: "routed",
      token: { audience: "https://kb.example/?a=b&c", header: "authorization" },
    });
  });

  it("gets the token of the service account that it is to impersonate", async () => {
    const impersonate = { serviceAccount: "a@p.iam.gserviceaccount.com", cluster: "iam", authority: "iam.example" };
    const config = { ...CONFIG, identity: { mode: "impersonate", cluster: "metadata", impersonate } } as const;
    const { token } = askFilter(await startFilter(module, config, REQUEST), REQUEST, {});
    expect(token).toEqual({ audience: "https://kb.example/?a=b&c", header: "authorization" });
  });

  it.each(["RS256", "ES256"] as const)("gets a key for the token that it is asked about: %s", async (algorithm) => {
    const jwks = { cluster: "keys", authority: "keys.example", path: "/keys", timeoutMs: 1, cooldownSec: 1 };
    const validator = { issuers: ["https://a"], audiences: ["https://b"], emails: ["*"], algorithm, jwks };
    const config = {
      ...CONFIG,
      validate: "one",
      validators: { one: validator, two: { ...validator, emails: ["a@b.c"] } },
    };
    const claims = { iss: "https://a", aud: "https://b", exp: Math.floor(Date.now() / 1000) + 60 };
    const head = JSON.stringify({ alg: algorithm, kid: 'a "b"' });
    const parts = [head, JSON.stringify(claims), Buffer.alloc(64, 1)];
    const token = parts.map((part) => Buffer.from(part).toString("base64url")).join(".");
    const request = [...REQUEST, ["authorization", `Bearer ${token}`]] as const;
    const answer = askFilter(await startFilter(module, config, request), request, {});
    expect([answer.outcome, answer.reply]).toEqual(["routed", null]);
    expect(answer.token).toEqual({ audience: "https://kb.example/?a=b&c", header: "x-serverless-authorization" });
  });

  it("leaves the headers that are no hop's alone", async () => {
    const { removed, set } = askFilter(
      await startFilter(module, CONFIG, REQUEST),
      [...REQUEST, ["x-a", "b"], ["x-a", "c"]],
      {},
    );
    expect(removed).toEqual([]);
    expect(set.map(([name]) => name).sort()).toEqual(["x-hopgate-backend", "x-hopgate-path"]);
  });
});
