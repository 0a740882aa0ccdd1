/** What all VMs of one Envoy process share. */
import type { LogLevel } from "./abi.js";
import { LOG_LEVELS } from "./abi.js";
import type { Clock } from "./clock.js";
import type { SignatureCheck } from "./foreign.js";
import type { HttpCall } from "./http-call.js";
import { MetricsStore } from "./metrics.js";
import { SharedData } from "./shared-data.js";
import type { Trap, Vm } from "./vm.js";

/** "no-endpoints" is a cluster that exists and has nowhere to send a request. */
export type ClusterState = "ok" | "no-endpoints";

export interface LogLine {
  readonly level: LogLevel;
  readonly message: string;
  readonly vm: string;
}

export interface ProcessOptions {
  readonly module: WebAssembly.Module;
  readonly clock: Clock;
  readonly vmId: string;
  readonly vmConfiguration: Buffer;
  readonly logLevel: LogLevel;
  readonly signatures: SignatureCheck;
  readonly clusters: Record<string, ClusterState>;
  readonly properties: Record<string, string>;
}

export class Process {
  readonly module: WebAssembly.Module;
  readonly clock: Clock;
  readonly vmId: string;
  readonly vmConfiguration: Buffer;
  signatures: SignatureCheck;
  readonly clusters: Map<string, ClusterState>;
  readonly properties: Map<string, string>;
  readonly sharedData = new SharedData();
  readonly metrics = new MetricsStore();
  readonly logs: LogLine[] = [];
  readonly traps: Trap[] = [];
  /** The callouts that wait for an answer, oldest first. */
  readonly pendingCalls = new Set<HttpCall>();
  logLevel: number;

  constructor(options: ProcessOptions) {
    this.module = options.module;
    this.clock = options.clock;
    this.vmId = options.vmId;
    this.vmConfiguration = options.vmConfiguration;
    this.signatures = options.signatures;
    this.clusters = new Map(Object.entries(options.clusters));
    this.properties = new Map(Object.entries(options.properties));
    this.logLevel = LOG_LEVELS.indexOf(options.logLevel);
  }

  /** Keeps a line whose level is high enough. `level` is that of the ABI, 0 to 5. */
  log(vm: Vm, level: number, message: string): void {
    if (level >= this.logLevel) {
      this.logs.push({ level: LOG_LEVELS[level] ?? "critical", message, vm: vm.name });
    }
  }
}
