/**
 * A signal that follows `parent`, and aborts after `ms` with a `TimeoutError` of its own. Not `AbortSignal.any` with
 * `AbortSignal.timeout`: Node may collect the latter before it fires, and whoever waits then waits for ever (nodejs/node#57736).
 */
export function deadline(parent: AbortSignal, ms: number): AbortSignal {
  const controller = new AbortController();
  if (parent.aborted) controller.abort(parent.reason);
  const expire = (): void => controller.abort(new DOMException(`no answer within ${String(ms)} ms`, "TimeoutError"));
  // A program that has nothing else to do need not wait for it; an exchange that is under way keeps the program going.
  setTimeout(expire, ms).unref();
  parent.addEventListener("abort", () => controller.abort(parent.reason), { once: true, signal: controller.signal });
  return controller.signal;
}
