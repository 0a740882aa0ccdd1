/**
 * A signal that follows `parent`, and aborts after `ms` with a `TimeoutError` of its own. Not with `AbortSignal.timeout`: combined with
 * another signal Node may collect it before it fires, and whoever waits then waits for ever (nodejs/node#57736).
 */
export function deadline(parent: AbortSignal, ms: number): AbortSignal {
  const expiry = new AbortController();
  const expire = (): void => expiry.abort(new DOMException(`no answer within ${String(ms)} ms`, "TimeoutError"));
  // The timer keeps `expiry`. A program that has nothing else to do need not wait for it; an exchange that is under way keeps the program going.
  setTimeout(expire, ms).unref();
  return AbortSignal.any([parent, expiry.signal]);
}
