// A guest that does what its plugin configuration says, and logs what came of it: one line an operation,
// "EVENT CONTEXT OPERATION -> STATUS RESULT". AssemblyScript, compiled by guest.ts. The same module runs in a
// real Envoy, so what the emulator answers can be compared line by line.
//
// A line of the script is "EVENT OPERATION ARGUMENT...". "-" is an empty argument, "%XX" a byte, "." in a
// property path is NUL. The VM configuration is a script too: it serves vm_start and what comes before.

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
