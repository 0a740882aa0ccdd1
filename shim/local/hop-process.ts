import { readFile } from "node:fs/promises";
import { join } from "node:path";

import type { Hop } from "../config/model.js";
import type { FuncE } from "../envoy/func-e.js";
import type { Keeper } from "../envoy/keeper.js";
import { type RunningEnvoy, startEnvoy } from "../envoy/start.js";
import { Failure } from "../errors.js";
import { BOOTSTRAP_FILE, type EnvoyFile } from "../render/envoy/input.js";
import { fingerprint } from "../render/fingerprint.js";
import { REFUSAL } from "../render/plugin-config.js";
import type { WorkFiles } from "./work-files.js";

export interface HopProcessOptions {
  readonly keeper: Keeper;
  readonly files: WorkFiles;
  readonly envoyPath: string;
  readonly funcE: FuncE | undefined;
  /** Worker threads. */
  readonly concurrency: number;
  readonly onCrash: (failure: Failure) => void;
}

const PLUGIN_FILE = "ecds.json";
const POLL_MS = 25;
const TIMEOUT_MS = 10_000;

/** Counts of what Envoy took from its files, and of what it did not take. */
const TAKEN = "\\.(lds|cds|rds)\\.(.*\\.)?update_success$";
const REJECTED = "\\.(lds|cds|rds)\\.(.*\\.)?update_(rejected|failure)$";
const WARMING = "^listener_manager\\.total_listeners_warming$";

/** Counts of plugin configurations that Envoy or the filter did not take. */
const REFUSED =
  "^extension_config_discovery\\..*\\.(config_fail|config_conflict)$|\\.ecds\\.update_(rejected|failure)$";

/** The Envoy of one hop. */
export class HopProcess {
  readonly hop: Hop;
  readonly envoy: RunningEnvoy;
  private readonly options: HopProcessOptions;
  private files: readonly EnvoyFile[];

  private constructor(hop: Hop, options: HopProcessOptions, envoy: RunningEnvoy, files: readonly EnvoyFile[]) {
    this.hop = hop;
    this.options = options;
    this.envoy = envoy;
    this.files = files;
  }

  /** @throws Failure if Envoy does not come up with these files. */
  static async start(hop: Hop, rendered: readonly EnvoyFile[], options: HopProcessOptions): Promise<HopProcess> {
    const { keeper, files, envoyPath, funcE, concurrency, onCrash } = options;
    for (const { name, content } of rendered) await files.write(join(hop.name, name), JSON.stringify(content));
    const envoy = await startEnvoy({
      keeper,
      envoyPath,
      funcE,
      hop: hop.name,
      dir: files.path(hop.name),
      configPath: files.path(join(hop.name, BOOTSTRAP_FILE)),
      componentLogLevel: "wasm:info",
      concurrency,
      onExit: onCrash,
    });
    return new HopProcess(hop, options, envoy, rendered);
  }

  /** Port of the listener that others connect to. */
  get port(): number {
    const listener = [...this.envoy.listeners.values()].find(({ port }) => port > 0);
    if (listener === undefined) throw new Failure(`The Envoy of ${this.hop.name} has no listener.`);
    return listener.port;
  }

  /** Replaces everything but the plugin: clusters, routes, listeners. Returns when Envoy has taken them. */
  async updateRoutes(rendered: readonly EnvoyFile[]): Promise<void> {
    for (const { name, content } of rendered) {
      if (name === BOOTSTRAP_FILE || name === PLUGIN_FILE) continue;
      const [taken, rejected] = [await this.count(TAKEN), await this.count(REJECTED)];
      if (!(await this.options.files.update(join(this.hop.name, name), JSON.stringify(content)))) continue;
      await this.until(
        `take ${name}`,
        async () => (await this.count(TAKEN)) > taken || (await this.count(REJECTED)) > rejected,
      );
      if ((await this.count(REJECTED)) > rejected) {
        throw new Failure(`${this.hop.name}: Envoy rejected ${name}; see ${this.envoy.logPath}.`);
      }
    }
    await this.until("warm its listeners", async () => (await this.count(WARMING)) === 0);
  }

  /**
   * Replaces the plugin, and returns when every worker runs `pluginConfig`. If the filter refuses it, the one before it stays.
   * @throws Failure with the reason of the refusal
   */
  async updatePlugin(rendered: readonly EnvoyFile[], pluginConfig: string): Promise<void> {
    const before = await this.count(REFUSED);
    try {
      await this.write(rendered);
      await this.until("run its new configuration", async () => {
        if ((await this.count(REFUSED)) > before) throw await this.refusal();
        return this.runs(pluginConfig);
      });
    } catch (error) {
      await this.write(this.files);
      throw error;
    }
    this.files = rendered;
  }

  private async write(rendered: readonly EnvoyFile[]): Promise<void> {
    const plugin = rendered.find(({ name }) => name === PLUGIN_FILE);
    if (plugin !== undefined) {
      await this.options.files.update(join(this.hop.name, PLUGIN_FILE), JSON.stringify(plugin.content));
    }
  }

  /** Each worker and the main thread run it, and say so by a gauge. */
  private async runs(pluginConfig: string): Promise<boolean> {
    const gauges = await this.envoy.admin.stats(`hopgate_config\\.hop=.*config=\\.=${fingerprint(pluginConfig)};`);
    const [running = 0] = gauges.values();
    return running >= this.options.concurrency + 1;
  }

  /** Sum of the metrics whose names match. */
  private async count(filter: string): Promise<number> {
    const counts = await this.envoy.admin.stats(filter);
    return [...counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** @throws Failure if `condition` does not come true in time */
  private async until(what: string, condition: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + TIMEOUT_MS;
    while (!(await condition())) {
      if (performance.now() > deadline) {
        throw new Failure(`${this.hop.name}: Envoy did not ${what} within ${String(TIMEOUT_MS / 1000)} s.`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** With the filter's own last word on it. */
  private async refusal(): Promise<Failure> {
    const log = await readFile(this.envoy.logPath, "utf8");
    const words = log.split("\n").findLast((line) => line.includes(REFUSAL));
    return new Failure(`${this.hop.name}: the filter refused its configuration; the one before it serves on.`, {
      fix: words?.slice(words.indexOf(REFUSAL) + REFUSAL.length).trim() ?? `See ${this.envoy.logPath}.`,
    });
  }
}
