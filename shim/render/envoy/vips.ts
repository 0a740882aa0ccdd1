import type { Mesh } from "../../config/model.js";
import { serviceOf } from "./names.js";

/**
 * A virtual IP for every service of the mesh, by host name, out of 240.240.0.0/16 as Istio assigns them to
 * ServiceEntries. The address comes from a hash of the name and not from its place in the file, so that two hops that
 * learn of an edit one after the other agree on all services that were not touched.
 */
export function virtualIps(mesh: Mesh): ReadonlyMap<string, string> {
  const hosts = new Set([...mesh.backends.values()].map((backend) => serviceOf(backend).host));
  const slots = new Map<number, string>();
  // Sorted, so that of two names with one hash the same one moves on wherever they stand in the file.
  for (const host of [...hosts].sort()) {
    let slot = hash16(host);
    while (slots.has(slot)) slot = (slot + 1) & 0xffff;
    slots.set(slot, host);
  }
  return new Map([...slots].map(([slot, host]) => [host, `240.240.${slot >> 8}.${slot & 0xff}`]));
}

/** FNV-1a, 32 bits folded to 16. */
function hash16(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return ((hash >>> 16) ^ hash) & 0xffff;
}
