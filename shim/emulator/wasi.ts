/**
 * WASI preview 1 as the C++ host gives it (src/exports.cc): clocks, random bytes, and stdout and stderr into
 * the log; the rest answers as if there were no files, arguments, environment or sockets.
 */
import { randomFillSync } from "node:crypto";
import type { U64 } from "./clock.js";
import type { HostFunction } from "./host-functions.js";
import type { Vm } from "./vm.js";

const SUCCESS = 0;
const BADF = 8;
const NOTDIR = 20;
const FAULT = 21;
const INVAL = 28;
const NOENT = 44;
const NOSYS = 52;
const NOTSUP = 58;

const MAX_RANDOM_BYTES = 64 * 1024;
const LOG_INFO = 2;
const LOG_ERROR = 4;

export function wasiFunctions(vm: Vm): Record<string, HostFunction> {
  const zero = (pointer: number): number => (vm.memory.writeU32(pointer, 0) ? SUCCESS : FAULT);
  const stdio = (fd: number): number => (fd === 1 || fd === 2 ? SUCCESS : BADF);
  const refusedAfter = (written: number, refusal: number): number => (written === SUCCESS ? refusal : written);

  const write = (fd: number, iovs: number, count: number, writtenAt: number): number => {
    if (stdio(fd) !== SUCCESS) return BADF;
    let text = "";
    for (let i = 0; i < count; i++) {
      const entry = vm.memory.view(iovs + i * 8, 8);
      if (entry === undefined) return FAULT;
      const part = vm.memory.string(entry.readUInt32LE(0), entry.readUInt32LE(4));
      if (part === undefined) return FAULT;
      text += part;
    }
    const message = text.endsWith("\n") ? text.slice(0, -1) : text;
    if (text !== "") vm.process.log(vm, fd === 1 ? LOG_INFO : LOG_ERROR, message);
    return vm.memory.writeU32(writtenAt, text.length) ? SUCCESS : FAULT;
  };

  const clockOf = (id: number): U64 | undefined =>
    id === 0 ? vm.clock.wall : id === 1 ? vm.clock.monotonic : undefined;

  return {
    clock_time_get: (id: number, _precision: bigint, resultAt: number) => {
      const clock = clockOf(id);
      if (clock === undefined) return NOTSUP;
      return vm.memory.writeU64(resultAt, clock.low, clock.high) ? SUCCESS : FAULT;
    },
    clock_res_get: (id: number, resultAt: number) => {
      if (clockOf(id) === undefined) return NOTSUP;
      return vm.memory.writeU64(resultAt, 1, 0) ? SUCCESS : FAULT;
    },
    random_get: (pointer: number, size: number) => {
      if (size >>> 0 > MAX_RANDOM_BYTES) return INVAL;
      const bytes = vm.memory.view(pointer, size);
      if (bytes === undefined) return FAULT;
      randomFillSync(bytes);
      return SUCCESS;
    },
    fd_write: write,
    fd_pwrite: (fd: number, iovs: number, count: number, _offset: bigint, writtenAt: number) =>
      write(fd, iovs, count, writtenAt),
    args_get: (_argv: number, _buffer: number) => SUCCESS,
    args_sizes_get: (countAt: number, sizeAt: number) => zero(countAt) || zero(sizeAt),
    environ_get: (_environ: number, _buffer: number) => SUCCESS,
    environ_sizes_get: (countAt: number, sizeAt: number) => zero(countAt) || zero(sizeAt),
    fd_fdstat_get: (fd: number, statAt: number) => {
      if (stdio(fd) !== SUCCESS) return BADF;
      vm.memory.view(statAt, 24)?.fill(0).writeUInt8(64, 8);
      return SUCCESS;
    },
    poll_oneoff: (_in: number, _out: number, _count: number, eventsAt: number) => zero(eventsAt),
    sched_yield: () => SUCCESS,
    /** Envoy only logs it: the guest goes on. */
    proc_exit: (_code: number) => undefined,

    fd_advise: (_fd: number, _offset: bigint, _length: bigint, _advice: number) => SUCCESS,
    fd_allocate: (fd: number, _offset: bigint, _length: bigint) => stdio(fd),
    fd_close: (_fd: number) => SUCCESS,
    fd_datasync: stdio,
    fd_fdstat_set_flags: (_fd: number, _flags: number) => NOSYS,
    fd_fdstat_set_rights: (fd: number, _base: bigint, _inheriting: bigint) => stdio(fd),
    fd_filestat_get: (_fd: number, _statAt: number) => BADF,
    fd_filestat_set_size: (fd: number, _size: bigint) => stdio(fd),
    fd_filestat_set_times: (fd: number, _atim: bigint, _mtim: bigint, _flags: number) => stdio(fd),
    fd_pread: (_fd: number, _iovs: number, _count: number, _offset: bigint, _readAt: number) => NOSYS,
    fd_prestat_dir_name: (_fd: number, _pathAt: number, _size: number) => NOSYS,
    fd_prestat_get: (_fd: number, _resultAt: number) => BADF,
    fd_read: (_fd: number, _iovs: number, _count: number, _readAt: number) => NOSYS,
    fd_readdir: (_fd: number, _buffer: number, _size: number, _cookie: bigint, usedAt: number) =>
      refusedAfter(zero(usedAt), NOTDIR),
    fd_renumber: (fd: number, to: number) => stdio(fd) || refusedAfter(stdio(to), NOTSUP),
    fd_seek: (_fd: number, _offset: bigint, _whence: number, _resultAt: number) => SUCCESS,
    fd_sync: stdio,
    fd_tell: (fd: number, resultAt: number) => {
      if (stdio(fd) !== SUCCESS) return BADF;
      return vm.memory.writeU64(resultAt, 0, 0) ? SUCCESS : FAULT;
    },
    path_open: () => NOENT,
    path_create_directory: () => NOTSUP,
    path_filestat_get: () => NOTSUP,
    path_filestat_set_times: () => NOTSUP,
    path_link: () => NOTSUP,
    path_readlink: (_fd: number, _path: number, _pathSize: number, _buffer: number, _size: number, usedAt: number) =>
      refusedAfter(zero(usedAt), NOTSUP),
    path_remove_directory: () => NOTSUP,
    path_rename: () => NOTSUP,
    path_symlink: () => NOTSUP,
    path_unlink_file: () => NOTSUP,
    sock_accept: () => NOTSUP,
    sock_recv: () => NOTSUP,
    sock_send: () => NOTSUP,
    sock_shutdown: () => NOTSUP,
  };
}
