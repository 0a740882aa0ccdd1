// What script-guest.as is made of: the host functions that it calls, and text to bytes and back. guest.ts puts
// this file in front of that one. AssemblyScript.

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
