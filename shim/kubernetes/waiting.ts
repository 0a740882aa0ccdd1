import { Failure } from "../errors.js";
import type { ExpectedHop } from "../plan/revision.js";
import type { Proxies, ProxyStatus } from "./proxies.js";
import { beginSettling } from "./settling.js";

export interface WaitOptions {
  readonly notify: (line: string) => void;
  readonly signal: AbortSignal;
  /** How long proxies may take until all of them run it; 0: look once, and undo nothing. */
  readonly timeoutMs: number;
}

const POLL_MS = 200;
/** Whoever looks on is told at the latest then what is waited for. */
const SILENCE_MS = 4000;

/** Waits for the proxies of hops, and says on what. */
export class Waiting {
  constructor(
    private readonly proxies: Proxies,
    private readonly options: WaitOptions,
  ) {}

  /** @throws Failure if, in time, not every proxy there is says what it runs: it would not when it runs the new either */
  async untilAnswering(hops: readonly ExpectedHop[]): Promise<void> {
    await this.until("proxies that answer", hops, async () => {
      const proxies = await this.proxies.statuses(hops);
      const silent = proxies.filter(({ state }) => state === "unknown");
      const ends = (): Failure =>
        new Failure(`Not every proxy says what it runs:\n${indented(silent.map(shortcoming))}\nNothing was changed.`, {
          fix: "hopgate doctor says more; kubectl delete pod replaces one that hangs.",
        });
      return { proxies, missing: silent.map(shortcoming), ends, isGood: ({ state }) => state !== "unknown" };
    });
  }

  /** @throws Failure if not every proxy of every hop runs what is expected, in time */
  async untilLoaded(hops: readonly ExpectedHop[]): Promise<readonly ProxyStatus[]> {
    return this.until("proxies that run it", hops, async () => {
      const proxies = await this.proxies.statuses(hops);
      const missing = shortcomings(hops, proxies);
      const ends = (): Failure =>
        new Failure(`Not every proxy runs what was deployed:\n${indented(missing)}`, {
          fix: "hopgate doctor says more.",
        });
      return { proxies, missing, ends, isGood: ({ state }) => state === "loaded" };
    });
  }

  /** Returns what waits until istiod has sent the proxies what is applied from now on (see `beginSettling`). */
  async settling(hops: readonly ExpectedHop[]): Promise<() => Promise<void>> {
    const settled = await beginSettling(this.proxies, hops, () => this.pause());
    return async () => {
      const { notify } = this.options;
      const timer = setTimeout(() => notify("waiting for istiod to send it to the proxies"), SILENCE_MS);
      try {
        await settled();
      } finally {
        clearTimeout(timer);
      }
    };
  }

  private async until(
    what: string,
    hops: readonly ExpectedHop[],
    look: () => Promise<Look>,
  ): Promise<readonly ProxyStatus[]> {
    const report = new Report(this.options.notify);
    const deadlineMs = performance.now() + this.options.timeoutMs;
    for (;;) {
      const { proxies, missing, ends, isGood } = await look();
      report.say(`${what}: ${countsOf(hops, proxies, isGood)}`, missing);
      if (missing.length === 0) return proxies;
      if (performance.now() >= deadlineMs) throw ends();
      await this.pause();
    }
  }

  /** The time between two looks. */
  async pause(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    this.options.signal.throwIfAborted();
  }
}

/** What one look at the proxies came to. */
interface Look {
  readonly proxies: readonly ProxyStatus[];
  /** What is still waited for; empty: nothing. */
  readonly missing: readonly string[];
  /** What to say where there is no more time. */
  readonly ends: () => Failure;
  readonly isGood: (proxy: ProxyStatus) => boolean;
}

/** How far it is, in a line whenever that changes; where it does not for a while, also what is missing, once. */
class Report {
  private counts = "";
  private saidMs = performance.now();
  private explained = "";

  constructor(private readonly notify: (line: string) => void) {}

  say(counts: string, missing: readonly string[]): void {
    const nowMs = performance.now();
    const why = missing.join("; ");
    // What is there at the first look has not been waited for.
    if (counts !== this.counts && (why !== "" || this.counts !== "")) {
      this.notify(counts);
      this.saidMs = nowMs;
    } else if (why !== "" && why !== this.explained && nowMs - this.saidMs >= SILENCE_MS) {
      this.notify(`waiting for ${why}`);
      this.explained = why;
      this.saidMs = nowMs;
    }
    this.counts = counts;
  }
}

/** Such as `edge 0/1, inner 1/1`. */
function countsOf(
  hops: readonly ExpectedHop[],
  proxies: readonly ProxyStatus[],
  isGood: (proxy: ProxyStatus) => boolean,
): string {
  return hops
    .map(({ hop }) => {
      const own = proxies.filter((proxy) => proxy.hop === hop);
      return `${hop} ${String(own.filter(isGood).length)}/${String(own.length)}`;
    })
    .join(", ");
}

/** A line for each proxy that does not run what it should, and for each hop without proxies. */
export function shortcomings(hops: readonly ExpectedHop[], proxies: readonly ProxyStatus[]): readonly string[] {
  const empty = hops.filter(({ hop }) => !proxies.some((proxy) => proxy.hop === hop));
  return [
    ...empty.map(({ hop, namespace }) => `${hop}: no Pod in ${namespace} has its labels`),
    ...proxies.filter(({ state }) => state !== "loaded").map(shortcoming),
  ];
}

function shortcoming({ hop, namespace, pod, state, reason }: ProxyStatus): string {
  return `${hop}: ${namespace}/${pod} is ${state}: ${reason}`;
}

function indented(lines: readonly string[]): string {
  return lines.map((line) => `  ${line}`).join("\n");
}
