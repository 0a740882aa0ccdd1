/**
 * What a call of the host costs: the plugin configuration names one, such as `clock`, and how often each request is to
 * make it. Compiled against the binding that the filter uses, with static buffers, as it does.
 */
import { BufferKind, readBuffer } from "../../filter/host/buffer";
import { Bytes } from "../../filter/host/bytes";
import { monotonicNs } from "../../filter/host/clock";
import { callForeignFunction } from "../../filter/host/foreign";
import { addHeader, getHeader, HeaderMap, HeaderPairs, removeHeader, replaceHeader } from "../../filter/host/headers";
import { Inbox } from "../../filter/host/inbox";
import { isLogged, LogLevel } from "../../filter/host/log";
import { defineMetric, incrementMetric, MetricKind, recordMetric } from "../../filter/host/metrics";
import { getProperty } from "../../filter/host/property";
import { getSharedData } from "../../filter/host/shared-data";
import "../../filter/host/abort";
import { allocate } from "../../filter/host/inbox";

const configuration = new Inbox(64, 65_536);
const argument = new Bytes(configuration.owner, 0, 0);
const pairs = new HeaderPairs(16_384);
const answer = new Inbox(1024, 65_536);
const USER_AGENT = Bytes.of("user-agent");
const NAME = Bytes.of("x-bench");
const SHORT = Bytes.of("a value of twenty b.");
const LONG = Bytes.of("token".repeat(135) + "ok");
const ROUTE = Bytes.of("xds\0route_name");
const KEY = Bytes.of("hopgate-bench");
const VERIFY = Bytes.of("verify_signature");

const NAMES = [
  "nothing",
  "pairs",
  "get_header",
  "replace_header",
  "replace_header_677",
  "add_remove_header",
  "clock",
  "property",
  "counter",
  "histogram",
  "log_level",
  "shared_data",
  "verify_signature",
];

let call = 0;
let count = 0;
let counter = 0;
let histogram = 0;

/** `NAME COUNT`, and behind a second space the argument of a foreign function. */
export function proxy_on_configure(_id: u32, size: i32): bool {
  readBuffer(BufferKind.PluginConfiguration, size, configuration);
  const first = configuration.indexOf(0x20);
  const second = configuration.indexOf(0x20, first + 1);
  const end = second < 0 ? configuration.length : second;
  const word = Bytes.empty();
  word.point(configuration, 0, first);
  call = NAMES.indexOf(word.toString());
  word.point(configuration, first + 1, end - first - 1);
  count = <i32>parseInt(word.toString());
  argument.point(configuration, end + 1, configuration.length);
  counter = defineMetric(MetricKind.Counter, Bytes.of("bench_counter"));
  histogram = defineMetric(MetricKind.Histogram, Bytes.of("bench_histogram"));
  return call >= 0;
}

export function proxy_on_request_headers(_id: u32, _headers: i32, _endOfStream: i32): i32 {
  for (let i = 0; i < count; i++) perform();
  return 0;
}

function perform(): void {
  switch (call) {
    case 1:
      pairs.read(HeaderMap.Request);
      return;
    case 2:
      getHeader(HeaderMap.Request, USER_AGENT, answer);
      return;
    case 3:
      replaceHeader(HeaderMap.Request, NAME, SHORT);
      return;
    case 4:
      replaceHeader(HeaderMap.Request, NAME, LONG);
      return;
    case 5:
      addHeader(HeaderMap.Request, NAME, SHORT);
      removeHeader(HeaderMap.Request, NAME);
      return;
    case 6:
      monotonicNs();
      return;
    case 7:
      getProperty(ROUTE, answer);
      return;
    case 8:
      incrementMetric(counter, 1);
      return;
    case 9:
      recordMetric(histogram, 20);
      return;
    case 10:
      isLogged(LogLevel.Warn);
      return;
    case 11:
      getSharedData(KEY, answer);
      return;
    case 12:
      callForeignFunction(VERIFY, argument, answer);
  }
}

export function proxy_abi_version_0_2_1(): void {}
export { allocate as proxy_on_memory_allocate };
export function proxy_on_context_create(_id: u32, _parent: u32): void {}
