/** The filter at one hop: one plugin configuration in one VM. */
import { compile, Config } from "./config";
import { Bytes, Writer } from "./host/bytes";
import { monotonicNs } from "./host/clock";
import { RootContext, StreamContext } from "./host/context";
import { log, LogLevel } from "./host/log";
import { incrementMetric, NO_METRIC } from "./host/metrics";
import { defineRunning, recordRunningSince } from "./metrics";
import { HURRIED_TICK_MS, RequestPool } from "./request-pool";
import { firstProblem } from "./section";

export class Hop extends RootContext {
  /** Null until a configuration was accepted. */
  private config: Config | null = null;
  private requests: RequestPool | null = null;
  /** The gauge that counts VMs running this configuration; NO_METRIC before the first tick. */
  private running: i32 = NO_METRIC;
  private begun: bool = false;

  onConfigure(configuration: Bytes): bool {
    const config = compile(configuration, this);
    const problem = firstProblem();
    if (problem.length > 0) {
      const message = new Writer(1024).append(Bytes.of("hopgate: configuration refused: ")).append(problem);
      log(LogLevel.Error, message);
      return false;
    }
    this.config = config;
    this.requests = new RequestPool(config);
    this.setTickPeriod(HURRIED_TICK_MS); // the first tick is when the work begins, so let it come soon
    return true;
  }

  onTick(): void {
    const config = this.config;
    const requests = this.requests;
    if (config === null || requests === null) return;
    if (!this.begun) this.begin(config);
    const nowNs = monotonicNs();
    for (let i = 0; i < config.keySets.length; i++) config.keySets[i].tick(nowNs);
    for (let i = 0; i < config.tokens.length; i++) config.tokens[i].tick(nowNs);
    if (config.identity.waiting == 0 && config.identity.waitingForKeys == 0) requests.calm();
  }

  /** At the first tick, which comes only where the configuration really runs, and never in a VM that is thrown away. */
  private begin(config: Config): void {
    this.begun = true;
    this.running = defineRunning(config.hop, config.fingerprint);
    incrementMetric(this.running, 1);
    recordRunningSince(config.hop, config.fingerprint);
    for (let i = 0; i < config.keySets.length; i++) config.keySets[i].open();
  }

  onDelete(): void {
    const config = this.config;
    if (config === null) return;
    incrementMetric(this.running, -1);
    for (let i = 0; i < config.tokens.length; i++) config.tokens[i].close();
    for (let i = 0; i < config.keySets.length; i++) config.keySets[i].close();
  }

  createStream(): StreamContext | null {
    const requests = this.requests;
    return requests === null ? null : requests.take();
  }
}
