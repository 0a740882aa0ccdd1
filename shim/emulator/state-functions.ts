/** Host functions on properties, shared data and metrics: see host-functions.ts. */
import { Status } from "./abi.js";
import type { HostFunction } from "./host-functions.js";
import { getProperty, setProperty } from "./properties.js";
import type { Vm } from "./vm.js";

const TWO_64 = 2 ** 64;
const { Ok, NotFound, BadArgument, InvalidMemoryAccess, Unimplemented } = Status;

export function stateFunctions(vm: Vm): Record<string, HostFunction> {
  const { process } = vm;
  return {
    proxy_get_property: (pathAt: number, pathSize: number, pointerAt: number, sizeAt: number) => {
      const path = vm.memory.string(pathAt, pathSize);
      if (path === undefined) return InvalidMemoryAccess;
      const value = getProperty(vm.active(), path);
      if (typeof value === "number") return value;
      return vm.memory.giveString(value, pointerAt, sizeAt) ? Ok : InvalidMemoryAccess;
    },
    proxy_set_property: (pathAt: number, pathSize: number, valueAt: number, valueSize: number) => {
      const path = vm.memory.string(pathAt, pathSize);
      const value = vm.memory.string(valueAt, valueSize);
      if (path === undefined || value === undefined) return InvalidMemoryAccess;
      return setProperty(vm.active(), path, value);
    },
    proxy_get_shared_data: (keyAt: number, keySize: number, pointerAt: number, sizeAt: number, casAt: number) => {
      const key = vm.memory.string(keyAt, keySize);
      if (key === undefined) return InvalidMemoryAccess;
      const data = process.sharedData.get(key);
      if (data === undefined) return NotFound;
      if (!vm.memory.giveBytes(data.value, pointerAt, sizeAt)) return InvalidMemoryAccess;
      return vm.memory.writeU32(casAt, data.cas) ? Ok : InvalidMemoryAccess;
    },
    proxy_set_shared_data: (keyAt: number, keySize: number, valueAt: number, valueSize: number, cas: number) => {
      const key = vm.memory.string(keyAt, keySize);
      const value = vm.memory.view(valueAt, valueSize);
      if (key === undefined || value === undefined) return InvalidMemoryAccess;
      return process.sharedData.set(key, value, cas >>> 0);
    },
    /** Shared queues are not emulated. */
    proxy_register_shared_queue: () => Unimplemented,
    proxy_resolve_shared_queue: () => Unimplemented,
    proxy_dequeue_shared_queue: () => Unimplemented,
    proxy_enqueue_shared_queue: () => Unimplemented,
    proxy_define_metric: (type: number, nameAt: number, nameSize: number, idAt: number) => {
      const name = vm.memory.string(nameAt, nameSize);
      if (name === undefined) return InvalidMemoryAccess;
      const id = vm.metrics.define(type, name);
      if (id === undefined) return BadArgument;
      return vm.memory.writeU32(idAt, id) ? Ok : InvalidMemoryAccess;
    },
    proxy_increment_metric: (id: number, offset: bigint) => vm.metrics.increment(id >>> 0, Number(offset)),
    proxy_record_metric: (id: number, value: bigint) => {
      const signed = Number(value);
      return vm.metrics.record(id >>> 0, signed < 0 ? signed + TWO_64 : signed);
    },
    proxy_get_metric: (id: number, resultAt: number) => {
      const metric = vm.metrics.get(id >>> 0);
      if ("status" in metric) return metric.status;
      const value = BigInt.asUintN(64, BigInt(metric.value));
      return vm.memory.writeU64(resultAt, Number(value & 0xffffffffn), Number(value >> 32n)) ? Ok : InvalidMemoryAccess;
    },
  };
}
