/** Counters, gauges and histograms of the host's statistics. Envoy puts `wasmcustom.` before every name. */
import { proxyDefineMetric, proxyIncrementMetric, proxyRecordMetric } from "./abi";
import { Bytes, hash64 } from "./bytes";
import { collectLater } from "./memory";
import { Status } from "./status";

export const enum MetricKind {
  Counter = 0,
  Gauge = 1,
  Histogram = 2,
}

/** What `defineMetric` answers when the host refuses; recording to it does nothing. */
export const NO_METRIC: i32 = -1;

/** Metrics whose ids are remembered; a power of two. Beyond, the host is asked each time. */
const MAX_REMEMBERED: i32 = 1 << 15;

/**
 * Ids of what has been defined in this VM, by a 64-bit hash of kind and name. To the host every definition is a new id, kept for
 * as long as the VM lives (Envoy's Context::defineMetric): a metric must be defined once, not once a configuration.
 */
let keys = new StaticArray<u64>(64);
let ids = new StaticArray<i32>(64);
let remembered = 0;

const idOut: usize = memory.data(4, 4);

/** The metric's id in this VM, or NO_METRIC. The same name and kind give the same id. */
export function defineMetric(kind: MetricKind, name: Bytes): i32 {
  const key = hash64(name, kind);
  const known = slotOf(key);
  if (keys[known] == key) return ids[known];
  if (proxyDefineMetric(kind, name.pointer, name.length, idOut) != Status.Ok) return NO_METRIC;
  const id = load<i32>(idOut);
  remember(key, id);
  return id;
}

/** Counter: adds `offset` > 0. Gauge: adds, or takes off where negative. */
// @ts-ignore: decorator
@inline
export function incrementMetric(id: i32, offset: i64): void {
  if (id != NO_METRIC) proxyIncrementMetric(id, offset);
}

/** Histogram: one more value. Gauge: the value from now on. */
// @ts-ignore: decorator
@inline
export function recordMetric(id: i32, value: u64): void {
  if (id != NO_METRIC) proxyRecordMetric(id, value);
}

function remember(key: u64, id: i32): void {
  if (remembered * 2 >= keys.length) {
    if (keys.length >= MAX_REMEMBERED * 2) return;
    grow();
  }
  const slot = slotOf(key);
  keys[slot] = key;
  ids[slot] = id;
  remembered += 1;
}

/** Where `key` stands, or would stand: 0 is the key of an empty slot. */
function slotOf(key: u64): i32 {
  const mask = keys.length - 1;
  let slot = (<i32>key) & mask;
  while (keys[slot] != 0 && keys[slot] != key) slot = (slot + 1) & mask;
  return slot;
}

function grow(): void {
  const oldKeys = keys;
  const oldIds = ids;
  keys = new StaticArray<u64>(oldKeys.length * 2);
  ids = new StaticArray<i32>(oldKeys.length * 2);
  for (let i = 0; i < oldKeys.length; i++) {
    if (oldKeys[i] == 0) continue;
    const slot = slotOf(oldKeys[i]);
    keys[slot] = oldKeys[i];
    ids[slot] = oldIds[i];
  }
  collectLater();
}
