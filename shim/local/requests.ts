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
  readonly status: number;
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
  const response = await send(sender, host, path, demonstration);
  const trace = traceOf(sender.mesh, response);
  const url = urlAt(sender.local, host, path);
  return { demonstration, url, status: response.status, trace, problem: problemOf(demonstration, response, trace) };
}

export function traceOf(mesh: Mesh, response: ClientResponse): Trace {
  return tracePath(parseServerTiming(response.serverTiming), response.times, [...mesh.hops.keys()]);
}

function problemOf(demonstration: Demonstration, response: ClientResponse, trace: Trace): string | undefined {
  const { status } = response;
  if (status < 200 || status > 299) {
    const code = response.headers["x-hopgate-error"];
    const place =
      demonstration.replacement === undefined ? "" : `; --backend has it at ${demonstration.replacement.origin}`;
    return `answered ${status}${code === undefined ? "" : ` (${code})`}: ${firstLine(response.body)}${place}`;
  }
  if (trace.hops.length === 0) return "no hop reported its time";
  if (demonstration.isStream && response.times.ttft_us === undefined) return "no token was streamed";
  return demonstration.audience === undefined ? undefined : identityProblem(demonstration.audience, response.body);
}

/** The agent tells what it saw: exactly one token, for its audience, with the signature that Cloud Run took off. */
function identityProblem(audience: string, body: string): string | undefined {
  let identity: AgentReport["identity"];
  try {
    ({ identity } = JSON.parse(body) as AgentReport);
  } catch {
    return `the answer is not the stand-in's report: ${firstLine(body)}`;
  }
  const [credential, ...others] = identity;
  if (credential === undefined) return "the service saw no ID token";
  if (others.length > 0) return "the service saw more than one ID token";
  if (credential.audience !== audience)
    return `the service saw a token for ${String(credential.audience)}, not ${audience}`;
  return credential.signature_removed ? undefined : "the token came past Cloud Run's front end";
}

function firstLine(text: string): string {
  return (text.split("\n", 1)[0] ?? "").slice(0, 200);
}
