import http2 from "node:http2";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import net from "node:net";
import tls from "node:tls";

import { describe, expect, it } from "vitest";

import { createCertificateAuthority } from "../../../shim/local/ca.js";
import { startChat } from "../../../shim/local/chat.js";
import { startCloudRun, type CloudRun } from "../../../shim/local/cloud-run.js";
import type { CloudRunOptions } from "../../../shim/local/cloud-run-access.js";
import { createKeySet } from "../../../shim/local/keys.js";
import { listen, startHttpServer, type Handler } from "../../../shim/local/server.js";
import { closedAfterEach, deferred, send, type Reply, type RequestOptions } from "./support.js";

const HOST = "kb-abc123-uc.a.run.app";
const keys = await createKeySet();
const authority = await createCertificateAuthority();
const identity = await authority.issue({ dnsNames: ["*.a.run.app"] });
const trust = { ca: authority.certificate, servername: HOST };
const keep = closedAfterEach();

/** A front end with one public service. */
async function startPublic(container: string, options: Partial<CloudRunOptions> = {}): Promise<CloudRun> {
  const services = { [HOST]: { audiences: [], invokers: "all" as const, container } };
  return keep(startCloudRun({ services, keys: keys.jwks, tls: identity, ...options }));
}

async function startContainer(handler: Handler): Promise<string> {
  return (await keep(startHttpServer(handler))).origin;
}

function request(front: CloudRun, path: string, options: RequestOptions = {}): Promise<Reply> {
  return send(front.origin, path, { ...options, ...trust, headers: { host: HOST, ...options.headers } });
}

const echo: Handler = (incoming, response) => {
  const { method, url, headers } = incoming;
  let body = "";
  incoming.on("data", (chunk: Buffer) => (body += chunk.toString()));
  incoming.on("end", () => {
    response.writeHead(201, { "x-own": "1", "set-cookie": ["a=1", "b=2"], connection: "x-hop", "x-hop": "1" });
    response.end(JSON.stringify({ method, url, headers, body }));
  });
};

interface Echo {
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

describe("Cloud Run's front end", () => {
  it("hands request and answer on over HTTP/1.1", async () => {
    const front = await startPublic(await startContainer(echo));
    const headers = { "x-mine": "yes", connection: "close, x-drop", "x-drop": "1", "x-forwarded-for": "10.0.0.9" };
    const reply = await request(front, "/run?x=1", { method: "POST", headers, body: "hello" });
    const seen = JSON.parse(reply.body) as Echo;
    expect(seen).toMatchObject({ method: "POST", url: "/run?x=1", body: "hello" });
    expect(seen.headers).toMatchObject({
      host: HOST,
      "x-mine": "yes",
      "x-forwarded-for": "10.0.0.9,127.0.0.1",
      "x-forwarded-proto": "https",
      forwarded: 'for="127.0.0.1";proto=https',
    });
    expect(seen.headers).not.toHaveProperty("x-drop");
    expect(reply.status).toBe(201);
    expect(reply.headers).toMatchObject({ "x-own": "1", "set-cookie": ["a=1", "b=2"], server: "Google Frontend" });
    expect(reply.headers).not.toHaveProperty("x-hop");
  });

  it("continues the caller's trace, or begins one", async () => {
    const front = await startPublic(await startContainer(echo));
    const trace = "0af7651916cd43dd8448eb211c80319c";
    const traced = await request(front, "/", { headers: { traceparent: `00-${trace}-b7ad6b7169203331-01` } });
    const { headers } = JSON.parse(traced.body) as Echo;
    expect(headers.traceparent).toMatch(new RegExp(`^00-${trace}-[0-9a-f]{16}-01$`));
    expect(headers.traceparent).not.toContain("b7ad6b7169203331");
    expect(headers["x-cloud-trace-context"]).toMatch(new RegExp(`^${trace}/\\d+;o=1$`));
    expect(traced.headers["x-cloud-trace-context"]).toBe(trace);
    const fresh = JSON.parse((await request(front, "/")).body) as Echo;
    expect(fresh.headers.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
    expect(fresh.headers["x-cloud-trace-context"]).toMatch(/;o=0$/);
  });

  it("speaks HTTP/2 where the client offers it", async () => {
    const front = await startPublic(await startContainer(echo));
    const session = http2.connect(`https://${HOST}:${front.port}`, {
      ca: authority.certificate,
      createConnection: () => tls.connect({ host: "127.0.0.1", port: front.port, ...trust, ALPNProtocols: ["h2"] }),
    });
    try {
      const ask = (headers: http2.OutgoingHttpHeaders, body?: string) =>
        new Promise<{ status: number | undefined; seen: Echo }>((resolve, reject) => {
          const stream = session.request({ ":authority": HOST, ...headers }, { endStream: body === undefined });
          let status: number | undefined;
          let text = "";
          stream.on("response", (answer) => (status = answer[":status"]));
          stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
          stream.on("end", () => resolve({ status, seen: JSON.parse(text) as Echo }));
          stream.on("error", reject);
          if (body !== undefined) stream.end(body);
        });
      const bare = await ask({ ":path": "/a?b", te: "trailers", cookie: "a=1" });
      expect(bare).toMatchObject({
        status: 201,
        seen: { method: "GET", url: "/a?b", headers: { host: HOST, cookie: "a=1" } },
      });
      expect(bare.seen.headers).not.toHaveProperty("te");
      expect(bare.seen.headers).not.toHaveProperty("transfer-encoding");
      const [one, two] = await Promise.all([
        ask({ ":method": "DELETE", ":path": "/1" }, "first"),
        ask({ ":method": "PUT", ":path": "/2", "content-length": 6 }, "second"),
      ]);
      expect(one.seen).toMatchObject({ method: "DELETE", url: "/1", body: "first" });
      expect(two.seen).toMatchObject({ method: "PUT", url: "/2", body: "second" });
    } finally {
      session.destroy();
    }
  });

  it("passes a stream of events chunk by chunk", async () => {
    const gates = Array.from({ length: 5 }, () => deferred());
    const chat = await keep(startChat({ tokens: 2, gate: (index) => gates[index]?.promise ?? Promise.resolve() }));
    const front = await startPublic(chat.origin);
    const headers = { host: HOST, "content-type": "application/json" };
    const options = {
      method: "POST",
      path: "/v1/chat/completions",
      port: front.port,
      agent: false as const,
      headers,
      ...trust,
    };
    const outgoing = https.request({ ...options, hostname: "127.0.0.1" });
    outgoing.end(JSON.stringify({ messages: [{ role: "user", content: "hi" }], stream: true }));
    const answered = new Promise<IncomingMessage>((resolve) => outgoing.once("response", resolve));
    let events = 0;
    for (const [index, gate] of gates.entries()) {
      gate.resolve();
      const response = await answered;
      if (index === 0) response.on("data", (chunk: Buffer) => (events += chunk.toString().split("\n\n").length - 1));
      // The service is held at the next gate, so what the reader has is what it was let to send.
      await expect.poll(() => events).toBe(index + 1);
    }
  });

  it("sends the container's headers before there is any body", async () => {
    const front = await startPublic(await startContainer((_, response) => void response.writeHead(200).flushHeaders()));
    const outgoing = https.get({
      hostname: "127.0.0.1",
      port: front.port,
      headers: { host: HOST },
      agent: false,
      ...trust,
    });
    const response = await new Promise<IncomingMessage>((resolve) => outgoing.once("response", resolve));
    expect(response.statusCode).toBe(200);
    outgoing.once("error", () => undefined).destroy();
  });

  it("passes a request body chunk by chunk", async () => {
    let received = "";
    const origin = await startContainer((incoming, response) => {
      incoming.on("data", (chunk: Buffer) => (received += chunk.toString()));
      incoming.on("end", () => response.end("done"));
    });
    const front = await startPublic(origin);
    const options = {
      method: "POST",
      hostname: "127.0.0.1",
      port: front.port,
      headers: { host: HOST },
      agent: false as const,
    };
    const outgoing = https.request({ ...options, ...trust });
    outgoing.write("one,");
    await expect.poll(() => received).toBe("one,");
    const answered = new Promise<IncomingMessage>((resolve) => outgoing.once("response", resolve));
    outgoing.end("two");
    expect((await answered).statusCode).toBe(200);
    expect(received).toBe("one,two");
  });

  it("refuses a request body beyond 32 MiB", async () => {
    const front = await startPublic(await startContainer((incoming) => void incoming.resume()));
    const body = Buffer.alloc(33 * 1024 * 1024);
    const reply = await request(front, "/", { method: "POST", body }).catch((error: unknown) => error);
    expect(reply).toMatchObject({ status: 413 });
  });

  it("gives up on the container when the client goes away", async () => {
    const left = deferred();
    const arrived = deferred();
    const origin = await startContainer((_, response) => {
      arrived.resolve();
      response.once("close", () => left.resolve());
    });
    const front = await startPublic(origin);
    const outgoing = https.get({
      hostname: "127.0.0.1",
      port: front.port,
      headers: { host: HOST },
      agent: false,
      ...trust,
    });
    outgoing.on("error", () => undefined);
    await arrived.promise;
    outgoing.destroy();
    await left.promise;
  });

  it("outlives clients that break off anywhere, and bytes that are no HTTP", async () => {
    const front = await startPublic(await startContainer(echo));
    const head = `POST / HTTP/1.1\r\nhost: ${HOST}\r\ncontent-length: 100\r\n\r\n`;
    const websocket = `GET / HTTP/1.1\r\nhost: ${HOST}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`;
    const beginnings = ["", "G", "\0\0garbage\r\n\r\n", head.slice(0, 30), head, `${head}part of a body`, websocket];
    for (const ALPNProtocols of [["http/1.1"], ["h2"]]) {
      for (const beginning of beginnings) {
        const socket = tls.connect({ host: "127.0.0.1", port: front.port, ...trust, ALPNProtocols });
        socket.on("error", () => undefined).resume();
        await new Promise((resolve) => socket.once("secureConnect", resolve));
        await new Promise((resolve) => socket.write(beginning, resolve));
        socket.destroy();
      }
    }
    const plain = net.connect(front.port, "127.0.0.1").on("error", () => undefined);
    await new Promise((resolve) => plain.resume().once("close", resolve).write("GET / HTTP/1.1\r\n\r\n"));
    expect((await request(front, "/")).status).toBe(201);
  });

  it("answers 503 where the container cannot be reached", async () => {
    const gone = await startHttpServer(echo);
    await gone.close();
    const front = await startPublic(gone.origin);
    expect(await request(front, "/")).toMatchObject({ status: 503, body: "Service Unavailable" });
  });

  it("cuts an answer off where the container breaks it off", async () => {
    const front = await startPublic(
      await startContainer((_, response) => {
        response.writeHead(200, { "content-length": "10" }).write("half");
        setImmediate(() => response.destroy());
      }),
    );
    await expect(request(front, "/")).rejects.toThrow();
  });

  it("lets the first requests to a service wait for its container, together and once", async () => {
    const front = await startPublic(await startContainer(echo), { coldStartMs: 1000 });
    const startedAtMs = performance.now();
    await Promise.all([request(front, "/1"), request(front, "/2")]);
    expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(995);
    for (const path of ["/3", "/4", "/5", "/6"]) await request(front, path);
    expect(performance.now() - startedAtMs).toBeLessThan(4000);
  });

  it("leaves no timer behind when it is closed during a cold start", async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
    const front = await startPublic(await startContainer(echo), { coldStartMs: 600_000 });
    const before = timers();
    const waiting = expect(request(front, "/")).rejects.toThrow();
    const started = (async () => {
      while (front.requests.length === 0) await new Promise(setImmediate);
    })();
    await started;
    await new Promise(setImmediate);
    expect(timers()).toBeGreaterThan(before);
    await front.close();
    await waiting;
    expect(timers()).toBeLessThanOrEqual(before);
  });

  it("adds the network's delay to every request", async () => {
    const front = await startPublic(await startContainer(echo), { latencyMs: 50 });
    for (const path of ["/1", "/2"]) {
      const startedAtMs = performance.now();
      await request(front, path);
      expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(49);
    }
  });

  it("passes a WebSocket handshake and the bytes after it, both ways", async () => {
    const server = http.createServer();
    server.on("upgrade", (incoming: IncomingMessage, socket) => {
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nx-proto: ${String(incoming.headers["x-forwarded-proto"])}\r\n\r\n`,
      );
      socket.on("data", (chunk: Buffer) => socket.write(`echo ${chunk.toString()}`));
      socket.on("error", () => undefined);
    });
    const container = await keep(listen(server, "http"));
    const front = await startPublic(container.origin);
    const headers = { host: HOST, connection: "Upgrade", upgrade: "websocket" };
    const outgoing = https.get({ hostname: "127.0.0.1", port: front.port, headers, agent: false, ...trust });
    const [answer, socket] = await new Promise<[IncomingMessage, NodeJS.ReadWriteStream]>((resolve) =>
      outgoing.once("upgrade", (response, duplex) => resolve([response, duplex])),
    );
    expect(answer.headers).toMatchObject({ upgrade: "websocket", "x-proto": "https", server: "Google Frontend" });
    const echoed = new Promise((resolve) => socket.once("data", (chunk: Buffer) => resolve(chunk.toString())));
    socket.write("ping");
    expect(await echoed).toBe("echo ping");
    socket.on("error", () => undefined);
    const ended = new Promise((resolve) => socket.once("close", resolve));
    await front.close();
    await ended;
  });

  it("refuses a WebSocket handshake as it refuses any request", async () => {
    const services = {
      [HOST]: { audiences: [`https://${HOST}`], invokers: ["a@b.c"], container: "http://127.0.0.1:1" },
    };
    const front = await keep(startCloudRun({ services, keys: keys.jwks, tls: identity }));
    const headers = { connection: "Upgrade", upgrade: "websocket" };
    expect((await request(front, "/", { headers })).status).toBe(403);
    expect((await request(front, "/", { headers: { ...headers, host: "other.a.run.app" } })).status).toBe(404);
  });
});
