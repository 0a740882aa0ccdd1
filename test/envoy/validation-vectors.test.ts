import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { PluginConfig, PluginValidator } from "../../shim/render/plugin-config.js";
import { callerToken, google, keySet, validating, validator } from "../support/caller-token.js";
import { realEnvoy } from "../support/real-envoy.js";
import { vectors } from "../support/vectors.js";
import { liveClaims, outcome, startValidating, type ValidatingHop } from "./validating.js";

const envoyPath = (await realEnvoy()) ?? "";

interface Wycheproof {
  readonly testGroups: readonly {
    readonly comment: string;
    readonly public?: Record<string, string>;
    readonly private: Record<string, string>;
    readonly tests: readonly {
      readonly tcId: number;
      readonly comment: string;
      readonly jws: string;
      readonly result: "valid" | "invalid";
    }[];
  }[];
}

const CLAIMS = "401 token_claims";
/** What is said before any claim is looked at. */
const BEFORE_CLAIMS = /^401 token_(missing|malformed|algorithm|key_unknown|signature_invalid)$|^503 keys_unavailable$/;
const HOST = "case.example.internal";

/** A hop with a validator for each of `sets`, whose keys are at the path of its name and whose host begins with it. */
function configOf(
  sets: readonly string[],
  rules: (name: string) => Partial<PluginValidator> = () => ({}),
): PluginConfig {
  return validating(
    {},
    {
      routes: sets.map((name) => ({
        hosts: [`${name}.${HOST}`],
        to: [{ backend: "llm", weight: 100 }],
        validate: name,
      })),
      validators: Object.fromEntries(
        sets.map((name) => [name, validator({ jwks: { ...validator().jwks, path: `/${name}` }, ...rules(name) })]),
      ),
    },
  );
}

async function startWith(
  sets: ReadonlyMap<string, string | Buffer>,
  rules?: (name: string) => Partial<PluginValidator>,
): Promise<ValidatingHop> {
  const hop = await startValidating({
    envoyPath,
    config: configOf([...sets.keys()], rules),
    keySet: { fault: "hang" },
    concurrency: 1,
  });
  for (const [name, set] of sets) hop.keys.answers.set(`/${name}`, set);
  hop.keys.answer = keySet(google);
  hop.keys.release();
  return hop;
}

const wycheproof = vectors("wycheproof", "json_web_signature_test.json");

describe.skipIf(envoyPath === "" || wycheproof === undefined)(
  "Wycheproof's signatures through the running filter",
  () => {
    // What is skipped is read all the same, to know its tests.
    const testGroups =
      wycheproof === undefined ? [] : (JSON.parse(readFileSync(wycheproof, "utf8")) as Wycheproof).testGroups;
    const groups = testGroups.map((group, index) => ({ ...group, name: `group-${index}` }));
    const cases = groups.flatMap(({ name, comment, private: key, tests }) =>
      tests.map((test) => ({ ...test, name, group: comment, alg: key["alg"] ?? "" })),
    );
    let hop: ValidatingHop;

    beforeAll(async () => {
      // Symmetric keys are served, too: whoever published them by mistake must not find them used.
      const sets = groups.map(({ name, public: open, private: secret }) => [name, keySet(open ?? secret)] as const);
      const ec = sets.map(([name, set]) => [`es-${name}`, set] as const);
      hop = await startWith(new Map([...sets, ...ec]), (name) =>
        name.startsWith("es-") ? { algorithm: "ES256" } : {},
      );
    });

    afterAll(() => hop.close());

    it("the set is whole", () => {
      expect(cases).toHaveLength(200);
      expect(cases.filter(({ alg, result }) => alg === "RS256" && result === "valid")).toHaveLength(2);
    });

    it.each(["RS256", "ES256"])(
      "%s: valid signatures are refused for their claims, all else before",
      async (algorithm) => {
        const wrong: string[] = [];
        let valid = 0;
        for (const { name, tcId, comment, group, jws, result, alg } of cases) {
          const host = `${algorithm === "ES256" ? "es-" : ""}${name}.${HOST}`;
          const said = await outcome(hop, { host, token: jws });
          const isValid = result === "valid" && alg === algorithm;
          if (isValid) valid++;
          if (isValid ? said !== CLAIMS : !BEFORE_CLAIMS.test(said)) wrong.push(`${tcId} ${group} ${comment}: ${said}`);
        }
        expect(wrong).toEqual([]);
        expect(valid).toBe(2);
      },
    );
  },
);

const cookbook = vectors("jose-cookbook", "jws", "4_1.rsa_v15_signature.json");

describe.skipIf(envoyPath === "" || cookbook === undefined)("the RS256 example of RFC 7520", () => {
  it("has a signature that holds, and not with a byte changed", async () => {
    const example = JSON.parse(readFileSync(cookbook ?? "", "utf8")) as {
      input: { key: Record<string, string> };
      output: { compact: string };
    };
    const { kty = "", kid = "", use = "", n = "", e = "" } = example.input.key;
    const hop = await startWith(new Map([["cookbook", keySet({ kty, kid, use, n, e })]]));
    try {
      const token = example.output.compact;
      const host = `cookbook.${HOST}`;
      expect(await outcome(hop, { host, token })).toBe(CLAIMS);
      const [head = "", payload = "", signature = ""] = token.split(".");
      const changed = [
        `${head}.${payload}.${signature.replace("M", "N")}`,
        `${head}.${payload.replace("S", "T")}.${signature}`,
      ];
      for (const other of changed)
        expect(await outcome(hop, { host, token: other })).toBe("401 token_signature_invalid");
    } finally {
      await hop.close();
    }
  });
});

const suite = vectors("JSONTestSuite", "test_parsing");

describe.skipIf(envoyPath === "" || suite === undefined)("JSONTestSuite", () => {
  const files = (suite === undefined ? [] : readdirSync(suite).sort()).map((name, index) => ({
    name,
    content: readFileSync(join(suite ?? "", name)),
    path: `file-${index}`,
  }));
  /** Valid JSON that is refused here: a name twice in one object. */
  const doubled = new Set(["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"]);
  const isTaken = (name: string): boolean => name.startsWith("y_") && !doubled.has(name);
  const around = (before: string, content: Buffer, after: string): Buffer =>
    Buffer.concat([Buffer.from(before), content, Buffer.from(after)]);
  let hop: ValidatingHop;

  beforeAll(async () => {
    const within = files.map(
      ({ path, content }) => [`within-${path}`, around(keySet(google).replace(/}$/, ',"x":'), content, "}")] as const,
    );
    hop = await startWith(new Map<string, string | Buffer>([["google", keySet(google)], ...within]));
  });

  afterAll(() => hop.close());

  it("the suite is whole", () => {
    expect(files).toHaveLength(318);
  });

  it("as the payload of a signed token: never a claim of it is believed", async () => {
    const wrong: string[] = [];
    for (const { name, content } of files) {
      const token = callerToken({ claims: content });
      const expected = content.length === 0 || token.length > 8192 ? "401 token_malformed" : CLAIMS;
      const said = await outcome(hop, {
        host: `google.${HOST}`,
        token: token.length > 50_000 ? token.slice(0, 50_000) : token,
      });
      if (said !== expected) wrong.push(`${name}: ${said}`);
    }
    expect(wrong).toEqual([]);
  });

  it("as a claim of a signed token: what is JSON is passed over, what is not refuses all", async () => {
    const wrong: string[] = [];
    for (const { name, content } of files) {
      const claims = around(JSON.stringify(liveClaims()).replace(/}$/, ',"x":'), content, "}");
      const token = callerToken({ claims });
      if (token.length > 8192 || name.startsWith("i_")) continue;
      const said = await outcome(hop, { host: `google.${HOST}`, token });
      if (said !== (isTaken(name) ? "200" : CLAIMS)) wrong.push(`${name}: ${said}`);
    }
    expect(wrong).toEqual([]);
  });

  it("as a part of a key set: what is JSON is passed over, what is not refuses all", async () => {
    const wrong: string[] = [];
    const token = callerToken({ claims: liveClaims() });
    for (const { name, path } of files) {
      if (name.startsWith("i_")) continue;
      const said = await outcome(hop, { host: `within-${path}.${HOST}`, token });
      if (said !== (isTaken(name) ? "200" : "503 keys_unavailable")) wrong.push(`${name}: ${said}`);
    }
    expect(wrong).toEqual([]);
  });
});
