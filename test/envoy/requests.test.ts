import { once } from "node:events";
import type { ServerResponse } from "node:http";
import http2 from "node:http2";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { LocalServer } from "../../shim/local/server.js";
import { audienceOf, type Seen, seenHeader, startEcho, startService } from "../support/echo.js";
import { headerOf, RawConnection, rawRequest, valuesOf } from "../support/raw-http.js";
import { realEnvoy } from "../support/real-envoy.js";
import { type Standalone, startStandalone } from "./standalone.js";

const envoyPath = (await realEnvoy()) ?? "";

const AUDIENCE = "https://echo-abc123-uc.a.run.app";
const HOST = "echo.example.internal";
const servers: LocalServer[] = [];
let hop: Standalone;
/** The request that `steps.example.internal` is answering. */
let answering: Promise<ServerResponse>;
let onAnswering: (response: ServerResponse) => void;
/** Chunks of the body that it has got. */
let onChunk: (chunk: string) => void = () => undefined;

describe.skipIf(envoyPath === "")("requests of every kind", { timeout: 60_000 }, () => {
  beforeAll(async () => {
    const echo = await startEcho();
    const steps = await startService((request, response) => {
      request.on("data", (chunk: Buffer) => onChunk(chunk.toString()));
      onAnswering(response);
    });
    servers.push(echo, steps);
    hop = await startStandalone({
      envoyPath,
      config: {
        hop: "ingress",
        edge: true,
        unmatched: "reject",
        routes: [
          { hosts: [HOST], to: [{ backend: "echo", weight: 100 }], open: "a test" },
          { hosts: ["steps.example.internal"], to: [{ backend: "steps", weight: 100 }], open: "a test" },
        ],
        backends: { echo: { token: { audience: AUDIENCE } }, steps: { token: { audience: AUDIENCE } } },
        identity: {},
      },
      services: { echo, steps },
    });
  });

  afterAll(async () => {
    await Promise.all([hop.close(), ...servers.map((server) => server.close())]);
  });

  describe("HTTP/1.1", () => {
    it("reaches the service with the token and nothing of the caller's changed", async () => {
      const { status, seen } = await ask(`GET /a%2Fb?q=%20&q=2 HTTP/1.1\r\nHost: ${HOST}\r\nAccept: a/b\r\n\r\n`);
      expect(status).toBe(200);
      expect(seen).toMatchObject({ method: "GET", url: "/a%2Fb?q=%20&q=2", httpVersion: "1.1" });
      expect(seenHeader(seen, "host")).toEqual([HOST]);
      expect(seenHeader(seen, "accept")).toEqual(["a/b"]);
      expect(tokens(seen)).toEqual([["authorization", AUDIENCE]]);
      expect(seenHeader(seen, "x-hopgate-path")).toEqual(["ingress"]);
      expect(seenHeader(seen, "x-hopgate-backend")).toEqual(["echo"]);
    });

    it.each([20, 100])("keeps %i headers in their order, repeated names included", async (total) => {
      // Host and the three that Envoy makes of the request line (method, path, scheme) count to Envoy's limit of 100.
      const own = Array.from({ length: total - 4 }, (_, index) => [`x-own-${index % 7}`, String(index)] as const);
      const lines = own.map(([name, value]) => `${name}: ${value}\r\n`).join("");
      const { status, seen } = await ask(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n${lines}\r\n`);
      expect(status).toBe(200);
      expect(callerHeaders(seen)).toEqual(own);
      expect(tokens(seen)).toEqual([["authorization", AUDIENCE]]);
    });

    it("answers HEAD with the headers of the service and no body", async () => {
      const connection = await RawConnection.open(hop.port);
      connection.write(`HEAD / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
      const head = await connection.response({ withoutBody: true });
      expect(head.status).toBe(200);
      expect(headerOf(head, "x-seen-method")).toBe("HEAD");
      expect(Number(headerOf(head, "content-length"))).toBeGreaterThan(100);
      // The connection is where the next response begins: no byte of a body was sent.
      connection.write(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
      expect((await connection.response()).status).toBe(200);
      connection.close();
    });

    it("asks for the body with 100-continue before the service has it", async () => {
      const connection = await RawConnection.open(hop.port);
      connection.write(`POST / HTTP/1.1\r\nHost: ${HOST}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`);
      expect((await connection.head()).status).toBe(100);
      connection.write("hello");
      const { status, body } = await connection.response();
      expect(status).toBe(200);
      expect(JSON.parse(body.toString())).toMatchObject({ method: "POST", bytes: 5 });
      connection.close();
    });

    it("takes the host of an absolute-form request line, not of the Host header", async () => {
      const { status, seen } = await ask(`GET http://${HOST}:8080/p?q HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n`);
      expect(status).toBe(200);
      expect(seen.url).toBe("/p?q");
      expect(seenHeader(seen, "host")).toEqual([`${HOST}:8080`]);
      expect(tokens(seen)).toEqual([["authorization", AUDIENCE]]);
    });

    it("answers pipelined requests in their order", async () => {
      const connection = await RawConnection.open(hop.port);
      const paths = Array.from({ length: 50 }, (_, index) => `/${index}`);
      // Every fifth has a body. The last alone is refused: Envoy ends a connection on which more follows a reply of its own.
      const texts = paths.map((path, index) => {
        const body = index % 5 === 0 ? path : "";
        const host = index === 49 ? "nobody.example.internal" : HOST;
        return `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
      });
      connection.write(texts.join(""));
      for (const [index, path] of paths.slice(0, -1).entries()) {
        const { status, body } = await connection.response();
        expect(status, path).toBe(200);
        expect(JSON.parse(body.toString())).toMatchObject({ url: path, bytes: index % 5 === 0 ? path.length : 0 });
      }
      expect((await connection.response()).status).toBe(404);
      connection.close();
    });
  });

  describe("the caller's own credentials", () => {
    it("stay as they are, two authorization headers too, and ours goes beside them", async () => {
      const lines = "Authorization: Bearer one\r\nAuthorization: Bearer two\r\n";
      const { status, seen } = await ask(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n${lines}\r\n`);
      expect(status).toBe(200);
      expect(seenHeader(seen, "authorization").join(",")).toBe("Bearer one,Bearer two");
      expect(seenHeader(seen, "x-serverless-authorization").map((value) => audienceOf(value))).toEqual([AUDIENCE]);
    });

    it("never stand in x-serverless-authorization, which Cloud Run would believe before ours", async () => {
      for (const lines of ["", "Authorization: Basic eDp5\r\n"]) {
        const forged = "X-Serverless-Authorization: Bearer forged\r\nx-serverless-authorization: Bearer again\r\n";
        const { seen } = await ask(`GET / HTTP/1.1\r\nHost: ${HOST}\r\n${lines}${forged}\r\n`);
        expect(JSON.stringify(seen.rawHeaders)).not.toMatch(/forged|again/);
        const name = lines === "" ? "authorization" : "x-serverless-authorization";
        expect(tokens(seen)).toEqual([[name, AUDIENCE]]);
      }
    });
  });

  describe("HTTP/2", () => {
    it("is served with prior knowledge, many streams on one connection", async () => {
      const session = http2.connect(hop.origin);
      const answers = await Promise.all(
        Array.from({ length: 100 }, async (_, index) => {
          const stream = session.request({ ":method": "POST", ":path": `/${index}`, ":authority": `${HOST}:443` });
          stream.end(String(index));
          const [headers] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
          return { status: headers[":status"], seen: JSON.parse(await text(stream)) as Seen };
        }),
      );
      session.close();
      for (const [index, { status, seen }] of answers.entries()) {
        expect(status).toBe(200);
        expect(seen).toMatchObject({ url: `/${index}`, bytes: String(index).length });
        expect(tokens(seen)).toEqual([["authorization", AUDIENCE]]);
      }
    });
  });

  describe("streams in lock-step", () => {
    it("server-sent events arrive one by one, each before the next is sent", async () => {
      const connection = await steps();
      connection.write("GET /events HTTP/1.1\r\nHost: steps.example.internal\r\n\r\n");
      const response = await answering;
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.flushHeaders();
      expect(headerOf(await connection.head(), "content-type")).toBe("text/event-stream");
      for (let index = 0; index < 50; index++) {
        const event = `data: ${index}\n\n`;
        response.write(event);
        expect(await chunkOf(connection)).toBe(event);
      }
      response.end();
      expect(await chunkOf(connection)).toBe("");
      connection.close();
    });

    it("a request's body reaches the service chunk by chunk, each before the next is sent", async () => {
      const connection = await steps();
      connection.write("POST / HTTP/1.1\r\nHost: steps.example.internal\r\nTransfer-Encoding: chunked\r\n\r\n");
      const response = await answering;
      for (let index = 0; index < 50; index++) {
        const arrived = new Promise<string>((resolve) => (onChunk = resolve));
        connection.write(`${String(index).length.toString(16)}\r\n${index}\r\n`);
        expect(await arrived).toBe(String(index));
      }
      connection.write("0\r\n\r\n");
      response.end("done");
      expect((await connection.response()).body.toString()).toBe("done");
      connection.close();
    });

    it("a response may be whole before the request is", async () => {
      const connection = await steps();
      connection.write("POST / HTTP/1.1\r\nHost: steps.example.internal\r\nContent-Length: 4\r\n\r\nab");
      const response = await answering;
      response.writeHead(202, { "content-length": 5 }).write("early");
      const early = await connection.response();
      expect([early.status, early.body.toString()]).toEqual([202, "early"]);
      connection.close();
    });
  });

  it("has no timing header for those who may not see it", async () => {
    const response = await rawRequest(hop.port, `GET / HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
    expect(valuesOf(response, "x-hopgate-timing")).toEqual([]);
    expect(valuesOf(response, "server-timing")).toEqual([]);
  });
});

async function ask(wire: string): Promise<{ status: number; seen: Seen }> {
  const { status, body } = await rawRequest(hop.port, wire);
  return { status, seen: JSON.parse(body.toString()) as Seen };
}

/** A connection for the service that the test answers for: `answering` is its next request. */
function steps(): Promise<RawConnection> {
  answering = new Promise((resolve) => (onAnswering = resolve));
  return RawConnection.open(hop.port);
}

/** The next chunk of a chunked body, just as it came. */
async function chunkOf(connection: RawConnection): Promise<string> {
  let size = "";
  while (!size.endsWith("\r\n")) size += (await connection.take(1)).toString();
  const chunk = await connection.take(Number.parseInt(size, 16));
  await connection.take(2);
  return chunk.toString();
}

function callerHeaders({ rawHeaders }: Seen): (readonly [string, string])[] {
  return rawHeaders.flatMap((name, index) =>
    index % 2 === 0 && name.startsWith("x-own-") ? [[name, rawHeaders[index + 1] ?? ""] as const] : [],
  );
}

/** Our tokens on a request, by header. */
function tokens(seen: Seen): [string, string][] {
  return ["authorization", "x-serverless-authorization"].flatMap((name) =>
    seenHeader(seen, name).flatMap((value): [string, string][] => {
      const audience = audienceOf(value);
      return audience === undefined ? [] : [[name, audience]];
    }),
  );
}
