/** Functions that Envoy offers beside the ABI (source/extensions/common/wasm/foreign.cc). */
import { proxyCallForeignFunction } from "./abi";
import { Bytes } from "./bytes";
import { expect, Inbox, received } from "./inbox";
import { Status } from "./status";

/** NotFound where the proxy has no function of that name. An answer without bytes leaves the inbox empty. */
export function callForeignFunction(name: Bytes, argument: Bytes, into: Inbox): Status {
  const out = expect(into);
  return received(
    into,
    proxyCallForeignFunction(name.pointer, name.length, argument.pointer, argument.length, out, out + 4),
  );
}
