/** The filter itself, in the emulator: whether it takes a configuration, and one that is ready to be asked. */

import { Emulator } from "../emulator/emulator.js";
import type { Headers } from "../emulator/pairs.js";
import { Failure, UsageError } from "../errors.js";
import { type PluginConfig, REFUSAL } from "../render/plugin-config.js";
import { keyClusters, supplyKeys } from "./keys.js";
import { supplyTokens, type SuppliedTokens } from "./tokens.js";

/** A proxy at one hop whose filter has its configuration, its tokens, and the keys that the request asks for. */
export interface ReadyFilter {
  readonly proxy: Emulator;
  readonly tokens: SuppliedTokens;
}

/**
 * Why the filter refuses each configuration, such as `routes[0].hosts[1]: is listed twice`; undefined where it takes it.
 * In the order in which they are given.
 */
export async function refusalsOf(
  module: Uint8Array,
  configs: readonly PluginConfig[],
): Promise<readonly (string | undefined)[]> {
  const proxy = await Emulator.start({ module });
  return configs.map((config) => {
    proxy.logs.length = 0;
    const { accepted } = proxy.configure({ name: config.hop, config: JSON.stringify(config) });
    return accepted ? undefined : reasonOf(proxy);
  });
}

/** The labels under which the filter reports that it runs a configuration, asked of the filter itself. */
export interface ReportedLabels {
  readonly config: string;
  readonly module: string;
}

const RUNNING =
  /^hopgate_config\.hop=\.=[^;]*;\.;config=\.=(?<config>[0-9a-f]+);\.;module=\.=(?<module>[0-9a-f]+);\.;$/;
/** The filter speaks at its first tick. */
const FIRST_TICK_MS = 1000;

/** Takes a configuration that the filter does not refuse. @throws Failure if it is a filter that does not say what it runs */
export async function reportedLabels(module: Uint8Array, config: PluginConfig): Promise<ReportedLabels> {
  const proxy = await Emulator.start({ module });
  proxy.configure({ name: config.hop, config: JSON.stringify(config) });
  proxy.advance(FIRST_TICK_MS);
  for (const name of Object.keys(proxy.metrics().gauges)) {
    const { config: fingerprint, module: stamp } = RUNNING.exec(name)?.groups ?? {};
    if (fingerprint !== undefined && stamp !== undefined) return { config: fingerprint, module: stamp };
  }
  throw new Failure("The module does not say which configuration it runs: it is none of this version of hopgate.", {
    fix: "Push this one with hopgate push.",
  });
}

/** Starts the filter with a configuration, to be asked about `headers`. Throws UsageError if it refuses it. */
export async function startFilter(module: Uint8Array, config: PluginConfig, headers: Headers): Promise<ReadyFilter> {
  const { cluster, impersonate } = config.identity ?? {};
  const names = [cluster, impersonate?.cluster, ...keyClusters(config)].filter((name) => name !== undefined);
  const clusters = Object.fromEntries(names.map((name) => [name, "ok"] as const));
  // The clock of the machine, for tokens that are given have a time.
  const proxy = await Emulator.start({ module, clusters, nowMs: Date.now() });
  if (!proxy.configure({ config: JSON.stringify(config) }).accepted) {
    const message = `The filter refuses the configuration of hop ${config.hop}: ${reasonOf(proxy)}.`;
    throw new UsageError(message, "Run hopgate check: it shows the line.");
  }
  supplyKeys(proxy, config, headers);
  return { proxy, tokens: supplyTokens(proxy, config) };
}

function reasonOf(proxy: Emulator): string {
  const [trap] = proxy.traps;
  if (trap !== undefined) throw new Error(`the filter trapped in ${trap.callback}: ${trap.message}`);
  const line = proxy.logs.find(({ message }) => message.startsWith(REFUSAL));
  return line === undefined ? "it gives no reason" : line.message.slice(REFUSAL.length).trim();
}
