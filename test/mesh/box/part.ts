import { readFile } from "node:fs/promises";

import type { Keeper, Program, RunningProgram } from "../../../shim/envoy/keeper.js";
import { Failure } from "../../../shim/errors.js";

const READY_TIMEOUT_MS = 60_000;
const POLL_MS = 25;
const MAX_LOG_LINES = 15;

/** One program of the box, which a test can end, hold and start again. */
export class Part {
  private running: RunningProgram | undefined;
  private hasEnded = true;

  /** `isReady` is asked until it says yes; what it throws is a no. */
  constructor(
    readonly name: string,
    private readonly keeper: Keeper,
    private readonly program: Program,
    private readonly isReady: () => Promise<boolean>,
  ) {}

  /** Starts it and waits until it serves. @throws Failure with the end of its log if it ends, or does not serve within 60 s */
  async start(): Promise<void> {
    const running = await this.keeper.run(this.program);
    this.running = running;
    this.hasEnded = false;
    void running.ended.then(() => (this.hasEnded = this.running === running || this.hasEnded));
    const deadline = performance.now() + READY_TIMEOUT_MS;
    while (!(await this.isReady().catch(() => false))) {
      if (this.hasEnded) throw new Failure(`${this.name} ended at once:\n${await this.logTail()}`);
      if (performance.now() > deadline) throw new Failure(`${this.name} is not ready:\n${await this.logTail()}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  get pid(): number | undefined {
    return this.hasEnded ? undefined : this.running?.pid;
  }

  /** SIGKILL, as when a node is lost. Returns when it is gone. */
  async kill(): Promise<void> {
    this.running?.signal("SIGKILL");
    await this.running?.ended;
  }

  /** Holds it: connections to it are accepted and nothing answers, as from a machine that has hung. */
  pause(): void {
    this.signalAll("SIGSTOP");
  }

  resume(): void {
    this.signalAll("SIGCONT");
  }

  /** All that it has printed since it was last started. */
  log(): Promise<string> {
    return readFile(this.program.logPath, "utf8");
  }

  /** The keeper makes every program the leader of a process group. */
  private signalAll(signal: "SIGSTOP" | "SIGCONT"): void {
    if (this.pid !== undefined) process.kill(-this.pid, signal);
  }

  private async logTail(): Promise<string> {
    const lines = (await this.log().catch(() => "")).trim().split("\n").slice(-MAX_LOG_LINES);
    return lines.map((line) => `  ${line.slice(0, 400)}`).join("\n");
  }
}

/** Waits until `condition` gives something. @throws Failure after `timeoutMs` that names `what` and the last reason */
export async function until<T>(
  what: string,
  condition: () => Promise<T | undefined>,
  timeoutMs = READY_TIMEOUT_MS,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    let reason: unknown;
    const value = await condition().catch((error: unknown) => void (reason = error));
    if (value !== undefined) return value;
    if (performance.now() > deadline) {
      throw new Failure(`${what}: not within ${String(timeoutMs / 1000)} s`, { cause: reason });
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
