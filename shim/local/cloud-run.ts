/** Cloud Run as a client sees it: Google's front end over TLS, with services behind it. */

import http2, { type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";

import { createAccessCheck, type CloudRunOptions, type CloudRunService, type Refusal } from "./cloud-run-access.js";
import {
  answerItself,
  connectContainers,
  containerHeaders,
  forward,
  forwardUpgrade,
  refuseUpgrade,
} from "./cloud-run-forward.js";
import { endOf, escapeHtml, HTTP_LIMITS, listen, pause, remember, requestUrl, type LocalServer } from "./server.js";

/** A request that reached the front end. */
export interface CloudRunRequest {
  readonly host: string;
  readonly path: string;
  /** `forwarded`: the container answered or will. */
  readonly outcome: "forwarded" | "host_unknown" | Refusal;
}

export interface CloudRun extends LocalServer {
  /** Oldest first; entered when it is known what becomes of them. */
  readonly requests: readonly CloudRunRequest[];
}

/**
 * Starts the front end: HTTP/1.1 and HTTP/2 by ALPN, the service by the request's host (never by SNI, which is only the
 * certificate's matter), WebSockets over HTTP/1.1. Trailers are not passed, so gRPC does not work through it.
 * @throws Failure if the port cannot be had.
 */
export async function startCloudRun(options: CloudRunOptions): Promise<CloudRun> {
  const { services, tls, latencyMs = 0, coldStartMs = 0, port } = options;
  const decide = createAccessCheck(options);
  const containers = connectContainers();
  const started = new Map<CloudRunService, Promise<void>>();
  const requests: CloudRunRequest[] = [];
  const closing = new AbortController();

  /** All requests that arrive during a cold start wait for the same container. */
  function containerReady(service: CloudRunService): Promise<void> {
    const ready = started.get(service) ?? pause(coldStartMs, closing.signal);
    started.set(service, ready);
    return ready;
  }

  /** Decides about a request and waits for its container; undefined if `refuse` has answered. */
  async function admit(
    request: Http2ServerRequest,
    signal: AbortSignal,
    refuse: (status: 401 | 403 | 404) => void,
  ): Promise<{ service: CloudRunService; headers: ReturnType<typeof containerHeaders> } | undefined> {
    await pause(latencyMs, signal);
    const authority = request.headers[":authority"] ?? request.headers.host ?? "";
    const host = authority.toLowerCase().replace(/:\d+$/, "");
    const path = requestUrl(request).pathname;
    const service = Object.hasOwn(services, host) ? services[host] : undefined;
    if (service === undefined) {
      remember(requests, { host, path, outcome: "host_unknown" });
      refuse(404);
      return undefined;
    }
    const decision = await decide(service, request.headers);
    remember(requests, { host, path, outcome: decision.allowed ? "forwarded" : decision.reason });
    if (!decision.allowed) {
      refuse(decision.status);
      return undefined;
    }
    await containerReady(service);
    signal.throwIfAborted();
    return { service, headers: containerHeaders(request, authority, { ...decision.headers }) };
  }

  async function serve(request: Http2ServerRequest, response: Http2ServerResponse): Promise<void> {
    const admitted = await admit(request, endOf(response), (status) => {
      answerRefusal(response, status, requestUrl(request).pathname);
    });
    if (admitted) forward(containers, admitted.service.container, request, response, admitted.headers);
  }

  async function serveUpgrade(request: IncomingMessage, client: Duplex): Promise<void> {
    client.on("error", () => client.destroy());
    // The compatibility request of HTTP/2 has all that is read here in common with this one.
    const common = request as unknown as Http2ServerRequest;
    const admitted = await admit(common, endOf(client), (status) => refuseUpgrade(client, status));
    if (admitted) forwardUpgrade(containers, admitted.service.container, request, client, admitted.headers);
  }

  const server = http2.createSecureServer(
    { allowHTTP1: true, noDelay: true, cert: tls.certificate, key: tls.key },
    (request, response) => {
      serve(request, response).catch(() => failed(response));
    },
  );
  // For its HTTP/1.1 clients such a server reads the limits from its fields, not from the options.
  Object.assign(server, HTTP_LIMITS);
  server.on("upgrade", (request: IncomingMessage, client: Duplex) => {
    serveUpgrade(request, client).catch(() => client.destroy());
  });
  const local = await listen(server, "https", port);
  return {
    ...local,
    requests,
    close() {
      closing.abort();
      containers.close();
      return local.close();
    },
  };
}

function failed(response: Http2ServerResponse): void {
  if (response.headersSent) response.destroy();
  else answerItself(response, 503, "Service Unavailable");
}

const REFUSALS = {
  401: {
    title: "401 Unauthorized",
    heading: "Error: Unauthorized",
    sentence: (path: string) => `Your client does not have permission to the requested URL <code>${path}</code>.`,
    // Without a comma between the parameters: so the real front end sends it.
    headers: {
      "www-authenticate": 'Bearer error="invalid_token" error_description="The access token could not be verified"',
    },
  },
  403: {
    title: "403 Forbidden",
    heading: "Error: Forbidden",
    sentence: (path: string) =>
      `Your client does not have permission to get URL <code>${path}</code> from this server.`,
    headers: {},
  },
  404: {
    title: "404 Page not found",
    heading: "Error: Page not found",
    sentence: () => "The requested URL was not found on this server.",
    headers: {},
  },
};

/** Answers in the words of the real front end, which tell nobody what exactly was wrong with a token. */
function answerRefusal(response: Http2ServerResponse, status: 401 | 403 | 404, path: string): void {
  const { title, heading, sentence, headers } = REFUSALS[status];
  const page = `<html><head>
<meta http-equiv="content-type" content="text/html;charset=utf-8">
<title>${title}</title>
</head>
<body text=#000000 bgcolor=#ffffff>
<h1>${heading}</h1>
<h2>${sentence(escapeHtml(path))}</h2>
<h2></h2>
</body></html>
`;
  answerItself(response, status, page, { "content-type": "text/html; charset=UTF-8", ...headers });
}
