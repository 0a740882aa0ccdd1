import { cpuTimeUs } from "./cpu.js";
import { counted, requestBytes, sendClosedLoop } from "./load.js";
import { linearMemories, residentBytes } from "./memory.js";
import { untilServing } from "./probe.js";
import { type PartOptions, startSubject } from "./subject.js";
import type { Variant } from "./variants.js";

/** One Envoy with one variant, from its start through many requests. */
export interface MemoryResult {
  readonly variant: string;
  readonly name: string;
  /** From the start of the process until it serves, and the CPU time of that. */
  readonly start_ms: number;
  readonly start_cpu_ms: number;
  /** Resident memory of Envoy when it serves, and after the requests. */
  readonly envoy_start_bytes: number;
  readonly envoy_end_bytes: number;
  /** Linear memory of the VM of a worker, likewise; null where there is no VM. */
  readonly vm_start_bytes: number | null;
  readonly vm_end_bytes: number | null;
  /** How much the VM grew for each request of the second half. */
  readonly vm_growth_bytes_per_request: number | null;
  readonly requests: number;
}

export interface MemoryOptions extends PartOptions {
  readonly requests: number;
}

const CONNECTIONS = 8;

/** Starts an Envoy for each variant, one after another, and sends it that many requests. */
export async function measureMemory(options: MemoryOptions): Promise<readonly MemoryResult[]> {
  const results: MemoryResult[] = [];
  for (const variant of options.variants) {
    options.onProgress(`memory: ${variant.name}`);
    results.push(await measureOne(options, variant));
  }
  return results;
}

async function measureOne(options: MemoryOptions, variant: Variant): Promise<MemoryResult> {
  const { requests, envoyPath, surroundings } = options;
  const { keeper, upstreams } = surroundings;
  const name = `memory-${variant.id}`;
  const startedMs = performance.now();
  const { envoy, portOf } = await startSubject({ keeper, envoyPath, name, variants: [variant], upstreams, workers: 1 });
  const startMs = performance.now() - startedMs;
  const startCpuUs = cpuTimeUs(envoy.pid);
  try {
    const port = portOf(variant);
    await untilServing({ port, host: variant.host });
    const vmBytes = (): number | null => largest(linearMemories(envoy.pid));
    const [envoyStart, vmStart] = [residentBytes(envoy.pid), vmBytes()];
    const half = Math.ceil(requests / 2);
    await send(port, variant.host, half);
    const vmHalf = vmBytes();
    await send(port, variant.host, half);
    const vmEnd = vmBytes();
    return {
      variant: variant.id,
      name: variant.name,
      start_ms: startMs,
      start_cpu_ms: startCpuUs / 1000,
      envoy_start_bytes: envoyStart,
      envoy_end_bytes: residentBytes(envoy.pid),
      vm_start_bytes: vmStart,
      vm_end_bytes: vmEnd,
      vm_growth_bytes_per_request: vmEnd === null || vmHalf === null ? null : (vmEnd - vmHalf) / half,
      requests: 2 * half,
    };
  } finally {
    await envoy.stop();
  }
}

function send(port: number, host: string, count: number): Promise<number> {
  const request = requestBytes(host, { "user-agent": "bench", accept: "*/*" });
  return sendClosedLoop({ port, connections: CONNECTIONS, next: counted(count, () => request) });
}

/** Of the workers' VMs and the main thread's, which handles no requests: a worker's is never smaller. */
function largest(bytes: readonly number[]): number | null {
  return bytes.length === 0 ? null : Math.max(...bytes);
}
