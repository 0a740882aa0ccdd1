/**
 * The host functions of the ABI, by their names in the module `env`. What each checks, and in which order, is
 * that of the C++ host (src/exports.cc) and of Envoy behind it (source/extensions/common/wasm/context.cc).
 */
import { LOG_LEVELS, Status } from "./abi.js";
import { callForeign } from "./foreign.js";
import { mapFunctions } from "./map-functions.js";
import { RestrictedCall, allowedAtStart, allowedInMalloc } from "./restriction.js";
import { stateFunctions } from "./state-functions.js";
import { streamFunctions } from "./stream-functions.js";
import type { Vm } from "./vm.js";
import { wasiFunctions } from "./wasi.js";

/** Parameters are numbers, but for 64-bit ones, which are bigints: no one type says that. */
export type HostFunction = (...args: never[]) => number | undefined;

const { Ok, NotFound, BadArgument, InvalidMemoryAccess } = Status;

/** What a module may import: each function counted in `vm.hostCalls`, and refused where it is restricted. */
export function hostImports(vm: Vm): Record<string, Record<string, HostFunction>> {
  const env = { ...generalFunctions(vm), ...mapFunctions(vm), ...streamFunctions(vm), ...stateFunctions(vm) };
  const wasi = wasiFunctions(vm);
  return {
    env: guardAll(vm, "env", env),
    wasi_snapshot_preview1: guardAll(vm, "wasi_snapshot_preview1", wasi),
    wasi_unstable: guardAll(vm, "wasi_unstable", wasi),
  };
}

function generalFunctions(vm: Vm): Record<string, HostFunction> {
  const { clock, process } = vm;
  return {
    proxy_log: (level: number, pointer: number, size: number) => {
      if (level >>> 0 >= LOG_LEVELS.length) return BadArgument;
      const message = vm.memory.view(pointer, size);
      if (message === undefined) return InvalidMemoryAccess;
      process.log(vm, level, message.toString("utf8"));
      return Ok;
    },
    proxy_get_log_level: (resultAt: number) =>
      vm.memory.writeU32(resultAt, process.logLevel) ? Ok : InvalidMemoryAccess,
    proxy_get_current_time_nanoseconds: (resultAt: number) =>
      vm.memory.writeU64(resultAt, clock.wall.low, clock.wall.high) ? Ok : InvalidMemoryAccess,
    proxy_set_tick_period_milliseconds: (ms: number) => {
      vm.active().root.setTickPeriod(ms >>> 0);
      return Ok;
    },
    proxy_set_effective_context: (id: number) => (vm.setEffectiveContext(id >>> 0) ? Ok : BadArgument),
    proxy_done: () => {
      const context = vm.active();
      return context === context.root ? context.root.done() : NotFound;
    },
    proxy_get_status: (codeAt: number, pointerAt: number, sizeAt: number) => {
      const root = vm.active().root;
      if (!vm.memory.writeU32(codeAt, root.statusCode)) return InvalidMemoryAccess;
      return vm.memory.giveString(root.statusMessage, pointerAt, sizeAt) ? Ok : InvalidMemoryAccess;
    },
    proxy_call_foreign_function: (
      nameAt: number,
      nameSize: number,
      argsAt: number,
      argsSize: number,
      resultAt: number,
      resultSizeAt: number,
    ) => {
      const name = vm.memory.string(nameAt, nameSize);
      const args = vm.memory.view(argsAt, argsSize);
      if (name === undefined || args === undefined) return InvalidMemoryAccess;
      const answer = callForeign(name, args, vm.active(), process.signatures);
      if (answer === undefined) return NotFound;
      let pointer = 0;
      const size = answer.result?.length ?? 0;
      if (answer.result !== undefined && resultAt !== 0) {
        pointer = vm.memory.allocate(size);
        if (pointer === 0) return InvalidMemoryAccess;
        vm.memory.putBytes(pointer, answer.result);
      }
      if (resultAt !== 0 && !vm.memory.writeU32(resultAt, pointer)) return InvalidMemoryAccess;
      if (resultSizeAt !== 0 && !vm.memory.writeU32(resultSizeAt, size)) return InvalidMemoryAccess;
      return answer.status;
    },
    emscripten_notify_memory_growth: (_memory: number) => undefined,
    pthread_equal: (left: number, right: number) => (left === right ? 1 : 0),
  };
}

function guardAll(vm: Vm, module: string, functions: Record<string, HostFunction>): Record<string, HostFunction> {
  return Object.fromEntries(
    Object.entries(functions).map(([name, call]) => [
      name,
      guard(vm, `${module}.${name}`, call, allowedAtStart(module, name), allowedInMalloc(name)),
    ]),
  );
}

/** One closure a function and VM, with the arguments spelled out: spreading them costs more than most calls do. */
function guard(vm: Vm, name: string, call: HostFunction, atStart: boolean, inMalloc: boolean): HostFunction {
  const enter = (): void => {
    vm.hostCalls[name] = (vm.hostCalls[name] ?? 0) + 1;
    if (vm.restriction === "none") return;
    if (!(vm.restriction === "start" ? atStart : inMalloc)) throw new RestrictedCall(`restricted_callback: ${name}`);
  };
  const f = call as (...args: unknown[]) => number | undefined;
  if (call.length <= 5) {
    return (a: unknown, b: unknown, c: unknown, d: unknown, e: unknown) => {
      enter();
      return f(a, b, c, d, e);
    };
  }
  return (...args: unknown[]) => {
    enter();
    return f(...args);
  };
}
