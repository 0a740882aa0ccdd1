import http from "node:http";
import { once } from "node:events";

import { Failure } from "../shim/errors.js";
import { STREAM_PATH } from "./envoy-config.js";
import { type KeptLoad, sum } from "./load.js";

type Headers = Readonly<Record<string, string>>;

/** As `keepOpen`, of whole streams: as many at the same time as there are connections, the next when one has ended. */
export function keepOpenForStreams(port: number, connections: number): KeptLoad<Headers> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: connections });
  const read = async (headers: Headers): Promise<void> => {
    const request = http.get({ host: "127.0.0.1", port, path: STREAM_PATH, agent, headers });
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    response.resume();
    await once(response, "end");
    if (response.statusCode !== 200) throw new Failure(`An answer was ${response.statusCode}.`);
  };
  const readAll = async (next: () => Headers | undefined): Promise<number> => {
    let count = 0;
    for (let headers = next(); headers !== undefined; headers = next(), count++) await read(headers);
    return count;
  };
  return {
    run: async (next) => sum(await Promise.all(Array.from({ length: connections }, () => readAll(next)))),
    close: () => agent.destroy(),
  };
}
