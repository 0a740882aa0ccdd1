/**
 * A clock that stands until a test moves it. Monotonic time is whole nanoseconds in a number (good for 104
 * days); wall time has an offset to it that can be stepped alone, as NTP does. Timers hang on monotonic time.
 */

/** Where monotonic time begins: it has no meaning of its own and must not be near the wall clock. */
const MONOTONIC_START_NS = 1_000_000_000_000;

interface Timer {
  readonly atNs: number;
  readonly fire: () => void;
}

/** A 64-bit value ready to be written: nanoseconds do not fit a number exactly. */
export interface U64 {
  low: number;
  high: number;
}

export class Clock {
  #monotonicNs = MONOTONIC_START_NS;
  #wallOffsetNs: bigint;
  /** Sorted by time; those of one time stand in the order in which they were set. */
  readonly #timers: Timer[] = [];
  readonly monotonic: U64 = { low: 0, high: 0 };
  readonly wall: U64 = { low: 0, high: 0 };

  constructor(wallMs: number) {
    this.#wallOffsetNs = nanoseconds(wallMs) - BigInt(MONOTONIC_START_NS);
    this.#publish();
  }

  /** Unix time in ms. */
  get wallMs(): number {
    return Number(BigInt(this.#monotonicNs) + this.#wallOffsetNs) / 1e6;
  }

  /** Monotonic time in ms. */
  get monotonicMs(): number {
    return this.#monotonicNs / 1e6;
  }

  /** Steps the wall clock alone, forward or back. No timer fires. */
  stepWall(ms: number): void {
    this.#wallOffsetNs += nanoseconds(ms);
    this.#publish();
  }

  /** Lets time pass: what is due on the way fires in order, each at its own time. */
  advance(ms: number): void {
    const endNs = this.#monotonicNs + Math.round(ms * 1e6);
    for (let timer = this.#timers[0]; timer !== undefined && timer.atNs <= endNs; timer = this.#timers[0]) {
      this.#timers.shift();
      this.#monotonicNs = timer.atNs;
      this.#publish();
      timer.fire();
    }
    this.#monotonicNs = endNs;
    this.#publish();
  }

  /** Calls `fire` once, `ms` from now; the answer takes it back. */
  after(ms: number, fire: () => void): () => void {
    const timer: Timer = { atNs: this.#monotonicNs + Math.round(ms * 1e6), fire };
    let index = this.#timers.length;
    while (index > 0 && (this.#timers[index - 1] as Timer).atNs > timer.atNs) index--;
    this.#timers.splice(index, 0, timer);
    return () => {
      const at = this.#timers.indexOf(timer);
      if (at >= 0) this.#timers.splice(at, 1);
    };
  }

  #publish(): void {
    const monotonic = this.#monotonicNs;
    this.monotonic.low = monotonic % 2 ** 32;
    this.monotonic.high = Math.floor(monotonic / 2 ** 32);
    const wall = BigInt(monotonic) + this.#wallOffsetNs;
    this.wall.low = Number(wall & 0xffffffffn);
    this.wall.high = Number(wall >> 32n);
  }
}

/** Whole milliseconds exactly, the rest rounded to a nanosecond. */
function nanoseconds(ms: number): bigint {
  const whole = Math.trunc(ms);
  return BigInt(whole) * 1_000_000n + BigInt(Math.round((ms - whole) * 1e6));
}
