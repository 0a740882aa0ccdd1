/** Host functions on header maps and buffers: see host-functions.ts. */
import { MAX_BUFFER_TYPE, MAX_MAP_TYPE, Status } from "./abi.js";
import type { HostFunction } from "./host-functions.js";
import { pairsSize, parsePairs, putPairs } from "./pairs.js";
import type { Vm } from "./vm.js";

const { Ok, NotFound, BadArgument, InvalidMemoryAccess } = Status;

export function mapFunctions(vm: Vm): Record<string, HostFunction> {
  /** A write of a request header clears the route cache (context.h: onHeadersModified). */
  const written = (type: number): number => {
    if (type === 0) vm.active().stream?.clearRouteCache();
    return Ok;
  };
  const writeValue =
    (verb: "add" | "set") =>
    (type: number, nameAt: number, nameSize: number, valueAt: number, valueSize: number): number => {
      if (type >>> 0 > MAX_MAP_TYPE) return BadArgument;
      const name = vm.memory.string(nameAt, nameSize);
      const value = vm.memory.string(valueAt, valueSize);
      if (name === undefined || value === undefined) return InvalidMemoryAccess;
      const map = vm.active().mutableMap(type);
      if (map === undefined) return BadArgument;
      map[verb](name, value);
      return written(type);
    };
  return {
    proxy_get_header_map_pairs: (type: number, pointerAt: number, sizeAt: number) => {
      if (type >>> 0 > MAX_MAP_TYPE) return BadArgument;
      const pairs = vm.active().readableMap(type)?.pairs ?? [];
      if (pairs.length === 0) return vm.memory.giveString("", pointerAt, sizeAt) ? Ok : InvalidMemoryAccess;
      const size = pairsSize(pairs);
      const pointer = vm.memory.allocate(size);
      if (pointer === 0) return InvalidMemoryAccess;
      putPairs(vm.memory, pointer, pairs);
      return vm.memory.writeU32(pointerAt, pointer) && vm.memory.writeU32(sizeAt, size) ? Ok : InvalidMemoryAccess;
    },
    /** In bytes, not in headers, and only of a map that may be written. */
    proxy_get_header_map_size: (type: number, sizeAt: number) => {
      if (type >>> 0 > MAX_MAP_TYPE) return BadArgument;
      const map = vm.active().mutableMap(type);
      if (map === undefined) return BadArgument;
      return vm.memory.writeU32(sizeAt, map.byteSize) ? Ok : InvalidMemoryAccess;
    },
    proxy_get_header_map_value: (type: number, nameAt: number, nameSize: number, pointerAt: number, sizeAt: number) => {
      if (type >>> 0 > MAX_MAP_TYPE) return BadArgument;
      const context = vm.active();
      const name = vm.memory.string(nameAt, nameSize);
      if (name === undefined) return InvalidMemoryAccess;
      const map = context.readableMap(type);
      if (map === undefined) return context.accessLog === undefined ? BadArgument : NotFound;
      const value = map.get(name);
      if (value === undefined) return NotFound;
      return vm.memory.giveString(value, pointerAt, sizeAt) ? Ok : InvalidMemoryAccess;
    },
    proxy_set_header_map_pairs: (type: number, pointer: number, size: number) => {
      if (type >>> 0 > MAX_MAP_TYPE) return BadArgument;
      const bytes = vm.memory.view(pointer, size);
      if (bytes === undefined) return InvalidMemoryAccess;
      const map = vm.active().mutableMap(type);
      if (map === undefined) return BadArgument;
      map.replaceAll(parsePairs(bytes));
      return written(type);
    },
    proxy_add_header_map_value: writeValue("add"),
    proxy_replace_header_map_value: writeValue("set"),
    proxy_remove_header_map_value: (type: number, nameAt: number, nameSize: number) => {
      if (type >>> 0 > MAX_MAP_TYPE) return BadArgument;
      const name = vm.memory.string(nameAt, nameSize);
      if (name === undefined) return InvalidMemoryAccess;
      const map = vm.active().mutableMap(type);
      if (map === undefined) return BadArgument;
      map.remove(name);
      return written(type);
    },
    proxy_get_buffer_bytes: (type: number, start: number, length: number, pointerAt: number, sizeAt: number) => {
      if (type >>> 0 > MAX_BUFFER_TYPE) return BadArgument;
      const buffer = vm.active().buffer(type);
      if (buffer === undefined) return NotFound;
      // In C++ start and length are 64 bits wide here, so their sum never wraps.
      const from = start >>> 0;
      const part = buffer.subarray(from, from + (length >>> 0));
      return vm.memory.giveBytes(part, pointerAt, sizeAt) ? Ok : InvalidMemoryAccess;
    },
    proxy_get_buffer_status: (type: number, lengthAt: number, flagsAt: number) => {
      if (type >>> 0 > MAX_BUFFER_TYPE) return BadArgument;
      const buffer = vm.active().buffer(type);
      if (buffer === undefined) return NotFound;
      return vm.memory.writeU32(lengthAt, buffer.length) && vm.memory.writeU32(flagsAt, 0) ? Ok : InvalidMemoryAccess;
    },
    proxy_set_buffer_bytes: (type: number, start: number, length: number, dataAt: number, dataSize: number) => {
      if (type >>> 0 > MAX_BUFFER_TYPE) return BadArgument;
      const data = vm.memory.view(dataAt, dataSize);
      if (data === undefined) return InvalidMemoryAccess;
      return vm.active().writeBuffer(type, start >>> 0, length >>> 0, data);
    },
  };
}
