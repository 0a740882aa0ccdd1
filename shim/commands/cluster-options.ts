import type { ClusterOptions } from "../kubernetes/connection.js";

/** What every command that talks to clusters takes. */
export interface ClusterCommandOptions {
  readonly kubeconfig?: string | undefined;
  /** Names of contexts, one cluster after the other; empty: the current one. */
  readonly context: readonly string[];
}

/** The clusters that are meant, in order. */
export function clustersOf({ kubeconfig, context }: ClusterCommandOptions): readonly ClusterOptions[] {
  return context.length === 0 ? [{ kubeconfig }] : context.map((name) => ({ kubeconfig, context: name }));
}
