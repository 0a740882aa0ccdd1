/** An agent as it would be deployed on Cloud Run: it tells its caller what it saw of the caller's identity. */

import type { IncomingHttpHeaders } from "node:http";

import { decodeJwt } from "jose";

import { REMOVED_SIGNATURE, SERVERLESS_AUTHORIZATION } from "./cloud-run-access.js";
import { startBackend, unknownOperation, type Backend, type BackendOptions, type Exchange } from "./server-backend.js";

export interface AgentOptions extends BackendOptions {
  /** How many steps a run has. Default 3. */
  readonly steps?: number;
  /** How long a step takes. Default 15. */
  readonly stepMs?: number;
}

/** What the agent's JSON answer says. Never a token, only what is in it. */
export interface AgentReport {
  readonly service: "agent";
  /** The identity headers that arrived; `audience` and `email` are null where the credential is no ID token. */
  readonly identity: readonly {
    readonly header: string;
    readonly audience: string | null;
    readonly email: string | null;
    readonly signature_removed: boolean;
  }[];
  /** Who calls, as the hop in front has checked it. */
  readonly hopgate_caller: string | null;
  readonly hopgate_path: string | null;
  readonly request_id: string | null;
}

/**
 * Starts an agent: `GET /` answers a report at once, `POST /run` after its steps, as an event stream (`step` events, then
 * one `result`) where the request accepts `text/event-stream`; `GET /healthz`. @throws Failure if the port cannot be had.
 */
export function startAgent(options: AgentOptions = {}): Promise<Backend> {
  const { steps = 3, stepMs = 15 } = options;
  const stepNumbers = Array.from({ length: steps }, (_, index) => index + 1);

  async function run(exchange: Exchange): Promise<void> {
    await exchange.body();
    const streamed = exchange.request.headers.accept?.includes("text/event-stream") === true;
    if (streamed) exchange.beginEvents();
    for (const step of stepNumbers) {
      await exchange.pause(stepMs);
      if (streamed) await exchange.event(JSON.stringify({ step, of: steps }), "step");
    }
    const report = reportOn(exchange.request.headers);
    if (streamed) {
      await exchange.event(JSON.stringify(report), "result");
      exchange.endEvents();
    } else {
      exchange.json(200, report);
    }
  }

  return startBackend(options, (exchange) => {
    switch (exchange.operation) {
      case "GET /":
        return exchange.json(200, reportOn(exchange.request.headers));
      case "POST /run":
        return run(exchange);
      default:
        throw unknownOperation(exchange);
    }
  });
}

function reportOn(headers: IncomingHttpHeaders): AgentReport {
  return {
    service: "agent",
    identity: ["authorization", SERVERLESS_AUTHORIZATION].flatMap((header) => {
      const value = headers[header];
      return value === undefined ? [] : [{ header, ...describeCredential(String(value)) }];
    }),
    hopgate_caller: single(headers["x-hopgate-caller"]),
    hopgate_path: single(headers["x-hopgate-path"]),
    request_id: single(headers["x-request-id"]),
  };
}

function single(value: string | string[] | undefined): string | null {
  return value === undefined ? null : String(value);
}

function describeCredential(value: string): Omit<AgentReport["identity"][number], "header"> {
  const token = value.replace(/^bearer +/i, "");
  const signature_removed = token.endsWith(`.${REMOVED_SIGNATURE}`);
  try {
    const { aud, email } = decodeJwt(token);
    return {
      audience: aud === undefined ? null : String(aud),
      email: typeof email === "string" ? email : null,
      signature_removed,
    };
  } catch {
    return { audience: null, email: null, signature_removed };
  }
}
