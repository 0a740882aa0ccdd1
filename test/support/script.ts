/** The script guest in the emulator: see guests/script.as. */
import { expect } from "vitest";
import { Emulator, type EmulatorOptions } from "../../shim/emulator/emulator.js";
import type { Headers } from "../../shim/emulator/pairs.js";
import { guest } from "./compile-guest.js";

const script = await guest("script");

export const GET: Headers = [
  [":method", "GET"],
  [":path", "/"],
  [":authority", "a.example"],
  [":scheme", "http"],
];
export const OK: Headers = [[":status", "200"]];

/** A proxy whose guest follows these lines. */
export async function scripted(lines: string, options: Partial<EmulatorOptions> = {}): Promise<Emulator> {
  const proxy = await Emulator.start({
    module: script,
    nowMs: Date.UTC(2026, 0, 1),
    clusters: { there: "ok" },
    ...options,
  });
  configure(proxy, lines);
  return proxy;
}

/** Gives a plugin a script; what its throw-away VM said is left out of the log. */
export function configure(proxy: Emulator, lines: string, name = "hopgate"): { accepted: boolean } {
  const text = lines.replace(/^\s+/gm, "").trim();
  const verdict = proxy.configure({ name, config: text });
  const kept = proxy.logs.filter((line) => line.vm !== "canary");
  proxy.logs.splice(0, proxy.logs.length, ...kept);
  return verdict;
}

/** What worker 0 has logged since the last time. */
export function logged(proxy: Emulator): string[] {
  expect(proxy.traps).toEqual([]);
  const messages = proxy.logs.filter((line) => line.vm === "worker 0").map((line) => line.message);
  proxy.logs.length = 0;
  return messages;
}

/** What a script of one event does on a request. */
export async function onRequest(
  lines: string,
  options: Partial<EmulatorOptions> = {},
  headers: Headers = GET,
): Promise<string[]> {
  const proxy = await scripted(lines.replace(/^\s*(?=\S)/gm, "request "), options);
  proxy.stream({ headers });
  return logged(proxy);
}

/** Calls an export of worker 0 as if the host had: ids are made up. Root 1 is the context that host calls act on. */
export function callback(
  proxy: Emulator,
  name: Parameters<ReturnType<Emulator["vm"]>["invoke"]>[1],
  ...args: number[]
): number {
  const vm = proxy.vm(0);
  const root = [...vm.contexts.values()][0];
  if (root === undefined) throw new Error("the VM has no context");
  const [a = 0, b = 0, c = 0, d = 0, e = 0] = args;
  const answer = vm.invoke(root, name, a, b, c, d, e);
  vm.afterCall();
  return answer;
}
