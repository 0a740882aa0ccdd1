import type { Agent } from "node:http";
import type { Agent as TlsAgent } from "node:https";

import type { Mesh } from "../config/model.js";
import { type ClientResponse, request } from "../trace/client.js";
import { tracePath, type Trace } from "../trace/path.js";
import { parseServerTiming } from "../trace/server-timing.js";
import type { AgentReport } from "./agent.js";
import type { Demonstration } from "./demonstrations.js";
import type { LocalMesh } from "./mesh.js";

/** A request that was sent, and what became of it. */
export interface Shown {
  readonly demonstration: Demonstration;
  readonly url: string;
  /** Whose token went with it, if any. */
  readonly caller: string | undefined;
  readonly status: number;
  /** Of an answer of a hop's own. */
  readonly code: string | undefined;
  readonly trace: Trace;
  /** Why it is not what it should be; undefined: it is. */
  readonly problem: string | undefined;
}

export interface Sender {
  readonly local: LocalMesh;
  readonly mesh: Mesh;
  readonly agent?: Agent | TlsAgent;
  readonly signal: AbortSignal;
}

/** URL of a path at the first gateway, as a client that resolves `host` to 127.0.0.1 would write it. */
export function urlAt(local: LocalMesh, host: string, path: string): string {
  return `https://${host}:${String(local.gateways[0].port)}${path}`;
}

/** Sends one request through the first gateway, with the key that lets `Server-Timing` out. */
export function send(
  sender: Sender,
  host: string,
  path: string,
  init: Partial<Demonstration> = {},
): Promise<ClientResponse> {
  const { local, mesh, agent, signal } = sender;
  const trace = mesh.timing.key === undefined ? {} : { "x-hopgate-trace": mesh.timing.key };
  return request({
    url: urlAt(local, host, path),
    connectTo: { host: "127.0.0.1", port: local.gateways[0].port },
    ca: local.ca,
    method: init.method,
    headers: { ...init.headers, ...trace },
    body: init.body,
    agent,
    signal,
  });
}

export async function show(sender: Sender, demonstration: Demonstration): Promise<Shown> {
  const { host, path } = demonstration;
  const { validators, caller } = demonstration;
  const credentials = await sender.local.callers.headersFor(validators, caller);
  const headers = { ...demonstration.headers, ...credentials };
  const response = await send(sender, host, path, { ...demonstration, headers });
  const trace = traceOf(sender.mesh, response);
  const url = urlAt(sender.local, host, path);
  const { status } = response;
  const code = response.headers["x-hopgate-error"];
  const who = sender.local.callers.addressOf(validators, caller);
  return { demonstration, url, caller: who, status, code, trace, problem: problemOf(demonstration, response, trace) };
}

export function traceOf(mesh: Mesh, response: ClientResponse): Trace {
  return tracePath(parseServerTiming(response.serverTiming), response.times, [...mesh.hops.keys()]);
}

function problemOf(demonstration: Demonstration, response: ClientResponse, trace: Trace): string | undefined {
  const { status } = response;
  const code = response.headers["x-hopgate-error"];
  const { refusal } = demonstration;
  if (refusal !== undefined) {
    if (status === refusal.status && code === refusal.code) return undefined;
    return `answered ${status}${code === undefined ? "" : ` (${code})`} instead of ${refusal.status} (${refusal.code})`;
  }
  if (status < 200 || status > 299) {
    const place =
      demonstration.replacement === undefined ? "" : `; --backend has it at ${demonstration.replacement.origin}`;
    return `answered ${status}${code === undefined ? "" : ` (${code})`}: ${firstLine(response.body)}${place}`;
  }
  if (trace.hops.length === 0) return "no hop reported its time";
  if (demonstration.isStream && response.times.ttft_us === undefined) return "no token was streamed";
  return demonstration.tokens === undefined ? undefined : identityProblem(demonstration.tokens, response.body);
}

/**
 * The agent tells what it saw: exactly one token for its audience, with the signature that Cloud Run took off, and beside it at most
 * the caller's own.
 */
function identityProblem(
  { audience, callerAudience }: NonNullable<Demonstration["tokens"]>,
  body: string,
): string | undefined {
  let identity: AgentReport["identity"];
  try {
    ({ identity } = JSON.parse(body) as AgentReport);
  } catch {
    return `the answer is not the stand-in's report: ${firstLine(body)}`;
  }
  const ours = identity.filter((credential) => credential.audience === audience);
  const others = identity.filter((credential) => credential.audience !== audience);
  const seen = others.map((credential) => String(credential.audience));
  const expected = callerAudience === undefined ? [] : [callerAudience];
  if (ours.length === 0) return `the service saw no ID token for ${audience}, only ${seen.join(", ") || "none"}`;
  if (ours.length > 1) return "the service saw more than one ID token for its audience";
  if (seen.join() !== expected.join())
    return `beside its ID token the service saw ${seen.join(", ") || "no other"}, not ${expected.join(", ") || "none"}`;
  return ours[0]?.signature_removed === true ? undefined : "the token came past Cloud Run's front end";
}

function firstLine(text: string): string {
  return (text.split("\n", 1)[0] ?? "").slice(0, 200);
}
