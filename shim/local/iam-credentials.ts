/**
 * The IAM Credentials API (`iamcredentials.googleapis.com`), as far as ID tokens of other service accounts go.
 * https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateIdToken
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import { text } from "node:stream/consumers";

import { z } from "zod";

import type { KeySet } from "./keys.js";
import { claimsOf } from "./metadata-server-token.js";
import { remember, requestUrl, startHttpServer, type LocalServer, type TlsIdentity } from "./server.js";

const OPERATION = /^\/v1\/projects\/-\/serviceAccounts\/([^/]+):generateIdToken$/;

const question = z.object({ audience: z.string().min(1), includeEmail: z.boolean().default(false) });

/** How one request is answered instead of properly. */
export interface IamFault {
  readonly status: number;
  readonly body?: string;
}

export interface IamCredentialsOptions {
  readonly keys: KeySet;
  /** The emails that may create tokens of an account (`iam.serviceAccounts.getOpenIdToken`), by its email. */
  readonly accounts: ReadonlyMap<string, readonly string[]>;
  /** Whose access token it is; undefined where it is nobody's. */
  readonly callerOf: (accessToken: string) => string | undefined;
  readonly tls?: TlsIdentity;
  /** Life of an ID token in seconds. Default 3600. */
  readonly tokenLifetimeSec?: number;
  /** Milliseconds since the epoch. Default the system's clock. */
  readonly now?: () => number;
  /** Asked for each request. */
  readonly fault?: (request: { readonly account: string }) => IamFault | undefined;
  readonly port?: number;
}

export interface IamCredentials extends LocalServer {
  /** What was asked for, oldest first, faulty and refused requests included. `caller` is undefined where nobody is known. */
  readonly requests: readonly { readonly account: string; readonly caller: string | undefined }[];
}

/** Starts the API, over TLS where `tls` is given. @throws Failure if the port cannot be had. */
export async function startIamCredentials(options: IamCredentialsOptions): Promise<IamCredentials> {
  const { keys, accounts, callerOf, tls, tokenLifetimeSec = 3600, now = Date.now, fault, port } = options;
  const requests: { account: string; caller: string | undefined }[] = [];

  async function answer(request: IncomingMessage, account: string, caller: string | undefined): Promise<Answer> {
    if (caller === undefined) return refusal(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.");
    const callers = accounts.get(account);
    if (callers === undefined) return refusal(404, "NOT_FOUND", "Not found; Gaia id not found for email.");
    if (!callers.includes(caller)) {
      return refusal(403, "PERMISSION_DENIED", "Permission 'iam.serviceAccounts.getOpenIdToken' denied on resource.");
    }
    const asked = question.safeParse(parsed(await text(request)));
    if (!asked.success) return refusal(400, "INVALID_ARGUMENT", "Request contains an invalid argument.");
    const { audience, includeEmail } = asked.data;
    const nowSec = Math.floor(now() / 1000);
    const machine = { email: account, platform: "gke" } as const;
    const claims = claimsOf({ audience, full: includeEmail }, machine, nowSec, nowSec + tokenLifetimeSec);
    return { status: 200, body: { token: await keys.sign(claims) } };
  }

  const server = await startHttpServer(
    async (request, response) => {
      const account = OPERATION.exec(decodeURIComponent(requestUrl(request).pathname))?.[1];
      if (request.method !== "POST" || account === undefined) {
        send(response, refusal(404, "NOT_FOUND", "Method not found."));
        return;
      }
      const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? "")?.[1];
      const caller = token === undefined ? undefined : callerOf(token);
      remember(requests, { account, caller });
      const faulty = fault?.({ account });
      if (faulty === undefined) send(response, await answer(request, account, caller));
      else response.writeHead(faulty.status).end(faulty.body);
    },
    { port, tls },
  );
  return { ...server, requests };
}

interface Answer {
  readonly status: number;
  readonly body: object;
}

function send(response: ServerResponse, { status, body }: Answer): void {
  response.writeHead(status, { "content-type": "application/json; charset=UTF-8" });
  response.end(`${JSON.stringify(body, undefined, 2)}\n`);
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** As Google's APIs say it (https://cloud.google.com/apis/design/errors). */
function refusal(status: number, code: string, message: string): Answer {
  return { status, body: { error: { code: status, message, status: code } } };
}
