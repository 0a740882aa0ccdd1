/**
 * The plugin configuration: the contract between the shim and the filter (WasmPlugin `pluginConfig`).
 * Optional fields may be added; these names stay.
 */

export interface PluginConfig {
  hop: string;
  /**
   * Fingerprint of the rest of the resource that brings the filter: where its image is, what it is pulled with. So that a proxy which
   * runs the old plugin reports another configuration than is expected, where nothing but these has changed.
   */
  plugin?: string;
  edge?: boolean;
  match?: "authority" | "service";
  unmatched?: "pass" | "reject";
  validate?: string;
  routes: PluginRoute[];
  backends: Record<string, PluginBackend>;
  identity?: PluginIdentity;
  validators?: Record<string, PluginValidator>;
  bypass?: { path: string; hosts?: string[] }[];
  timing?: { expose?: "never" | "always" | "trace"; key?: string };
}

export interface PluginRoute {
  hosts: string[];
  to: { backend: string; weight: number }[];
  sticky?: string;
  validate?: string;
  open?: string;
}

export interface PluginBackend {
  token?: { audience: string; header?: "auto" | "authorization" | "x-serverless-authorization" };
  /** The hop behind this one on the way to the backend: its report of time is believed and passed on. */
  through?: string;
  /** For a stand-alone Envoy alone: the filter rewrites `:authority` to this. */
  authority?: string;
}

export interface PluginIdentity {
  mode?: "metadata" | "impersonate" | "off";
  cluster?: string;
  timeoutMs?: number;
  refreshBeforeSec?: number;
  maxWaiters?: number;
  impersonate?: { serviceAccount: string; cluster: string; authority: string };
}

export interface PluginValidator {
  issuers: string[];
  audiences: string[];
  emails: string[];
  algorithm?: "RS256" | "ES256";
  header?: string;
  clockSkewSec?: number;
  maxLifetimeSec?: number;
  forward?: boolean;
  jwks: {
    cluster: string;
    authority: string;
    path: string;
    cacheSec?: number;
    maxStaleSec?: number;
    cooldownSec?: number;
    timeoutMs?: number;
  };
}

/** What the filter logs before its reason where it refuses a configuration. */
export const REFUSAL = "hopgate: configuration refused:";
