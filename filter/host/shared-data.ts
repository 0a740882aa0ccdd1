/**
 * Shared data: the one memory that all workers of a process have in common. Every plugin with the same VM id reads and
 * writes it (Istio leaves all VM ids empty), so what is read may be anything.
 */
import { proxyGetSharedData, proxySetSharedData } from "./abi";
import { Bytes } from "./bytes";
import { expect, Inbox, received } from "./inbox";
import { Status } from "./status";

/**
 * Writes only if the key does not exist. The host treats 0 as "overwrite" and counts its own numbers upwards from 1, so the
 * largest number never matches an existing key (proxy-wasm-cpp-host src/shared_data.cc).
 */
export const CREATE: u32 = 0xffff_ffff;

const casOut: usize = memory.data(4, 4);

/** Reads a key; `sharedDataCas` then says with which number to write it back. NotFound where nobody wrote it. */
export function getSharedData(key: Bytes, into: Inbox): Status {
  const out = expect(into);
  return received(into, proxyGetSharedData(key.pointer, key.length, out, out + 4, casOut));
}

/** The number of what `getSharedData` read last; never 0. */
export function sharedDataCas(): u32 {
  return load<u32>(casOut);
}

/** Writes if nobody has since `cas`, else CasMismatch. `cas` 0 would overwrite whatever is there, and is refused. */
export function setSharedData(key: Bytes, value: Bytes, cas: u32): Status {
  if (cas == 0) return Status.BadArgument;
  return proxySetSharedData(key.pointer, key.length, value.pointer, value.length, cas);
}
