/**
 * The metadata server of a Google Cloud machine (`metadata.google.internal`), as far as identity goes.
 * https://cloud.google.com/compute/docs/metadata/querying-metadata and
 * https://cloud.google.com/compute/docs/instances/verifying-instance-identity say how the real one behaves.
 */

import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";

import type { KeySet } from "./keys.js";
import { issueIdentityToken, type IdentityTokenRequest, type Machine } from "./metadata-server-token.js";
import { endOf, escapeHtml, pause, remember, requestUrl, startHttpServer, type LocalServer } from "./server.js";

const ACCOUNTS_PATH = "/computeMetadata/v1/instance/service-accounts/";

const HEADERS = {
  "metadata-flavor": "Google",
  server: "Metadata Server for VM",
  "x-xss-protection": "0",
  "x-frame-options": "SAMEORIGIN",
};

/** How one request is answered instead of properly. An empty fault changes nothing. */
export interface MetadataFault {
  /** Accept the request and never answer. */
  readonly hang?: boolean;
  /** Takes the place of the server's own delay. */
  readonly delayMs?: number;
  readonly status?: number;
  readonly body?: string;
  /** Replaces headers of the answer; `undefined` leaves one out. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
}

export interface MetadataServerOptions {
  readonly keys: KeySet;
  /** The service account of the machine or Pod. */
  readonly email: string;
  /**
   * `gke`: a Pod with workload identity; `gce`: a virtual machine, whose full tokens also describe the machine
   * (`google.compute_engine`). Default gke.
   */
  readonly platform?: Machine["platform"];
  /** Life of a token in seconds. Default 3600. */
  readonly tokenLifetimeSec?: number;
  /** Milliseconds since the epoch. Default the system's clock. */
  readonly now?: () => number;
  /** Time before each answer. Default 0. */
  readonly delayMs?: number;
  /** Asked for each request; `audience` is undefined where the request has none. */
  readonly fault?: (request: { path: string; audience: string | undefined }) => MetadataFault | undefined;
  readonly port?: number;
}

export interface MetadataServer extends LocalServer {
  /** The access token that it hands out: what Google's APIs know its service account by. */
  readonly accessToken: string;
  /** The identity tokens asked for, oldest first, faulty answers included; `at` in milliseconds since the epoch. */
  readonly requests: readonly { readonly audience: string | undefined; readonly at: number }[];
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** Starts a metadata server. @throws Failure if the port cannot be had. */
export async function startMetadataServer(options: MetadataServerOptions): Promise<MetadataServer> {
  const { keys, email, platform = "gke", tokenLifetimeSec = 3600, now = Date.now, delayMs = 0, fault, port } = options;
  const requests: { audience: string | undefined; at: number }[] = [];
  const issue = issueIdentityToken({ keys, machine: { email, platform }, tokenLifetimeSec, now });
  const accessToken = `ya29.c.${randomBytes(96).toString("base64url")}`;

  async function answerAccount(account: string, leaf: string, query: URLSearchParams): Promise<Answer | undefined> {
    if (account !== "default" && account !== email) return undefined;
    switch (leaf) {
      case "":
        return text("aliases\nemail\nidentity\nscopes\ntoken\n");
      case "email":
        return text(email);
      case "token":
        return json({ access_token: accessToken, expires_in: tokenLifetimeSec - 1, token_type: "Bearer" });
      case "identity": {
        const audience = query.get("audience");
        if (!audience) return html(400, "non-empty audience parameter required\n");
        return html(200, await issue(tokenRequest(audience, query)));
      }
      default:
        return undefined;
    }
  }

  async function answer(request: IncomingMessage, { pathname, searchParams }: URL): Promise<Answer> {
    // Both rules keep a request that somebody was tricked into forwarding from reaching a token.
    if (request.headers["x-forwarded-for"] !== undefined) return forbidden(pathname, "");
    if (pathname === "/") return text("computeMetadata/\n");
    if (request.headers["metadata-flavor"] !== "Google") {
      return forbidden(pathname, " Missing Metadata-Flavor:Google header.");
    }
    if (request.method !== "GET") return html(405, errorPage("405 (Method Not Allowed)", "This method is not served."));
    if (pathname === ACCOUNTS_PATH) return text(`default/\n${email}/\n`);
    const [account = "", leaf = "", ...rest] = pathname.startsWith(ACCOUNTS_PATH)
      ? pathname.slice(ACCOUNTS_PATH.length).split("/").map(decodeSegment)
      : [];
    const found = rest.length === 0 ? await answerAccount(account, leaf, searchParams) : undefined;
    return found ?? notFound(pathname);
  }

  const server = await startHttpServer(
    async (request, response) => {
      const ended = endOf(response);
      const url = requestUrl(request);
      const audience = url.searchParams.get("audience") ?? undefined;
      if (url.pathname.endsWith("/identity")) remember(requests, { audience, at: now() });
      const faulty = fault?.({ path: url.pathname, audience });
      if (faulty?.hang) return;
      const proper = await answer(request, url);
      await pause(faulty?.delayMs ?? delayMs, ended);
      send(response, proper, faulty);
    },
    { port },
  );
  return { ...server, accessToken, requests };
}

function send(response: ServerResponse, answer: Answer, fault: MetadataFault = {}): void {
  const headers: MetadataFault["headers"] = { ...HEADERS, "content-type": answer.type, ...fault.headers };
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value);
  response.statusCode = fault.status ?? answer.status;
  response.end(fault.body ?? answer.body);
}

function tokenRequest(audience: string, query: URLSearchParams): IdentityTokenRequest {
  return {
    audience,
    full: query.get("format") === "full",
    licenses: query.get("licenses")?.toUpperCase() === "TRUE",
  };
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

const text = (body: string): Answer => ({ status: 200, type: "application/text", body });
const json = (value: unknown): Answer => ({ status: 200, type: "application/json", body: JSON.stringify(value) });
const html = (status: number, body: string): Answer => ({
  status,
  // The token itself is text/html too.
  type: status === 200 ? "text/html" : "text/html; charset=UTF-8",
  body,
});

function forbidden(path: string, why: string): Answer {
  const sentence = `Your client does not have permission to get URL <code>${escapeHtml(path)}</code> from this server.${why}`;
  return html(403, errorPage("403 (Forbidden)", sentence));
}

function notFound(path: string): Answer {
  const sentence = `The requested URL <code>${escapeHtml(path)}</code> was not found on this server.`;
  return html(404, errorPage("404 (Not Found)", sentence));
}

function errorPage(what: string, sentence: string): string {
  return `<!DOCTYPE html>\n<html lang=en>\n<title>Error ${what}!!1</title>\n<p><b>${what.slice(0, 3)}.</b>\n<p>${sentence}\n`;
}
