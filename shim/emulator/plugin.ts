/** One configuration of one plugin, as Envoy's PluginBase has it (C++ host: include/proxy-wasm/context.h). */
export type FailStrategy = "closed" | "open" | "reload";

export interface Plugin {
  readonly name: string;
  readonly rootId: string;
  readonly vmId: string;
  readonly configuration: Buffer;
  readonly failStrategy: FailStrategy;
}

/** Two plugins with the same key share their roots: an unchanged configuration makes no new one. */
export function pluginKey(plugin: Plugin): string {
  return `${plugin.name}\0${plugin.rootId}\0${plugin.configuration.toString("latin1")}`;
}
