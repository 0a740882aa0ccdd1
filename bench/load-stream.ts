import http from "node:http";
import { once } from "node:events";

import { STREAM_PATH } from "./envoy-config.js";

export interface StreamLoad {
  readonly port: number;
  /** Streams open at the same time. */
  readonly streams: number;
  /** The headers of the next request; undefined: that was all. */
  readonly next: () => Readonly<Record<string, string>> | undefined;
}

/** Reads streams to their ends, the next when one has ended, and returns how many there were. @throws Error if an answer is no 200 */
export async function readStreams({ port, streams, next }: StreamLoad): Promise<number> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: streams });
  const readOne = async (): Promise<number> => {
    let count = 0;
    for (let headers = next(); headers !== undefined; headers = next()) {
      const request = http.get({ host: "127.0.0.1", port, path: STREAM_PATH, agent, headers });
      const [response] = (await once(request, "response")) as [http.IncomingMessage];
      response.resume();
      await once(response, "end");
      if (response.statusCode !== 200) throw new Error(`the answer was ${response.statusCode}`);
      count += 1;
    }
    return count;
  };
  try {
    const counts = await Promise.all(Array.from({ length: streams }, readOne));
    return counts.reduce((sum, count) => sum + count, 0);
  } finally {
    agent.destroy();
  }
}
