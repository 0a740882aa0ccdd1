/** The server of key sets as the tests want it: well, unwell, or not there. */
import type { ServerResponse } from "node:http";

import type { LocalServer } from "../../shim/local/server.js";
import { startService } from "./echo.js";

/** What it answers: a set, or one anew each time, with status 200, another status, nothing at all, or the end of the connection. */
export type KeyAnswer =
  string | Buffer | (() => string) | { readonly status: number } | { readonly fault: "hang" | "reset" };

export interface KeyServer extends LocalServer {
  /** From now on, where `answers` has nothing else. */
  answer: KeyAnswer;
  /** By path. */
  readonly answers: Map<string, KeyAnswer>;
  /** How often it was asked for a path, `/oauth2/v3/certs` unless given. */
  requests(path?: string): number;
  /** Answers those who were left hanging as others are answered now. */
  release(): void;
}

export const KEYS_PATH = "/oauth2/v3/certs";

export async function startKeyServer(first: KeyAnswer): Promise<KeyServer> {
  let answer = first;
  const answers = new Map<string, KeyAnswer>();
  const hanging: [string, ServerResponse][] = [];
  const counts = new Map<string, number>();
  const reply = (path: string, response: ServerResponse): void => {
    const now = answers.get(path) ?? answer;
    if (typeof now === "function") response.writeHead(200).end(now());
    else if (typeof now === "string" || Buffer.isBuffer(now)) response.writeHead(200).end(now);
    else if ("status" in now) response.writeHead(now.status).end();
    else if (now.fault === "reset") response.destroy();
    else hanging.push([path, response]);
  };
  const server = await startService(({ url = "" }, response) => {
    counts.set(url, (counts.get(url) ?? 0) + 1);
    reply(url, response);
  });
  return {
    ...server,
    get answer() {
      return answer;
    },
    set answer(next) {
      answer = next;
    },
    answers,
    requests: (path = KEYS_PATH) => counts.get(path) ?? 0,
    release: () => {
      for (const [path, response] of hanging.splice(0)) reply(path, response);
    },
  };
}
