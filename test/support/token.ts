/** The filter's tokens in the emulator: what a request carries, when calls are made, and what workers tell each other. */
import type { Emulator } from "../../shim/emulator/emulator.js";
import type { PluginIdentity } from "../../shim/render/plugin-config.js";
import { KB, KB_AUDIENCE, METADATA, refusal, send } from "./filter.js";

/** Where the workers share the token of the Cloud Run backend. */
export const KEY = `hopgate/1/metadata/${METADATA}/${KB_AUDIENCE}`;
export const HOUR_MS = 3_600_000;

/** The header that a request to the Cloud Run backend is sent with, or how it ended else. */
export function authorizationOf(proxy: Emulator, worker = 0): string | undefined {
  const stream = send(proxy, KB, [], worker);
  const value = stream.paused ? "paused" : (stream.requestHeader("authorization") ?? refusal(stream));
  if (stream.paused || stream.localReply === undefined) stream.abort();
  return value;
}

/** Lets time pass and notes when each call begins, in ms from now; `answer` deals with it. */
export function callTimes(proxy: Emulator, forMs: number, answer: (proxy: Emulator) => void, stepMs = 100): number[] {
  const start = proxy.clock.monotonicMs;
  const times: number[] = [];
  while (proxy.clock.monotonicMs - start < forMs) {
    proxy.advance(stepMs);
    for (let count = proxy.calls.length; count > 0; count--) times.push(proxy.clock.monotonicMs - start);
    if (proxy.calls.length > 0) answer(proxy);
  }
  return times;
}

export function identity(fields: PluginIdentity): { identity: PluginIdentity } {
  return { identity: { cluster: METADATA, ...fields } };
}

/** What workers tell each other: see filter/token-record.ts. */
export function record(fields: {
  leaseUntilMs?: number;
  retryAtMs?: number;
  failures?: number;
  token?: string;
}): Buffer {
  const head = Buffer.alloc(24);
  head.write("HGT1", "latin1");
  head.writeBigInt64LE(BigInt(Math.round(fields.leaseUntilMs ?? 0)), 4);
  head.writeBigInt64LE(BigInt(Math.round(fields.retryAtMs ?? 0)), 12);
  head.writeInt32LE(fields.failures ?? 0, 20);
  return Buffer.concat([head, Buffer.from(fields.token ?? "")]);
}

/** When the token of an `authorization` value expires, in seconds since 1970. */
export function expiryOf(authorization: string | undefined): number {
  const payload = authorization?.split(".")[1] ?? "";
  return (JSON.parse(Buffer.from(payload, "base64url").toString()) as { exp: number }).exp;
}
