/** The requests of one root: objects that are used again, and what they ask of their root. */
import { Config } from "./config";
import { Request } from "./request";

/** Milliseconds between two ticks: ordinarily, and while requests wait. Half of the time in which they are to go on. */
const TICK_MS: i32 = 1000;
export const HURRIED_TICK_MS: i32 = 10;

export class RequestPool {
  private free: Request[] = [];
  private draws: u64 = 0;
  private hurried: bool = true;

  constructor(private config: Config) {}

  take(): Request {
    return this.free.length > 0 ? this.free.pop() : new Request(this.config, this);
  }

  giveBack(request: Request): void {
    request.reset();
    this.free.push(request);
  }

  /** A number for requests that have nothing to choose an arm by. */
  draw(): u64 {
    this.draws += 1;
    return this.draws;
  }

  /** Requests wait: tick faster. */
  hurry(): void {
    if (this.hurried) return;
    this.hurried = true;
    this.config.identity.root.setTickPeriod(HURRIED_TICK_MS);
  }

  /** Nobody waits any more. */
  calm(): void {
    if (!this.hurried) return;
    this.hurried = false;
    this.config.identity.root.setTickPeriod(TICK_MS);
  }
}
