import https from "node:https";

/** Requests at a steady rate over TLS and connections that are kept, whatever becomes of them, as from many independent clients. */
export interface SteadyLoad {
  /** Of the gateway; port 443. */
  readonly address: string;
  /** Root of its certificate. */
  readonly ca: string;
  /** Asked in turn. */
  readonly hosts: readonly string[];
  readonly perSecond: number;
}

export interface Answered {
  readonly sent: number;
  /** Requests by what became of them: `200`, another status with the host, or why there was no answer. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Of the slowest answer. */
  readonly slowestMs: number;
}

const REQUEST_TIMEOUT_MS = 15_000;
const TICK_MS = 10;
/** For each host. */
const MAX_CONNECTIONS = 32;

/** Sends until `stop` is called, which waits for all answers. */
export function startSteadyLoad(load: SteadyLoad): { stop(): Promise<Answered> } {
  const outcomes: Record<string, number> = {};
  const pending = new Set<Promise<void>>();
  const agent = new https.Agent({ keepAlive: true, maxSockets: MAX_CONNECTIONS });
  const startMs = performance.now();
  let [sent, slowestMs] = [0, 0];
  const one = async (host: string): Promise<void> => {
    const sentMs = performance.now();
    const status = await get(host, load, agent).catch((error: unknown) => String(error));
    slowestMs = Math.max(slowestMs, performance.now() - sentMs);
    const outcome = status === 200 ? "200" : `${host}: ${String(status)}`;
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  };
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startMs) / 1000) * load.perSecond);
    for (; sent < due; sent++) {
      const request = one(load.hosts[sent % load.hosts.length] ?? "");
      pending.add(request);
      void request.finally(() => pending.delete(request));
    }
  }, TICK_MS);
  const stop = async (): Promise<Answered> => {
    clearInterval(timer);
    await Promise.all(pending);
    agent.destroy();
    return { sent, outcomes, slowestMs };
  };
  return { stop };
}

/** @throws Error if there is no answer */
function get(host: string, { address, ca }: SteadyLoad, agent: https.Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    const target = { host: address, port: 443, servername: host, headers: { host }, ca, agent };
    const request = https.get({ ...target, timeout: REQUEST_TIMEOUT_MS }, (response) => {
      response.on("end", () => resolve(response.statusCode ?? 0));
      response.on("error", reject);
      response.resume();
    });
    request.on("timeout", () => request.destroy(new Error("no answer in time")));
    request.on("error", reject);
  });
}
