import http from "node:http";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";

import { Failure } from "../shim/errors.js";

/** One request on a connection of its own. */
export interface Probe {
  /** At 127.0.0.1. */
  readonly port: number;
  readonly host: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  /** 0: the connection ended, or nothing came in time. */
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
}

const DEADLINE_MS = 10_000;
const PAUSE_MS = 5;

export async function probe({ port, host, headers = {} }: Probe): Promise<Answer> {
  try {
    const signal = AbortSignal.timeout(DEADLINE_MS);
    const options = {
      host: "127.0.0.1",
      port,
      path: "/v1/models",
      agent: false,
      headers: { host, ...headers },
      signal,
    };
    const [response] = (await once(http.get(options), "response")) as [http.IncomingMessage];
    response.resume();
    await once(response, "end");
    return { status: response.statusCode ?? 0, headers: response.headers };
  } catch {
    return { status: 0, headers: {} };
  }
}

/** Asks until `isExpected`, and returns the answers on the way, that one included. @throws Failure if it takes too long */
export async function probeUntil(
  target: Probe,
  isExpected: (answer: Answer) => boolean,
  timeoutMs = DEADLINE_MS,
): Promise<readonly Answer[]> {
  const deadline = performance.now() + timeoutMs;
  const answers: Answer[] = [];
  while (performance.now() < deadline) {
    const answer = await probe(target);
    answers.push(answer);
    if (isExpected(answer)) return answers;
    await delay(PAUSE_MS);
  }
  const statuses = [...new Set(answers.map(({ status }) => status || "no answer"))].join(", ");
  throw new Failure(`${target.host} did not answer as expected within ${timeoutMs / 1000} s: ${statuses}`);
}

/** Waits until requests are answered with 200: until a filter has the tokens or keys that it needs. */
export async function untilServing(target: Probe, timeoutMs = DEADLINE_MS): Promise<void> {
  await probeUntil(target, ({ status }) => status === 200, timeoutMs);
}
