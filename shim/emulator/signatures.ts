/**
 * The types of a module's functions against those that Envoy expects (C++ host: src/v8/v8.cc link and
 * getModuleFunction). JavaScript would convert arguments silently; Envoy does not load such a module.
 *
 * A signature is its parameters, a colon, its results: "iI:i" takes an i32 and an i64 and gives an i32.
 */

const VALUE_TYPES: Readonly<Record<number, string>> = { 0x7f: "i", 0x7e: "I", 0x7d: "f", 0x7c: "F" };
const FUNCTION_TYPE = 0x60;
const KIND = { Function: 0, Table: 1, Memory: 2, Global: 3, Tag: 4 } as const;
const SECTION = { Type: 1, Import: 2, Function: 3, Export: 7 } as const;

/** Host functions, each with its parameters; all of them give an i32 but for those in NO_RESULT. */
const HOST_FUNCTIONS: Readonly<Record<string, string>> = {
  ...table(`
    proxy_log iii, proxy_get_status iii, proxy_set_property iiii, proxy_get_property iiii,
    proxy_send_local_response iiiiiiii, proxy_get_shared_data iiiii, proxy_set_shared_data iiiii,
    proxy_register_shared_queue iii, proxy_resolve_shared_queue iiiii, proxy_dequeue_shared_queue iii,
    proxy_enqueue_shared_queue iii, proxy_get_header_map_value iiiii, proxy_add_header_map_value iiiii,
    proxy_replace_header_map_value iiiii, proxy_remove_header_map_value iii, proxy_get_header_map_pairs iii,
    proxy_set_header_map_pairs iii, proxy_get_header_map_size ii, proxy_get_buffer_status iii,
    proxy_get_buffer_bytes iiiii, proxy_set_buffer_bytes iiiii, proxy_http_call iiiiiiiiii,
    proxy_grpc_call iiiiiiiiiiii, proxy_grpc_stream iiiiiiiii, proxy_grpc_close i, proxy_grpc_cancel i,
    proxy_grpc_send iiii, proxy_set_tick_period_milliseconds i, proxy_get_current_time_nanoseconds i,
    proxy_define_metric iiii, proxy_increment_metric iI, proxy_record_metric iI, proxy_get_metric ii,
    proxy_set_effective_context i, proxy_done -, proxy_call_foreign_function iiiiii, proxy_continue_stream i,
    proxy_close_stream i, proxy_get_log_level i, emscripten_notify_memory_growth i, pthread_equal ii`),
  ...table(`
    fd_write iiii, fd_read iiii, fd_seek iIii, fd_close i, fd_fdstat_get ii, fd_fdstat_set_flags ii,
    fd_fdstat_set_rights iII, environ_get ii, environ_sizes_get ii, args_get ii, args_sizes_get ii,
    clock_time_get iIi, clock_res_get ii, fd_advise iIIi, fd_allocate iII, fd_datasync i,
    fd_filestat_set_size iI, fd_filestat_set_times iIIi, fd_pread iiiIi, fd_pwrite iiiIi, fd_readdir iiiIi,
    fd_renumber ii, fd_sync i, fd_tell ii, path_create_directory iii, path_filestat_set_times iiiiIIi,
    path_link iiiiii, path_readlink iiiiii, path_remove_directory iii, path_rename iiiiii, path_symlink iiii,
    path_unlink_file iii, sock_accept iii, sock_recv iiiiii, sock_send iiiii, sock_shutdown ii, random_get ii,
    sched_yield -, poll_oneoff iiii, proc_exit i, path_open iiiiiIIii, fd_prestat_get ii,
    fd_prestat_dir_name iii, path_filestat_get iiiii, fd_filestat_get ii`),
};
const NO_RESULT: ReadonlySet<string> = new Set(["emscripten_notify_memory_growth", "proc_exit"]);

const GUEST_FUNCTIONS: Readonly<Record<string, string>> = table(`
  malloc i:i, proxy_on_memory_allocate i:i, _initialize :, _start :, main ii:i, proxy_on_context_create ii:,
  proxy_on_vm_start ii:i, proxy_on_configure ii:i, proxy_on_tick i:, proxy_on_request_headers iii:i,
  proxy_on_request_body iii:i, proxy_on_request_trailers ii:i, proxy_on_response_headers iii:i,
  proxy_on_response_body iii:i, proxy_on_response_trailers ii:i, proxy_on_http_call_response iiiii:,
  proxy_on_done i:i, proxy_on_log i:, proxy_on_delete i:`);

/**
 * What Envoy would not link, one sentence for each function. `bytes` is a module that compiles: its form is
 * not checked again. Functions that Envoy does not know are not looked at.
 */
export function signatureFaults(bytes: Uint8Array): string[] {
  const { imports, exports } = functionSignatures(bytes);
  const faults: string[] = [];
  for (const [name, signature] of imports) {
    const parameters = HOST_FUNCTIONS[name];
    if (parameters === undefined) continue;
    const expected = `${parameters.replace("-", "")}:${NO_RESULT.has(name) ? "" : "i"}`;
    if (signature !== expected) faults.push(`it imports ${name} as ${signature}, where Envoy has ${expected}`);
  }
  for (const [name, signature] of exports) {
    const expected = GUEST_FUNCTIONS[name];
    if (expected !== undefined && signature !== expected) {
      faults.push(`it exports ${name} as ${signature}, where Envoy wants ${expected}`);
    }
  }
  return faults;
}

/** The imported and exported functions with their signatures (WebAssembly core specification, 5.5 Modules). */
function functionSignatures(bytes: Uint8Array): { imports: [string, string][]; exports: [string, string][] } {
  const reader = new Reader(bytes, 8);
  const types: string[] = [];
  /** The type of each function of the index space, imported ones first. */
  const functions: number[] = [];
  const imports: [string, string][] = [];
  const exports: [string, string][] = [];
  while (!reader.atEnd) {
    const section = reader.byte();
    const end = reader.u32() + reader.at;
    if (section === SECTION.Type) {
      repeat(reader.u32(), () => types.push(readType(reader)));
    } else if (section === SECTION.Import) {
      repeat(reader.u32(), () => {
        reader.name();
        const name = reader.name();
        const type = readImport(reader);
        if (type === undefined) return;
        functions.push(type);
        imports.push([name, types[type] ?? ""]);
      });
    } else if (section === SECTION.Function) {
      repeat(reader.u32(), () => functions.push(reader.u32()));
    } else if (section === SECTION.Export) {
      repeat(reader.u32(), () => {
        const name = reader.name();
        const kind = reader.byte();
        const index = reader.u32();
        if (kind === KIND.Function) exports.push([name, types[functions[index] ?? -1] ?? ""]);
      });
    }
    reader.at = end;
  }
  return { imports, exports };
}

function readType(reader: Reader): string {
  if (reader.byte() !== FUNCTION_TYPE) throw new Error("only function types are understood");
  const values = (): string => {
    let text = "";
    repeat(reader.u32(), () => (text += VALUE_TYPES[reader.byte()] ?? "?"));
    return text;
  };
  const parameters = values();
  return `${parameters}:${values()}`;
}

/** The type of an imported function; undefined for an import of another kind, which is passed over. */
function readImport(reader: Reader): number | undefined {
  const kind = reader.byte();
  if (kind === KIND.Function) return reader.u32();
  if (kind === KIND.Table) reader.byte();
  if (kind === KIND.Table || kind === KIND.Memory) {
    const hasMaximum = (reader.byte() & 1) === 1;
    reader.u32();
    if (hasMaximum) reader.u32();
  } else {
    reader.byte();
    reader.u32();
  }
  return undefined;
}

class Reader {
  readonly #bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  get atEnd(): boolean {
    return this.at >= this.#bytes.length;
  }

  byte(): number {
    return this.#bytes[this.at++] ?? 0;
  }

  /** LEB128. */
  u32(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }

  name(): string {
    const size = this.u32();
    const name = Buffer.from(this.#bytes.subarray(this.at, this.at + size)).toString();
    this.at += size;
    return name;
  }
}

function repeat(count: number, action: () => void): void {
  for (let i = 0; i < count; i++) action();
}

/** "name value, name value ..." */
function table(text: string): Record<string, string> {
  return Object.fromEntries(
    text
      .trim()
      .split(/,\s*/)
      .map((entry) => entry.split(" ") as [string, string]),
  );
}
