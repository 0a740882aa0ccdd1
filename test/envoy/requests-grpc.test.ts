import http2, { type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import type { LocalServer } from "../../shim/local/server.js";
import { parseServerTiming } from "../../shim/trace/server-timing.js";
import { audienceOf, startHttp2Service } from "../support/echo.js";
import { frame, Messages, startCall } from "../support/grpc.js";
import { realEnvoy } from "../support/real-envoy.js";
import { type Standalone, startStandalone } from "./standalone.js";

const envoyPath = (await realEnvoy()) ?? "";

const AUDIENCE = "https://grpc-abc123-uc.a.run.app";
const HOST = "grpc.example.internal";
const GRPC = { ":status": 200, "content-type": "application/grpc" } as const;

let service: LocalServer;
let hop: Standalone;
let session: http2.ClientHttp2Session;
/** The audience of the token on the last call that the service got. */
let audience: string | undefined;
let requestTrailers: IncomingHttpHeaders | undefined;

describe.skipIf(envoyPath === "")("gRPC", () => {
  beforeAll(async () => {
    service = await startHttp2Service(serve);
    hop = await startStandalone({
      envoyPath,
      config: {
        hop: "ingress",
        edge: true,
        unmatched: "reject",
        routes: [
          { hosts: [HOST], to: [{ backend: "grpc", weight: 100 }], open: "a test" },
          { hosts: ["tokenless.example.internal"], to: [{ backend: "tokenless", weight: 100 }], open: "a test" },
        ],
        backends: {
          grpc: { token: { audience: AUDIENCE } },
          tokenless: { token: { audience: "https://nobody.example" } },
        },
        identity: {},
        timing: { expose: "always" },
      },
      services: { grpc: { ...service, protocol: "http2" }, tokenless: { ...service, protocol: "http2" } },
      metadata: { fault: ({ audience }) => (audience === "https://nobody.example" ? { status: 404 } : undefined) },
    });
  });

  beforeEach(() => {
    audience = undefined;
    session = http2.connect(hop.origin);
  });

  afterEach(() => session.destroy());

  afterAll(async () => {
    await Promise.all([hop.close(), service.close()]);
  });

  it("unary: one message each way, then status and trailers of the service", async () => {
    const call = startCall(session, HOST, "/test.Service/Unary", { "grpc-timeout": "10S" });
    call.stream.end(frame("question"));
    expect(await call.headers).toMatchObject(GRPC);
    expect(await call.messages.next()).toBe("QUESTION");
    expect(await call.messages.next()).toBeUndefined();
    expect(await call.trailers).toMatchObject({ "grpc-status": "0", "x-trailer": "of the service" });
    expect(audience).toBe(AUDIENCE);
  });

  it("server streaming: each message before the next is sent", async () => {
    const call = startCall(session, HOST, "/test.Service/Stream");
    // The service sends a message when it hears of one, so nothing can be held back on the way.
    for (let index = 0; index < 50; index++) {
      call.stream.write(frame(`message ${index}`));
      expect(await call.messages.next()).toBe(`MESSAGE ${index}`);
    }
    call.stream.end();
    expect(await call.trailers).toMatchObject({ "grpc-status": "0" });
    expect(await call.messages.next()).toBeUndefined();
  });

  it("both directions at once, many calls on one connection, no message of another call", async () => {
    const calls = Array.from({ length: 20 }, () => startCall(session, HOST, "/test.Service/Stream"));
    for (let round = 0; round < 10; round++) {
      for (const [index, call] of calls.entries()) call.stream.write(frame(`call ${index} round ${round}`));
      const answers = await Promise.all(calls.map((call) => call.messages.next()));
      expect(answers).toEqual(calls.map((_, index) => `CALL ${index} ROUND ${round}`));
    }
    for (const call of calls) call.stream.end();
    for (const call of calls) expect(await call.trailers).toMatchObject({ "grpc-status": "0" });
  });

  it("hands the caller's trailers on", async () => {
    const stream = session.request(
      { ":method": "POST", ":path": "/test.Service/Unary", ":authority": HOST, "content-type": "application/grpc" },
      { waitForTrailers: true },
    );
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-caller-trailer": "yes" }));
    stream.end(frame("x"));
    expect(await new Messages(stream).next()).toBe("X");
    expect(requestTrailers).toMatchObject({ "x-caller-trailer": "yes" });
  });

  it("a trailers-only error of the service stays one, and is timed", async () => {
    const call = startCall(session, HOST, "/test.Service/Missing");
    call.stream.end(frame("x"));
    const headers = await call.headers;
    expect(headers).toMatchObject({ ...GRPC, "grpc-status": "5", "grpc-message": "no such thing" });
    expect(await call.messages.next()).toBeUndefined();
    const names = parseServerTiming([String(headers["server-timing"])]).map(({ name }) => name);
    expect(names).toEqual(["ingress", "ingress-upstream"]);
  });

  it.each([
    ["no route matches", "nobody.example.internal", "route_unmatched", "5"],
    ["the host is invalid", "a,b", "host_invalid", "3"],
    ["there is no token", "tokenless.example.internal", "token_unavailable", "14"],
  ])("where %s, the answer is a gRPC error with HTTP status 200", async (_why, host, code, status) => {
    const call = startCall(session, host, "/test.Service/Unary");
    call.stream.end(frame("x"));
    const headers = await call.headers;
    expect(headers).toMatchObject({ ...GRPC, "grpc-status": status, "x-hopgate-error": code });
    expect(String(headers["grpc-message"])).toContain(code);
    expect(await call.messages.next()).toBeUndefined();
    expect(headers["server-timing"]).toMatch(/^ingress;dur=/);
    if (code === "token_unavailable") expect(Number(headers["retry-after"])).toBeGreaterThanOrEqual(1);
    expect(audience).toBeUndefined();
  });
});

/** Answers each message in capitals as soon as it has come. */
function serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  audience = audienceOf(headers.authorization);
  requestTrailers = undefined;
  if (headers[":path"] === "/test.Service/Missing") {
    stream.respond({ ...GRPC, "grpc-status": "5", "grpc-message": "no such thing" }, { endStream: true });
    return;
  }
  stream.respond(GRPC, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0", "x-trailer": "of the service" }));
  stream.on("trailers", (trailers: IncomingHttpHeaders) => (requestTrailers = trailers));
  void answer(stream);
}

async function answer(stream: ServerHttp2Stream): Promise<void> {
  const messages = new Messages(stream);
  for (;;) {
    const message = await messages.next();
    if (message === undefined) break;
    stream.write(frame(message.toUpperCase()));
  }
  stream.end();
}
