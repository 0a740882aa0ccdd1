/**
 * When garbage is collected. The runtime is `minimal`: nothing is collected unless `__collect` is called, and it may
 * be called only where no managed reference is on the stack, since the collector does not see the stack. Those places
 * are the ends of configure and tick in `dispatcher.ts`. In the steady state nothing is allocated, so most ticks need no
 * collection: whoever lets go of something says so here.
 */
let wanted = false;

/** Something became garbage: collect at the end of the next configure or tick. */
export function collectLater(): void {
  wanted = true;
}

/** For the dispatcher alone: nothing managed may be on the stack. */
export function collectNow(): void {
  if (!wanted) return;
  wanted = false;
  __collect();
}
