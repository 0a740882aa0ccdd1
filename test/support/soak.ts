/**
 * Traffic of several kinds, each answer held against what a model says it can be. A kind knows what it sends and, from what it knows of
 * the outside at that time, what may come back; a test adds kinds, and makes the outside fail.
 */
import { sendLoad } from "./load.js";

export interface Kind {
  readonly name: string;
  /** The header lines of one request, `Host` first. */
  head(): string;
  /** What the answer to a request can be that was sent and answered at these times (ms of `performance.now`). One: it is certain. */
  expected(sentMs: number, answeredMs: number): readonly string[];
}

export interface SoakOptions {
  readonly port: number;
  readonly kinds: readonly Kind[];
  /** Goes on until so many requests are answered, and so much time has passed. */
  readonly requests: number;
  readonly forMs: number;
  readonly connections: number;
  /** What the answer was, in the words of `Kind.expected`. */
  readonly describe: (head: string, body: string) => string;
}

export interface SoakResult {
  readonly answered: number;
  /** Answers by kind and what they were, such as `kb 200`. */
  readonly counts: ReadonlyMap<string, number>;
  /** Requests of which the model could name the one answer. */
  readonly certain: number;
  /** Answers that the model does not allow: at most 20 of them, in words. */
  readonly wrong: readonly string[];
  readonly wrongCount: number;
}

const BATCH = 2000;

/** Sends the kinds in turns. @throws Error where a request is not answered. */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  const { kinds, requests, forMs, describe } = options;
  const counts = new Map<string, number>();
  const wrong: string[] = [];
  const startMs = performance.now();
  let [answered, certain, wrongCount] = [0, 0, 0];

  while (answered < requests || performance.now() - startMs < forMs) {
    const sentMs: number[] = [];
    await sendLoad({
      port: options.port,
      connections: options.connections,
      count: BATCH,
      head: (index) => {
        sentMs[index] = performance.now();
        return kindAt(kinds, index).head();
      },
      onAnswer: (index, head, body) => {
        const kind = kindAt(kinds, index);
        const said = describe(head, body);
        const [sent = 0, nowMs] = [sentMs[index], performance.now()];
        const expected = kind.expected(sent, nowMs);
        answered += 1;
        if (expected.length === 1) certain += 1;
        counts.set(`${kind.name} ${said}`, (counts.get(`${kind.name} ${said}`) ?? 0) + 1);
        if (expected.includes(said)) return;
        wrongCount += 1;
        const when = `${Math.round(sent - startMs)} to ${Math.round(nowMs - startMs)} ms`;
        if (wrong.length < 20) wrong.push(`${kind.name}, ${when}: ${said} instead of ${expected.join(" or ")}`);
      },
    });
  }
  return { answered, counts, certain, wrong, wrongCount };
}

function kindAt(kinds: readonly Kind[], index: number): Kind {
  const kind = kinds[index % kinds.length];
  if (kind === undefined) throw new Error("there is no kind of request to send");
  return kind;
}

/** Numbers from 0 to below 1 that are the same for the same seed (mulberry32), so that a failure can be run again. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
