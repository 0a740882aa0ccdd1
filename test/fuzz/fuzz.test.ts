/**
 * Inputs nobody would send, into everything of the filter that parses: no trap, no hang, nothing misread.
 *
 * What is kept in `corpus` is run first. Then inputs are changed at random for a while, and those that reach a place of the filter where
 * none was before are changed further. `HOPGATE_FUZZ_SEC` says for how long in all; from a minute on what was found is kept.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Emulator } from "../../shim/emulator/emulator.js";
import { Coverage, instrumentedFilter } from "./instrumented.js";
import { mutate, randomFrom } from "./mutate.js";
import { type Target, targets } from "./targets.js";

const seconds = Number(process.env["HOPGATE_FUZZ_SEC"] ?? 8);
const KEEP_FROM_SEC = 60;
/** After so many inputs a proxy is replaced: the emulator remembers each configuration that it was given. */
const RUNS_OF_A_PROXY = 2_000;
/** One input that takes longer is taken for one that would hold up a worker. */
const SLOW_MS = 2_000;
const MAX_KEPT = 120;
const MAX_KEPT_BYTES = 1024;

let module: Uint8Array;
const told: string[] = [];

describe("fuzz", () => {
  beforeAll(() => {
    module = instrumentedFilter();
  }, 120_000);

  afterAll(() => {
    process.stderr.write(`${told.join("\n")}\n`);
  });

  test.each(targets.map((target) => [target.name, target] as const))(
    "%s",
    { timeout: seconds * 2_000 + 120_000 },
    async (name, target) => {
      const seed = Number(process.env["HOPGATE_FUZZ_SEED"] ?? Date.now() & 0x7fff_ffff);
      const random = randomFrom(seed);
      const fuzzer = new Fuzzer(target);
      const kept = corpus(name);
      for (const input of [...target.seeds.map((text) => Buffer.from(text)), ...kept]) await fuzzer.run(input);
      const budgetMs = (seconds * 1000) / targets.length;
      const start = performance.now();
      while (performance.now() - start < budgetMs) {
        const base = fuzzer.interesting[random(fuzzer.interesting.length)] ?? Buffer.alloc(0);
        await fuzzer.run(mutate(base, fuzzer.interesting, target.words, random));
      }
      if (seconds >= KEEP_FROM_SEC) keep(name, await withoutSurplus(target, fuzzer.interesting));
      told.push(
        `${name}: ${fuzzer.runs} inputs, ${fuzzer.coverage.places} places, ${fuzzer.interesting.length} kept, seed ${seed}`,
      );
      expect(fuzzer.runs).toBeGreaterThan(target.seeds.length);
    },
  );
});

class Fuzzer {
  runs = 0;
  readonly interesting: Buffer[] = [];
  readonly coverage = new Coverage();
  private proxy: Emulator | undefined;

  constructor(private readonly target: Target) {}

  async run(input: Buffer): Promise<void> {
    if (this.runs % RUNS_OF_A_PROXY === 0) this.proxy = await this.target.start(module);
    const proxy = this.proxy;
    if (proxy === undefined) return;
    this.runs++;
    proxy.logs.length = 0;
    Coverage.clear(proxy);
    const start = performance.now();
    try {
      this.target.run(proxy, input);
      expect(proxy.traps).toEqual([]);
    } catch (cause) {
      throw new Error(`${this.target.name}: ${String(cause)} for the input ${input.toString("base64")}`, { cause });
    }
    const tookMs = performance.now() - start;
    if (tookMs > SLOW_MS)
      throw new Error(`${this.target.name}: ${tookMs} ms for the input ${input.toString("base64")}`);
    if (this.coverage.take(proxy)) this.interesting.push(input);
  }
}

/** Of these inputs as few and short ones as get to the same places. */
async function withoutSurplus(target: Target, inputs: readonly Buffer[]): Promise<readonly Buffer[]> {
  const fuzzer = new Fuzzer(target);
  for (const input of [...inputs].sort((a, b) => a.length - b.length)) await fuzzer.run(input);
  return fuzzer.interesting;
}

function corpusPath(name: string): string {
  return fileURLToPath(new URL(`corpus/${name}.json`, import.meta.url));
}

/** What was kept: inputs in base64. */
function corpus(name: string): Buffer[] {
  const path = corpusPath(name);
  if (!existsSync(path)) return [];
  return (JSON.parse(readFileSync(path, "utf8")) as string[]).map((text) => Buffer.from(text, "base64"));
}

function keep(name: string, inputs: readonly Buffer[]): void {
  const texts = inputs.filter(({ length }) => length <= MAX_KEPT_BYTES).map((input) => input.toString("base64"));
  mkdirSync(dirname(corpusPath(name)), { recursive: true });
  writeFileSync(corpusPath(name), `${JSON.stringify(texts.slice(0, MAX_KEPT), undefined, 2)}\n`);
}
