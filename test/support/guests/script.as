// A filter on the binding that does what its configuration says, one line an operation: "EVENT OPERATION ARGUMENT...".
// Each operation logs one line: what it is and what came of it. "-" is an empty argument, "~" a space, "." in a
// property path NUL.
//
// Events: configure, tick, request, response, call, done, log, delete (of a stream), end (of the root).
import "../../../filter/host/abort";
import { BufferKind, readBuffer } from "../../../filter/host/buffer";
import { Bytes } from "../../../filter/host/bytes";
import { monotonicNs, wallNs } from "../../../filter/host/clock";
import { Action, RootContext, StreamContext } from "../../../filter/host/context";
import { registerRoot } from "../../../filter/host/dispatcher";
import { callForeignFunction } from "../../../filter/host/foreign";
import { addHeader, getHeader, HeaderMap, HeaderPairs, removeHeader, replaceHeader } from "../../../filter/host/headers";
import { httpCall, HttpCallback } from "../../../filter/host/http-call";
import { Inbox } from "../../../filter/host/inbox";
import { isLogged, log, LogLevel } from "../../../filter/host/log";
import { defineMetric, incrementMetric, MetricKind, recordMetric } from "../../../filter/host/metrics";
import { PairsWriter } from "../../../filter/host/pairs";
import { getProperty } from "../../../filter/host/property";
import { getSharedData, setSharedData, sharedDataCas } from "../../../filter/host/shared-data";
import { Status } from "../../../filter/host/status";
import { continueRequest, sendLocalReply, setEffectiveContext } from "../../../filter/host/stream";

export function proxy_abi_version_0_2_1(): void {}
export { allocate as proxy_on_memory_allocate } from "../../../filter/host/inbox";
export {
  onConfigure as proxy_on_configure,
  onContextCreate as proxy_on_context_create,
  onDelete as proxy_on_delete,
  onDone as proxy_on_done,
  onHttpCallResponse as proxy_on_http_call_response,
  onLog as proxy_on_log,
  onRequestHeaders as proxy_on_request_headers,
  onResponseHeaders as proxy_on_response_headers,
  onTick as proxy_on_tick,
} from "../../../filter/host/dispatcher";

registerRoot(() => new ScriptRoot());

const small = new Inbox(16, 64);
const large = new Inbox(64, 1 << 20);
const pairs = new HeaderPairs(64);
const list = new PairsWriter(8, 1024);

class ScriptRoot extends RootContext {
  script: string[] = [];
  lastStream: u32 = 0;

  onConfigure(configuration: Bytes): bool {
    this.script = configuration.toString().split("\n");
    run(this, "configure", 0);
    return !this.script.includes("refuse");
  }

  onTick(): void {
    run(this, "tick", 0);
  }

  onDelete(): void {
    run(this, "end", 0);
  }

  createStream(): StreamContext | null {
    return this.script.includes("no streams") ? null : new ScriptStream(this);
  }
}

class ScriptStream extends StreamContext {
  constructor(private root: ScriptRoot) {
    super();
  }

  onRequestHeaders(headers: i32, endOfStream: bool): Action {
    this.root.lastStream = this.id;
    return run(this.root, "request", this.id);
  }

  onResponseHeaders(headers: i32, endOfStream: bool): Action {
    return run(this.root, "response", this.id);
  }

  onDone(): bool {
    run(this.root, "done", this.id);
    return super.onDone();
  }

  onLog(): void {
    run(this.root, "log", this.id);
  }

  onDelete(): void {
    run(this.root, "delete", this.id);
  }
}

class ScriptCall extends HttpCallback {
  constructor(
    private root: ScriptRoot,
    private name: string,
  ) {
    super();
  }

  onHttpCallResponse(headers: i32, bodySize: i32): void {
    say("answered " + this.name + " headers=" + headers.toString() + " body=" + bodySize.toString());
    run(this.root, "call", this.root.lastStream);
  }
}

function say(text: string): void {
  log(LogLevel.Info, Bytes.of(text));
}

function run(root: ScriptRoot, event: string, stream: u32): Action {
  let action = Action.Continue;
  const script = root.script;
  for (let i = 0; i < script.length; i++) {
    const words = script[i].split(" ");
    if (words[0] != event || words.length < 2) continue;
    if (words[1] == "pause") action = Action.Pause;
    else perform(root, words, stream);
  }
  return action;
}

function text(words: string[], index: i32): string {
  const word = index < words.length ? words[index] : "-";
  return word == "-" ? "" : word.replaceAll("~", " ");
}

function bytes(words: string[], index: i32): Bytes {
  return Bytes.of(text(words, index));
}

function number(words: string[], index: i32): i32 {
  return index < words.length ? I32.parseInt(words[index]) : 0;
}

function answer(words: string[], status: Status, inbox: Inbox | null = null): void {
  let line = words.slice(1).join(" ") + " -> " + (<i32>status).toString();
  if (inbox !== null) line += inbox.length > 200 ? " #" + inbox.length.toString() : " [" + inbox.toString() + "]";
  say(line);
}

function perform(root: ScriptRoot, words: string[], stream: u32): void {
  const verb = words[1];
  if (verb == "say") say(text(words, 2) + (words.length > 3 ? " " + stream.toString() : ""));
  else if (verb == "tick") root.setTickPeriod(number(words, 2));
  else if (verb == "header") answer(words, getHeader(number(words, 2), bytes(words, 3), large), large);
  else if (verb == "small-header") answer(words, getHeader(number(words, 2), bytes(words, 3), small), small);
  else if (verb == "pairs") walk(words);
  else if (verb == "find") say("find -> " + (found(words) ? pairs.value.toString() : "none"));
  else if (verb == "add") answer(words, addHeader(number(words, 2), bytes(words, 3), bytes(words, 4)));
  else if (verb == "replace") answer(words, replaceHeader(number(words, 2), bytes(words, 3), bytes(words, 4)));
  else if (verb == "remove") answer(words, removeHeader(number(words, 2), bytes(words, 3)));
  else if (verb == "property") answer(words, getProperty(Bytes.of(text(words, 2).replaceAll(".", "\0")), large), large);
  else if (verb == "foreign") answer(words, callForeignFunction(bytes(words, 2), bytes(words, 3), large), large);
  else if (verb == "body") answer(words, readBuffer(BufferKind.HttpCallResponseBody, number(words, 2), large), large);
  else if (verb == "small-body") answer(words, readBuffer(BufferKind.HttpCallResponseBody, number(words, 2), small), small);
  else if (verb == "configuration") answer(words, readBuffer(BufferKind.PluginConfiguration, 1000, large), large);
  else if (verb == "call") call(root, words);
  else if (verb == "get") answer(words, getSharedData(bytes(words, 2), large), large);
  else if (verb == "set") answer(words, setSharedData(bytes(words, 2), bytes(words, 3), casOf(words[4])));
  else if (verb == "define") say(words.slice(1).join(" ") + " -> " + defineMetric(number(words, 2), bytes(words, 3)).toString());
  else if (verb == "increment") incrementMetric(defineMetric(number(words, 2), bytes(words, 3)), number(words, 4));
  else if (verb == "record") recordMetric(defineMetric(MetricKind.Histogram, bytes(words, 2)), number(words, 3));
  else if (verb == "increment-id") incrementMetric(number(words, 2), 1);
  else if (verb == "level") say("level " + levels());
  else if (verb == "log") log(number(words, 2), bytes(words, 3));
  else if (verb == "clocks") say("clocks " + monotonicNs().toString() + " " + wallNs().toString());
  else if (verb == "effective") answer(words, setEffectiveContext(words.length > 2 ? number(words, 2) : root.lastStream));
  else if (verb == "continue") answer(words, continueRequest());
  else if (verb == "reply") reply(words);
  else if (verb == "soak") soak(number(words, 2));
  else if (verb == "abort") say(words[words.length + number(words, 2)]);
}

function casOf(word: string): u32 {
  if (word == "create") return 0xffff_ffff;
  return word == "read" ? sharedDataCas() : U32.parseInt(word);
}

function found(words: string[]): bool {
  pairs.read(number(words, 2));
  return pairs.find(bytes(words, 3));
}

function walk(words: string[]): void {
  const status = pairs.read(number(words, 2));
  let line = "";
  let count = 0;
  while (pairs.next()) {
    count += 1;
    if (count <= 8) line += " " + pairs.name.toString() + "=" + pairs.value.toString();
  }
  say("pairs " + text(words, 2) + " -> " + (<i32>status).toString() + " " + count.toString() + line);
}

function call(root: ScriptRoot, words: string[]): void {
  list.reset().add(Bytes.of(":method"), Bytes.of("GET")).add(Bytes.of(":path"), Bytes.of("/"));
  const isIncomplete = words.length > 4 && words[4] == "incomplete";
  if (!isIncomplete) list.add(Bytes.of(":authority"), Bytes.of("a.example"));
  const body = words.length > 4 && !isIncomplete ? bytes(words, 4) : Bytes.empty();
  answer(words, httpCall(root, bytes(words, 2), list, body, number(words, 3), new ScriptCall(root, text(words, 2))));
}

function reply(words: string[]): void {
  list.reset().add(Bytes.of("x-reply"), Bytes.of("1"));
  answer(words, sendLocalReply(number(words, 2), Bytes.of("from script"), Bytes.of("no"), list, 14));
}

function levels(): string {
  let logged = "";
  for (let level = 0; level <= LogLevel.Critical; level++) logged += isLogged(level) ? "1" : "0";
  return logged;
}

const NAME = Bytes.of("x-soak");
const VALUE = Bytes.of("a value of some length");
const FUNCTION = Bytes.of("clear_route_cache");
const PATH = Bytes.of("plugin_name");
const METRIC = Bytes.of("soak");

// Every wrapper, that many times, without an allocation of the test's own.
function soak(times: i32): void {
  let failures = 0;
  for (let i = 0; i < times; i++) {
    if (pairs.read(HeaderMap.Request) != Status.Ok) failures++;
    while (pairs.next()) if (pairs.name.length == 0) failures++;
    if (addHeader(HeaderMap.Request, NAME, VALUE) != Status.Ok) failures++;
    if (replaceHeader(HeaderMap.Request, NAME, VALUE) != Status.Ok) failures++;
    if (getHeader(HeaderMap.Request, NAME, large) != Status.Ok || !large.equals(VALUE)) failures++;
    if (removeHeader(HeaderMap.Request, NAME) != Status.Ok) failures++;
    if (getHeader(HeaderMap.Request, NAME, large) != Status.NotFound) failures++;
    if (getProperty(PATH, large) != Status.Ok) failures++;
    if (callForeignFunction(FUNCTION, VALUE, large) != Status.Ok) failures++;
    if (getSharedData(NAME, large) == Status.InternalFailure) failures++;
    if (setSharedData(NAME, VALUE, 0xffff_ffff) == Status.InternalFailure) failures++;
    if (readBuffer(BufferKind.HttpCallResponseBody, 100, large) != Status.NotFound) failures++;
    if (wallNs() <= 0 || monotonicNs() <= 0 || isLogged(LogLevel.Trace)) failures++;
    incrementMetric(defineMetric(MetricKind.Counter, METRIC), 1);
    recordMetric(defineMetric(MetricKind.Histogram, METRIC), i);
  }
  say("soak -> " + failures.toString() + " failures");
}
