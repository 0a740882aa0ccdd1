import { generateKeyPairSync, sign } from "node:crypto";

import { packagePath } from "../shim/package-root.js";
import { wasmFilter } from "./filters.js";
import { LLM } from "./plugin-configurations.js";
import type { CpuResult } from "./measure-cpu.js";
import { type Estimate, estimate } from "./statistics.js";
import type { Variant } from "./variants.js";

/** The cost model: what each call of the host costs, from a filter that makes nothing but this call, many times a request. */

/** What a call of the host, or a callback of the guest, costs. */
export interface HostCallCost {
  readonly call: string;
  readonly name: string;
  readonly cost_us: Estimate;
}

interface HostCall {
  /** As `bench/peers/host-calls.ts` names it. */
  readonly call: string;
  readonly name: string;
  /** Times that each request makes it. */
  readonly count: number;
}

const MANY = 50;

const HOST_CALLS: readonly HostCall[] = [
  { call: "pairs", name: "read all headers as pairs (7 headers)", count: MANY },
  { call: "get_header", name: "read one header", count: MANY },
  { call: "replace_header", name: "write a header, 20 bytes", count: MANY },
  { call: "replace_header_677", name: "write a header, 677 bytes", count: MANY },
  { call: "add_remove_header", name: "add a header and remove it", count: MANY },
  { call: "clock", name: "read the monotonic clock", count: MANY },
  { call: "property", name: "read a property", count: MANY },
  { call: "counter", name: "count", count: MANY },
  { call: "histogram", name: "record into a histogram", count: MANY },
  { call: "log_level", name: "ask the log level", count: MANY },
  { call: "shared_data", name: "read shared data, no such key", count: MANY },
  { call: "verify_signature", name: "verify an RS256 signature", count: 4 },
];

const BASE = "none";
const NOTHING = "nothing";
const EMPTY = "empty";
const CALLBACKS = "callbacks";
/** Events of a small request that `callbacks.ts` exports a callback for beyond `empty.ts`. */
const EXTRA_CALLBACKS = 5;

/** A variant for each call, and what they are compared with. */
export function hostCallVariants(): readonly Variant[] {
  const variant = (id: string, name: string, module: string, configuration: string | Buffer): Variant => ({
    id,
    name,
    filters: [wasmFilter(id, packagePath("build", "bench", `${module}.wasm`), configuration)],
    host: LLM,
    token: "none",
    base: BASE,
  });
  return [
    { id: BASE, name: "no filter", filters: [], host: LLM, token: "none", base: BASE },
    variant(EMPTY, "empty filter", "empty", ""),
    variant(CALLBACKS, "empty filter with five more callbacks", "callbacks", ""),
    variant(NOTHING, "none of them", "host-calls", "nothing 0"),
    ...HOST_CALLS.map(({ call, name, count }) => {
      const argument = call === "verify_signature" ? signatureQuestion() : Buffer.alloc(0);
      return variant(call, name, "host-calls", Buffer.concat([Buffer.from(`${call} ${count} `), argument]));
    }),
  ];
}

/** What one call costs, of the results of `hostCallVariants` in rounds of so many Envoys. */
export function hostCallCosts(results: readonly CpuResult[], processes: number): readonly HostCallCost[] {
  const rounds = new Map(results.map(({ variant, rounds_added_us }) => [variant, rounds_added_us]));
  const each = (id: string, base: string, count: number): Estimate => {
    const below = rounds.get(base) ?? [];
    const costs = (rounds.get(id) ?? []).map((added, round) => (added - (below[round] ?? NaN)) / count);
    return estimate(costs, processes);
  };
  return [
    { call: "filter", name: "an empty filter: one callback", cost_us: estimate(rounds.get(EMPTY) ?? [], processes) },
    { call: "callback", name: "each callback that is exported", cost_us: each(CALLBACKS, EMPTY, EXTRA_CALLBACKS) },
    ...HOST_CALLS.map(({ call, name, count }) => ({ call, name, cost_us: each(call, NOTHING, count) })),
  ];
}

/** What Envoy's `verify_signature` is asked (verify_signature.proto): fields of bytes, each with a tag and its length. */
function signatureQuestion(): Buffer {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const text = Buffer.from("the first two parts of a token, of the usual length".repeat(8));
  const parts = ["sha256", publicKey.export({ type: "spki", format: "der" }), sign("sha256", text, privateKey), text];
  return Buffer.concat(
    parts.map((part, index) => {
      const bytes = Buffer.from(part);
      return Buffer.concat([
        Buffer.from([((index + 1) << 3) | 2, (bytes.length & 0x7f) | 0x80, bytes.length >> 7]),
        bytes,
      ]);
    }),
  );
}
