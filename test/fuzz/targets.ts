/** What is fuzzed: how an input reaches the filter, and what must hold of what it makes of it. */
import type { Emulator } from "../../shim/emulator/emulator.js";
import type { Stream } from "../../shim/emulator/stream.js";
import type { PluginConfig } from "../../shim/render/plugin-config.js";
import {
  answerKeys,
  base64url,
  EDGE_AUDIENCE,
  google,
  googleClaims,
  JWKS,
  keyCalls,
  keySet,
  callerToken,
  validating,
  validator,
} from "../support/caller-token.js";
import { KB, LLM, METADATA, NOW_MS, NOW_SEC, pluginConfig, refusal, send } from "../support/filter.js";
import { Emulator as Host } from "../../shim/emulator/emulator.js";

export interface Target {
  readonly name: string;
  readonly seeds: readonly (string | Buffer)[];
  readonly words: readonly string[];
  /** A proxy that is ready for inputs. */
  start(module: Uint8Array): Promise<Emulator>;
  /** Runs one input. @throws Error where what came of it is wrong */
  run(proxy: Emulator, input: Buffer): void;
}

const JSON_WORDS = [
  "{",
  "}",
  "[",
  "]",
  ":",
  ",",
  '"',
  "\\",
  "\\u0000",
  "\\ud800",
  "\\udc00",
  "true",
  "false",
  "null",
  "{}",
  "[]",
];
const RECORD = `hopgate/1/keys/0/${JWKS}/www.googleapis.com/oauth2/v3/certs`;
const WILD = "wild.example.internal";

/** Checks the callers of a service in the cluster. */
function checking(fields: Parameters<typeof validator>[0] = {}, config: Partial<PluginConfig> = {}): PluginConfig {
  return validating(
    { maxLifetimeSec: 86_400, ...fields },
    {
      routes: [{ hosts: [LLM], to: [{ backend: "llm", weight: 100 }], validate: "google" }],
      backends: { llm: {} },
      ...config,
    },
  );
}

async function started(module: Uint8Array, config: PluginConfig): Promise<Emulator> {
  const proxy = await Host.start({ module, nowMs: NOW_MS, clusters: { [METADATA]: "ok", [JWKS]: "ok" } });
  if (!proxy.configure({ config: JSON.stringify(config) }).accepted) throw new Error("the configuration was refused");
  proxy.advance(20);
  answerKeys(proxy);
  proxy.advance(1000);
  return proxy;
}

/** "ok" or the code of the refusal; the stream then ends. Who is held is waited for. */
function settled(proxy: Emulator, stream: Stream): string {
  for (let waitMs = 0; isHeld(stream); waitMs += 10) {
    if (waitMs > 10_000) throw new Error("a request is held for ever");
    proxy.advance(10);
    answerKeys(proxy);
  }
  const code = refusal(stream) ?? "ok";
  if (code === "ok") stream.respond([[":status", "200"]]);
  return code;
}

function isHeld(stream: Stream): boolean {
  return stream.paused && stream.localReply === undefined;
}

function bearer(proxy: Emulator, value: string): string {
  return settled(proxy, send(proxy, LLM, [["authorization", value]]));
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

function parsed(input: Buffer): unknown {
  return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(input));
}

const REFUSALS =
  /^token_(missing|malformed|algorithm|signature_removed|key_unknown|signature_invalid|expired|not_yet_valid|issuer|audience|claims)$|^caller_not_allowed$/;

const good = callerToken();
const [head = "", payload = "", signature = ""] = good.split(".");

const host: Target = {
  name: "host",
  seeds: [
    KB,
    `${KB}.`,
    `${KB}:443`,
    "a.b.wild.example.internal",
    "[::1]:80",
    "127.0.0.1",
    `user@${KB}`,
    `${KB},${LLM}`,
    "xn--bcher-kva.example",
  ],
  words: [KB, WILD, ".", "..", ":", ":80", "@", "%", ",", "[", "]", "*", "_", "-", "\0", "\u00e4"],
  start: (module) =>
    started(
      module,
      checking(
        {},
        {
          unmatched: "reject",
          routes: [
            { hosts: [KB, `*.${WILD}`], to: [{ backend: "llm", weight: 100 }] },
            { hosts: [LLM], to: [{ backend: "llm", weight: 100 }], validate: "google" },
          ],
        },
      ),
    ),
  run: (proxy, input) => {
    const authority = input.toString("latin1");
    const code = settled(proxy, send(proxy, authority));
    must(["ok", "route_unmatched", "host_invalid", "token_missing"].includes(code), code);
    const name = /^([a-z0-9._-]+?)\.?(?::[0-9]{1,5})?$/i.exec(authority)?.[1]?.toLowerCase();
    if (code === "ok") must(name === KB || (name?.endsWith(`.${WILD}`) ?? false), "another host was taken for ours");
    if (code === "token_missing") must(name === LLM, "another host was taken for ours");
    if (name === KB && code !== "ok") must(/:0*$|:[0-9]+$/.test(authority), "our host was not known");
  },
};

const jwt: Target = {
  name: "jwt",
  seeds: [
    `Bearer ${good}`,
    `Bearer ${callerToken({ header: { kid: "nobody" } })}`,
    `Bearer ${head}.${payload}.`,
    "Basic eDp5",
  ],
  words: [
    "Bearer ",
    ".",
    "..",
    "=",
    " ",
    ",",
    head,
    payload,
    signature,
    base64url('{"alg":"none"}'),
    "SIGNATURE_REMOVED_BY_GOOGLE",
    "A",
    "_",
    "-",
  ],
  start: (module) => started(module, checking()),
  run: (proxy, input) => {
    const value = input.toString("latin1");
    const code = bearer(proxy, value);
    if (code !== "ok") must(REFUSALS.test(code), code);
    else
      must(
        value.toLowerCase().startsWith("bearer ") && value.slice(6).trimStart() === good,
        "a token was changed, and let in",
      );
  },
};

/** Signatures are taken as they are, so that what is behind them is reached. */
async function startAccepting(module: Uint8Array): Promise<Emulator> {
  const proxy = await started(module, checking());
  proxy.signatures = "accept";
  return proxy;
}

const header: Target = {
  name: "header",
  seeds: [
    '{"alg":"RS256","kid":"google-1","typ":"JWT"}',
    '{"kid":"google-1","alg":"RS256","crit":["exp"]}',
    '{"alg":"none"}',
  ],
  words: [...JSON_WORDS, '"alg"', '"kid"', '"crit"', '"RS256"', '"google-1"', "\\u0061lg", "none"],
  start: startAccepting,
  run: (proxy, input) => {
    const code = bearer(proxy, `Bearer ${base64url(input.subarray(0, 5_000))}.${payload}.${signature}`);
    if (code !== "ok") return must(REFUSALS.test(code), code);
    const said = parsed(input) as Record<string, unknown>;
    must(said["alg"] === "RS256" && said["kid"] === "google-1" && !("crit" in said), "a header was misread");
  },
};

const claims: Target = {
  name: "claims",
  seeds: [
    JSON.stringify(googleClaims()),
    JSON.stringify(googleClaims({ nbf: NOW_SEC, groups: ["a", { b: [1, -2.5e3, null] }], hd: "\u00fc\ud83d\ude00" })),
    '{"exp":1e400}',
  ],
  words: [
    ...JSON_WORDS,
    '"exp"',
    '"iss"',
    '"aud"',
    '"email"',
    '"email_verified"',
    '"iat"',
    String(NOW_SEC + 60),
    `"${EDGE_AUDIENCE}"`,
  ],
  start: startAccepting,
  run: (proxy, input) => {
    // Behind the same header and signature each payload is another token, of which none was seen before.
    const code = bearer(proxy, `Bearer ${head}.${base64url(input.subarray(0, 5_000))}.${signature}`);
    if (code !== "ok") return must(REFUSALS.test(code), code);
    const said = parsed(input) as Record<string, unknown>;
    const isOurs = said["iss"] === "https://accounts.google.com" && said["aud"] === EDGE_AUDIENCE;
    must(
      isOurs && said["email_verified"] === true && Number(said["exp"]) > proxy.clock.wallMs / 1000 - 60,
      "claims were misread",
    );
  },
};

const keys: Target = {
  name: "keys",
  seeds: [
    keySet(google),
    keySet({ ...google.jwk, kid: "other" }, google),
    keySet(google, google),
    '{"keys":[{"kty":"EC","crv":"P-256","kid":"e","x":"AA","y":"AA"}]}',
    '{"keys":[]}',
  ],
  words: [
    ...JSON_WORDS,
    '"keys"',
    '"kid"',
    '"n"',
    '"e"',
    '"AQAB"',
    '"use"',
    '"enc"',
    '"google-1"',
    '"RSA"',
    '"key_ops"',
    JSON.stringify(google.jwk),
  ],
  start: async (module) => {
    const source = { ...validator().jwks, cacheSec: 1, cooldownSec: 1, maxStaleSec: 600_000 };
    const proxy = await started(module, checking({ jwks: source }));
    proxy.signatures = "accept";
    return proxy;
  },
  run: (proxy, input) => {
    // First a set without keys, so that what is found is of this input.
    for (const set of ['{"keys":[]}', input]) {
      while (!keyCalls(proxy).some(({ vm }) => vm === "worker 0")) proxy.advance(100);
      answerKeys(proxy, set);
    }
    const nowSec = Math.floor(proxy.clock.wallMs / 1000);
    const text = base64url(JSON.stringify(googleClaims({ iat: nowSec, exp: nowSec + 60 })));
    const stream = send(proxy, LLM, [["authorization", `Bearer ${head}.${text}.${signature}`]]);
    if (isHeld(stream)) return stream.abort();
    const code = settled(proxy, stream);
    if (code !== "ok") return must(code === "token_key_unknown", code);
    const set = parsed(input) as { keys: { kid?: unknown; n?: unknown }[] };
    const named = set.keys.filter((key) => (key as { kid?: unknown } | null)?.kid === "google-1");
    must(named.length === 1 && Buffer.from(String(named[0]?.n), "base64url").length >= 256, "a key was misread");
  },
};

/** What other plugins can write over: no input of it may let anybody in, keep anybody out for long, or hold him for ever. */
const record: Target = {
  name: "record",
  seeds: [recordBytes(0n, 0n), recordBytes(1n << 62n, 1n), recordBytes(-1n, -1n), Buffer.alloc(28), Buffer.alloc(0)],
  words: ["HGK1", "HGT1", "\0\0\0\0\0\0\0\0", "\x7f\x7f\x7f\x7f\x7f\x7f\x7f\x7f"],
  start: (module) => started(module, checking({ jwks: { ...validator().jwks, cooldownSec: 1 } })),
  run: (proxy, input) => {
    proxy.advance(1_100);
    proxy.sharedData.set(RECORD, input);
    const unknown = bearer(proxy, `Bearer ${base64url('{"alg":"RS256","kid":"nobody"}')}.${payload}.${signature}`);
    must(unknown === "token_key_unknown", `an unknown key: ${unknown}`);
    const known = bearer(proxy, `Bearer ${good}`);
    must(known === "ok" || known === "token_expired", `a known key: ${known}`);
  },
};

function recordBytes(startedMs: bigint, finishedMs: bigint): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.write("HGK1", "latin1");
  bytes.writeBigInt64LE(startedMs, 4);
  bytes.writeBigInt64LE(finishedMs, 12);
  return bytes;
}

const configuration: Target = {
  name: "configuration",
  seeds: [
    JSON.stringify(checking()),
    JSON.stringify(
      pluginConfig({ timing: { expose: "trace", key: "k" }, bypass: [{ path: "/healthz", hosts: [KB] }] }),
    ),
    JSON.stringify(
      validating(
        { algorithm: "ES256", header: "x-a", forward: false },
        { edge: false, match: "service", validate: "google" },
      ),
    ),
  ],
  words: [
    ...JSON_WORDS,
    '"routes"',
    '"hosts"',
    '"validators"',
    '"jwks"',
    '"weight"',
    '"identity"',
    '"*"',
    '"*.x"',
    "100",
    '"mode"',
    '"off"',
  ],
  start: (module) => started(module, checking()),
  run: (proxy, input) => {
    const { accepted } = proxy.configure({ config: input });
    if (!accepted)
      return must(
        proxy.logs.some(({ message }) => message.startsWith("hopgate: configuration refused: ")),
        "no reason was told",
      );
    const said = parsed(input) as Record<string, unknown>;
    must(/^[a-z0-9-]{1,63}$/.test(String(said["hop"])), "a hop without a name");
    settledOrGone(proxy);
  },
};

/** With a configuration that was made up, any end of a request will do. */
function settledOrGone(proxy: Emulator): void {
  const stream = send(proxy, KB, [["authorization", `Bearer ${good}`]]);
  proxy.advance(20);
  if (!stream.ended) stream.abort();
}

export const targets: readonly Target[] = [host, jwt, header, claims, keys, record, configuration];
