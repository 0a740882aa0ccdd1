import type { JsonObject } from "./json.js";

/**
 * Where a listener listens: 127.0.0.1 only. Envoy by default shares its port with any other process that does the same
 * (SO_REUSEPORT), so a second mesh on a taken port would get half of the connections instead of an error.
 */
export function onLoopback(port: number): JsonObject {
  return { address: { socket_address: { address: "127.0.0.1", port_value: port } }, enable_reuse_port: false };
}
