/** Properties of the stream (https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/advanced/attributes). */
import { proxyGetProperty, proxySetProperty } from "./abi";
import { Bytes } from "./bytes";
import { expect, Inbox, received } from "./inbox";
import { Status } from "./status";

/**
 * `path` has its parts separated by NUL, such as `xds\0filter_chain_name`. A property that depends on the route is stale
 * once a request header was written: the write clears the route cache.
 */
export function getProperty(path: Bytes, into: Inbox): Status {
  const out = expect(into);
  return received(into, proxyGetProperty(path.pointer, path.length, out, out + 4));
}

/** Keeps `value` with the stream. Envoy has it as filter state called `wasm.` and `path`, which access logs can show. */
export function setProperty(path: Bytes, value: Bytes): Status {
  return proxySetProperty(path.pointer, path.length, value.pointer, value.length);
}
