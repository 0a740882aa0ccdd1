import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";

import { Failure } from "../../../shim/errors.js";

/**
 * Addresses of a box's own. Kubernetes takes no loopback address for an endpoint or a Pod, and several Pods of one
 * machine want the same ports: so each of them has an address in a network that exists on the loopback interface alone.
 */
export interface Addresses {
  /** The first, such as `10.77.0.1`. */
  readonly first: string;
  /** One that nothing has yet. @throws Failure after 253 */
  next(): string;
  /** Gives the network back. */
  release(): Promise<void>;
}

const WAYS_OUT = [
  "Run it as root, or, without being root, in namespaces of its own:",
  "unshare --user --map-root-user --mount --net COMMAND",
].join("\n  ");

/** `program` is loopback's binary. @throws Failure where addresses cannot be added, as without being root. */
export async function takeAddresses(program: string): Promise<Addresses> {
  // Its stdin is this process's alone: its end is what tells it to give the network back.
  const child = spawn(program, [], { detached: true, stdio: ["pipe", "pipe", "pipe"] });
  const ended = once(child, "close");
  const complaint = text(child.stderr);
  const [first] = (await Promise.race([once(createInterface({ input: child.stdout }), "line"), ended])) as unknown[];
  if (typeof first !== "string") {
    const reason = (await complaint).trim();
    throw new Failure(`No address can be added to the loopback interface: ${reason}`, { fix: WAYS_OUT });
  }
  const network = first.slice(0, first.lastIndexOf(".") + 1);
  let last = 1;
  return {
    first,
    next: () => {
      last += 1;
      if (last > 254) throw new Failure(`${network}0/24 has no address left`);
      return `${network}${String(last)}`;
    },
    release: async () => {
      child.stdin.end();
      await ended;
    },
  };
}
