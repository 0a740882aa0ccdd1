// A guest that does what its plugin configuration says, and logs what came of it: one line an operation,
// "EVENT CONTEXT OPERATION -> STATUS RESULT". AssemblyScript, compiled by guest.ts. The same module runs in a
// real Envoy, so what the emulator answers can be compared line by line.
//
// A line of the script is "EVENT OPERATION ARGUMENT...". "-" is an empty argument, "%XX" a byte, "." in a
// property path is NUL. The VM configuration is a script too: it serves vm_start and what comes before.

@external("env", "proxy_log") declare function proxy_log(level: i32, p: usize, n: i32): i32;
@external("env", "proxy_get_log_level") declare function proxy_get_log_level(out: usize): i32;
@external("env", "proxy_get_current_time_nanoseconds") declare function proxy_time(out: usize): i32;
@external("env", "proxy_set_tick_period_milliseconds") declare function proxy_tick(ms: i32): i32;
@external("env", "proxy_set_effective_context") declare function proxy_effective(id: i32): i32;
@external("env", "proxy_done") declare function proxy_done(): i32;
@external("env", "proxy_get_status") declare function proxy_get_status(code: usize, p: usize, n: usize): i32;
@external("env", "proxy_call_foreign_function") declare function proxy_foreign(f: usize, fn: i32, a: usize, an: i32, p: usize, n: usize): i32;
@external("env", "proxy_get_header_map_pairs") declare function proxy_pairs(t: i32, p: usize, n: usize): i32;
@external("env", "proxy_get_header_map_size") declare function proxy_map_size(t: i32, out: usize): i32;
@external("env", "proxy_get_header_map_value") declare function proxy_get(t: i32, k: usize, kn: i32, p: usize, n: usize): i32;
@external("env", "proxy_set_header_map_pairs") declare function proxy_set_pairs(t: i32, p: usize, n: i32): i32;
@external("env", "proxy_add_header_map_value") declare function proxy_add(t: i32, k: usize, kn: i32, v: usize, vn: i32): i32;
@external("env", "proxy_replace_header_map_value") declare function proxy_replace(t: i32, k: usize, kn: i32, v: usize, vn: i32): i32;
@external("env", "proxy_remove_header_map_value") declare function proxy_remove(t: i32, k: usize, kn: i32): i32;
@external("env", "proxy_get_buffer_bytes") declare function proxy_buffer(t: i32, s: i32, l: i32, p: usize, n: usize): i32;
@external("env", "proxy_get_buffer_status") declare function proxy_buffer_status(t: i32, l: usize, f: usize): i32;
@external("env", "proxy_set_buffer_bytes") declare function proxy_set_buffer(t: i32, s: i32, l: i32, p: usize, n: i32): i32;
@external("env", "proxy_continue_stream") declare function proxy_continue(t: i32): i32;
@external("env", "proxy_close_stream") declare function proxy_close(t: i32): i32;
@external("env", "proxy_send_local_response") declare function proxy_reply(s: i32, d: usize, dn: i32, b: usize, bn: i32, h: usize, hn: i32, g: i32): i32;
@external("env", "proxy_http_call") declare function proxy_http_call(c: usize, cn: i32, h: usize, hn: i32, b: usize, bn: i32, t: usize, tn: i32, ms: i32, out: usize): i32;
@external("env", "proxy_get_property") declare function proxy_prop(k: usize, kn: i32, p: usize, n: usize): i32;
@external("env", "proxy_set_property") declare function proxy_set_prop(k: usize, kn: i32, v: usize, vn: i32): i32;
@external("env", "proxy_get_shared_data") declare function proxy_sget(k: usize, kn: i32, p: usize, n: usize, cas: usize): i32;
@external("env", "proxy_set_shared_data") declare function proxy_sset(k: usize, kn: i32, v: usize, vn: i32, cas: i32): i32;
@external("env", "proxy_define_metric") declare function proxy_define(t: i32, k: usize, kn: i32, out: usize): i32;
@external("env", "proxy_increment_metric") declare function proxy_increment(id: i32, by: i64): i32;
@external("env", "proxy_record_metric") declare function proxy_record(id: i32, v: i64): i32;
@external("env", "proxy_get_metric") declare function proxy_metric(id: i32, out: usize): i32;
@external("wasi_snapshot_preview1", "clock_time_get") declare function clock_time_get(id: i32, precision: i64, out: usize): i32;
@external("wasi_snapshot_preview1", "clock_res_get") declare function clock_res_get(id: i32, out: usize): i32;
@external("wasi_snapshot_preview1", "random_get") declare function random_get(p: usize, n: i32): i32;
@external("wasi_snapshot_preview1", "fd_write") declare function fd_write(fd: i32, iovs: usize, n: i32, out: usize): i32;
@external("wasi_snapshot_preview1", "environ_sizes_get") declare function environ_sizes_get(a: usize, b: usize): i32;
@external("wasi_snapshot_preview1", "args_sizes_get") declare function args_sizes_get(a: usize, b: usize): i32;
@external("wasi_snapshot_preview1", "proc_exit") declare function proc_exit(code: i32): void;

const OUT: usize = memory.data(64);
const NONE: i32 = 0x7fffffff;

class Text {
  constructor(public at: usize, public size: i32) {}
}

const scripts = new Map<i32, string[]>();
const roots = new Map<i32, i32>();
let vmScript: string[] = [];
let lastStream = 0;
let mallocs = 0;
let mallocMode = "";

export function proxy_abi_version_0_2_1(): void {}

export function malloc(size: i32): usize {
  mallocs++;
  if (mallocMode == "fail") return 0;
  if (mallocMode == "trap") unreachable();
  if (mallocMode == "outside") return 0xfffffff0;
  if (mallocMode == "log") log(2, "malloc " + size.toString());
  if (mallocMode == "clock") clock_time_get(1, 0, OUT);
  if (mallocMode == "get") proxy_get_log_level(OUT);
  if (mallocMode == "grow") memory.grow(1);
  return heap.alloc(size);
}

function log(level: i32, text: string): i32 {
  const out = heap.alloc(text.length + 1);
  for (let i = 0; i < text.length; i++) store<u8>(out + i, <u8>text.charCodeAt(i));
  return proxy_log(level, out, text.length);
}

function encode(text: string): Text {
  const out = heap.alloc(text.length + 1);
  let n = 0;
  if (text == "-") return new Text(out, 0);
  for (let i = 0; i < text.length; i++, n++) {
    if (text.charCodeAt(i) == 37 && i + 2 < text.length) {
      store<u8>(out + n, <u8>parseInt(text.substr(i + 1, 2), 16));
      i += 2;
    } else {
      store<u8>(out + n, <u8>text.charCodeAt(i));
    }
  }
  return new Text(out, n);
}

function decode(at: usize, size: i32): string {
  let text = "";
  for (let i = 0; i < size; i++) {
    const byte = load<u8>(at + i);
    if (byte > 32 && byte < 127 && byte != 37) text += String.fromCharCode(byte);
    else text += "%" + (byte < 16 ? "0" : "") + byte.toString(16).toUpperCase();
  }
  return text == "" ? "-" : text;
}

function hex(at: usize, size: i32): string {
  let text = "";
  for (let i = 0; i < size; i++) {
    const byte = load<u8>(at + i);
    text += (byte < 16 ? "0" : "") + byte.toString(16);
  }
  return text == "" ? "-" : text;
}

function unhex(text: string): Text {
  if (text == "-") return new Text(OUT, 0);
  const out = heap.alloc(text.length / 2);
  for (let i = 0; i < text.length / 2; i++) store<u8>(out + i, <u8>parseInt(text.substr(i * 2, 2), 16));
  return new Text(out, text.length / 2);
}

function encodePairs(args: string[], from: i32): Text {
  if (from >= args.length) return new Text(OUT, 0);
  const names: Text[] = [];
  const values: Text[] = [];
  let size = 4;
  for (let i = from; i < args.length; i++) {
    const cut = args[i].indexOf("=");
    names.push(encode(args[i].substring(0, cut)));
    values.push(encode(args[i].substring(cut + 1)));
    size += 10 + names[i - from].size + values[i - from].size;
  }
  const out = heap.alloc(size);
  store<u32>(out, names.length);
  let at = out + 4;
  for (let i = 0; i < names.length; i++, at += 8) {
    store<u32>(at, names[i].size);
    store<u32>(at, values[i].size, 4);
  }
  for (let i = 0; i < names.length; i++) {
    memory.copy(at, names[i].at, names[i].size);
    at += names[i].size;
    store<u8>(at++, 0);
    memory.copy(at, values[i].at, values[i].size);
    at += values[i].size;
    store<u8>(at++, 0);
  }
  return new Text(out, size);
}

function decodePairs(at: usize, size: i32): string {
  if (size == 0) return "none@" + at.toString();
  const count = load<u32>(at);
  let text = "";
  let data = at + 4 + count * 8;
  for (let i: u32 = 0; i < count; i++) {
    const nameSize = load<u32>(at + 4 + i * 8);
    const valueSize = load<u32>(at + 8 + i * 8);
    text += (i > 0 ? " " : "") + decode(data, nameSize) + "=" + decode(data + nameSize + 1, valueSize);
    data += nameSize + valueSize + 2;
  }
  return text;
}

function path(text: string): Text {
  const bytes = encode(text);
  for (let i = 0; i < bytes.size; i++) if (load<u8>(bytes.at + i) == 46) store<u8>(bytes.at + i, 0);
  return bytes;
}

function given(status: i32): string {
  return status == 0 ? " " + decode(load<u32>(OUT), load<u32>(OUT + 4)) + "@" + (load<u32>(OUT) == 0 ? "0" : "p") : "";
}

/** Runs one operation; its result line without the status is in `outcome`. */
let outcome = "";
let answer = NONE;
function operate(args: string[]): i32 {
  const op = args[0];
  const a = args.length > 1 ? args[1] : "0";
  const b = args.length > 2 ? args[2] : "0";
  const c = args.length > 3 ? args[3] : "0";
  const d = args.length > 4 ? args[4] : "0";
  const n = <i32>parseInt(a);
  outcome = "";
  store<u64>(OUT, 0x5555555555555555);
  store<u64>(OUT + 8, 0x5555555555555555);
  if (op == "get") {
    const k = encode(b);
    const s = proxy_get(n, k.at, k.size, OUT, OUT + 4);
    outcome = given(s);
    return s;
  }
  if (op == "pairs") {
    const s = proxy_pairs(n, OUT, OUT + 4);
    if (s == 0) outcome = " " + decodePairs(load<u32>(OUT), load<u32>(OUT + 4));
    return s;
  }
  if (op == "size") {
    const s = proxy_map_size(n, OUT);
    if (s == 0) outcome = " " + load<u32>(OUT).toString();
    return s;
  }
  if (op == "add" || op == "set") {
    const k = encode(b);
    const v = encode(c);
    return op == "add" ? proxy_add(n, k.at, k.size, v.at, v.size) : proxy_replace(n, k.at, k.size, v.at, v.size);
  }
  if (op == "del") {
    const k = encode(b);
    return proxy_remove(n, k.at, k.size);
  }
  if (op == "setpairs") {
    const p = encodePairs(args, 2);
    return proxy_set_pairs(n, p.at, p.size);
  }
  if (op == "setrawpairs") {
    const p = unhex(b);
    return proxy_set_pairs(n, p.at, p.size);
  }
  if (op == "buf") {
    const s = proxy_buffer(n, <i32>parseInt(b), <i32>parseInt(c), OUT, OUT + 4);
    outcome = given(s);
    return s;
  }
  if (op == "bufstatus") {
    const s = proxy_buffer_status(n, OUT, OUT + 4);
    if (s == 0) outcome = " " + load<u32>(OUT).toString() + " " + load<u32>(OUT + 4).toString();
    return s;
  }
  if (op == "setbuf") {
    const v = encode(d);
    return proxy_set_buffer(n, <i32>parseInt(b), <i32>parseInt(c), v.at, v.size);
  }
  if (op == "prop") {
    const k = path(a);
    const s = proxy_prop(k.at, k.size, OUT, OUT + 4);
    outcome = given(s);
    return s;
  }
  if (op == "setprop") {
    const k = path(a);
    const v = encode(b);
    return proxy_set_prop(k.at, k.size, v.at, v.size);
  }
  if (op == "call") {
    const k = encode(a);
    const body = encode(c);
    const p = encodePairs(args, 4);
    const s = proxy_http_call(k.at, k.size, p.at, p.size, body.at, body.size, 0, 0, <i32>parseInt(b), OUT);
    outcome = " " + load<u32>(OUT).toString();
    return s;
  }
  if (op == "foreign") {
    const k = encode(a);
    const v = unhex(b);
    const s = proxy_foreign(k.at, k.size, v.at, v.size, OUT, OUT + 4);
    outcome = load<u32>(OUT) == 0x55555555 ? " untouched" : " " + hex(load<u32>(OUT), load<u32>(OUT + 4));
    return s;
  }
  if (op == "sget") {
    const k = encode(a);
    const s = proxy_sget(k.at, k.size, OUT, OUT + 4, OUT + 8);
    outcome = given(s);
    if (s == 0) outcome += " cas " + load<u32>(OUT + 8).toString();
    return s;
  }
  if (op == "sset") {
    const k = encode(a);
    const v = encode(b);
    return proxy_sset(k.at, k.size, v.at, v.size, <i32>parseInt(c));
  }
  if (op == "define") {
    const k = encode(b);
    const s = proxy_define(n, k.at, k.size, OUT);
    if (s == 0) outcome = " " + load<u32>(OUT).toString();
    return s;
  }
  if (op == "increment") return proxy_increment(n, <i64>parseInt(b));
  if (op == "record") return proxy_record(n, <i64>parseInt(b));
  if (op == "metric") {
    const s = proxy_metric(n, OUT);
    if (s == 0) outcome = " " + load<u64>(OUT).toString();
    return s;
  }
  if (op == "reply") {
    const details = encode(b);
    const body = encode(c);
    const p = encodePairs(args, 5);
    return proxy_reply(n, details.at, details.size, body.at, body.size, p.at, p.size, <i32>parseInt(d));
  }
  if (op == "continue") return proxy_continue(n);
  if (op == "close") return proxy_close(n);
  if (op == "effective") return proxy_effective(a == "last" ? lastStream : n);
  if (op == "done") return proxy_done();
  if (op == "status") {
    const s = proxy_get_status(OUT + 8, OUT, OUT + 4);
    outcome = " " + load<u32>(OUT + 8).toString() + given(s);
    return s;
  }
  if (op == "tick") return proxy_tick(n);
  if (op == "time") {
    const s = proxy_time(OUT);
    outcome = " " + load<u64>(OUT).toString();
    return s;
  }
  if (op == "clock") {
    const s = clock_time_get(n, 0, OUT);
    if (s == 0) outcome = " " + load<u64>(OUT).toString();
    return s;
  }
  if (op == "clockres") {
    const s = clock_res_get(n, OUT);
    if (s == 0) outcome = " " + load<u64>(OUT).toString();
    return s;
  }
  if (op == "random") return random_get(OUT, n);
  if (op == "environ") return environ_sizes_get(OUT, OUT + 4) + load<u32>(OUT) + load<u32>(OUT + 4);
  if (op == "args") return args_sizes_get(OUT, OUT + 4) + load<u32>(OUT) + load<u32>(OUT + 4);
  if (op == "write") {
    const v = encode(b + "%0A");
    store<u32>(OUT, <u32>v.at);
    store<u32>(OUT + 4, v.size);
    const s = fd_write(n, OUT, 1, OUT + 8);
    if (s == 0) outcome = " " + load<u32>(OUT + 8).toString();
    return s;
  }
  if (op == "exit") {
    proc_exit(n);
    return 0;
  }
  if (op == "log") return log(n, b);
  if (op == "logfar") return proxy_log(2, 0xfffffff0, 8);
  if (op == "farword") return proxy_get_log_level(0xfffffffe);
  if (op == "farname") return proxy_get(n, 0xfffffff0, 8, OUT, OUT + 4);
  if (op == "level") {
    const s = proxy_get_log_level(OUT);
    outcome = " " + load<u32>(OUT).toString();
    return s;
  }
  if (op == "malloc") {
    mallocMode = a;
    return 0;
  }
  if (op == "mallocs") {
    outcome = " " + mallocs.toString();
    mallocs = 0;
    return 0;
  }
  if (op == "grow") return memory.grow(n);
  if (op == "return") {
    answer = n;
    return 0;
  }
  if (op == "recurse") return recurse(n);
  if (op == "trap") unreachable();
  return -1;
}

function recurse(n: i32): i32 {
  return recurse(n + 1) + n;
}

function run(script: string[], event: string, id: i32): void {
  for (let i = 0; i < script.length; i++) {
    const args = script[i].split(" ");
    if (args[0] != event) continue;
    const line = script[i].substring(event.length + 1);
    const status = operate(args.slice(1));
    if (args[1] == "return" || args[1] == "malloc" || args[1] == "log") continue;
    log(2, event + " " + id.toString() + ": " + line + " -> " + status.toString() + outcome);
  }
}

function on(event: string, id: i32, otherwise: i32, a: i32 = NONE, b: i32 = NONE, c: i32 = NONE, d: i32 = NONE): i32 {
  let line = event + " " + id.toString();
  if (a != NONE) line += " " + a.toString();
  if (b != NONE) line += " " + b.toString();
  if (c != NONE) line += " " + c.toString();
  if (d != NONE) line += " " + d.toString();
  const root = roots.has(id) ? roots.get(id) : id;
  const script = scripts.has(root) ? scripts.get(root) : vmScript;
  log(2, line);
  answer = NONE;
  run(script, event, id);
  return answer == NONE ? otherwise : answer;
}

function read(type: i32): string[] {
  store<u64>(OUT, 0);
  if (proxy_buffer(type, 0, 0x7fffffff, OUT, OUT + 4) != 0) return [];
  let text = "";
  for (let i: u32 = 0; i < load<u32>(OUT + 4); i++) text += String.fromCharCode(load<u8>(load<u32>(OUT) + i));
  return text.split("\n");
}

export function proxy_on_context_create(id: i32, root: i32): void {
  if (root != 0) {
    roots.set(id, root);
    lastStream = id;
  }
  on("context_create", id, 0, root);
}
export function proxy_on_vm_start(id: i32, size: i32): i32 {
  vmScript = read(6);
  return on("vm_start", id, 1, size);
}
export function proxy_on_configure(id: i32, size: i32): i32 {
  scripts.set(id, read(7));
  return on("configure", id, 1, size);
}
export function proxy_on_tick(id: i32): void {
  on("tick", id, 0);
}
export function proxy_on_request_headers(id: i32, n: i32, end: i32): i32 {
  return on("request_headers", id, 0, n, end);
}
export function proxy_on_request_body(id: i32, n: i32, end: i32): i32 {
  return on("request_body", id, 0, n, end);
}
export function proxy_on_request_trailers(id: i32, n: i32): i32 {
  return on("request_trailers", id, 0, n);
}
export function proxy_on_response_headers(id: i32, n: i32, end: i32): i32 {
  return on("response_headers", id, 0, n, end);
}
export function proxy_on_response_body(id: i32, n: i32, end: i32): i32 {
  return on("response_body", id, 0, n, end);
}
export function proxy_on_response_trailers(id: i32, n: i32): i32 {
  return on("response_trailers", id, 0, n);
}
export function proxy_on_http_call_response(id: i32, token: i32, headers: i32, body: i32, trailers: i32): void {
  on("http_call_response", id, 0, token, headers, body, trailers);
}
export function proxy_on_done(id: i32): i32 {
  return on("done", id, 1);
}
export function proxy_on_log(id: i32): void {
  on("log", id, 0);
}
export function proxy_on_delete(id: i32): void {
  on("delete", id, 0);
}
