import { createHash } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import http2 from "node:http2";
import type { Duplex } from "node:stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { LocalServer } from "../../shim/local/server.js";
import { audienceOf, startService } from "../support/echo.js";
import { headerOf, RawConnection, rawRequest } from "../support/raw-http.js";
import { realEnvoy } from "../support/real-envoy.js";
import { type Standalone, startStandalone } from "./standalone.js";

const envoyPath = (await realEnvoy()) ?? "";

const AUDIENCE = "https://chat-abc123-uc.a.run.app";
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
/** A masked text frame of five bytes (RFC 6455, section 5.7). */
const FRAME = Buffer.from([0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);

let service: LocalServer;
let hop: Standalone;
const upgraded: IncomingMessage[] = [];

describe.skipIf(envoyPath === "")("upgrades", () => {
  beforeAll(async () => {
    service = await startService((_, response) => response.end("not upgraded"), echoBytes);
    hop = await startStandalone({
      envoyPath,
      config: {
        hop: "ingress",
        edge: true,
        routes: [
          { hosts: ["injects.example.internal"], to: [{ backend: "injects", weight: 100 }], open: "a test" },
          { hosts: ["plain.example.internal"], to: [{ backend: "plain", weight: 100 }] },
        ],
        backends: { injects: { token: { audience: AUDIENCE } }, plain: {} },
        identity: {},
      },
      services: { injects: service, plain: service },
      upgrades: ["websocket", "chargen", "connect-udp", "CONNECT"],
    });
  });

  afterAll(async () => {
    await Promise.all([hop.close(), service.close()]);
  });

  it.each(["websocket", "WebSocket"])(
    "%s: the upgrade carries the token, and the frames pass both ways",
    async (type) => {
      const connection = await upgrade("injects.example.internal", type);
      const head = await connection.head();
      expect(head.status).toBe(101);
      expect(headerOf(head, "sec-websocket-accept")).toBe(accept(KEY));
      const request = upgraded.at(-1);
      expect(audienceOf(request?.headers.authorization)).toBe(AUDIENCE);
      expect(request?.headers).toMatchObject({ "sec-websocket-key": KEY, "x-hopgate-backend": "injects" });
      for (let index = 0; index < 20; index++) {
        connection.write(FRAME);
        expect(await connection.take(FRAME.length)).toEqual(FRAME);
      }
      connection.close();
    },
  );

  it("WebSocket over HTTP/2 (RFC 8441) carries the token too", async () => {
    const session = http2.connect(hop.origin);
    await once(session, "remoteSettings");
    const stream = session.request({
      ":method": "CONNECT",
      ":protocol": "websocket",
      ":scheme": "http",
      ":path": "/socket",
      ":authority": "injects.example.internal",
      "sec-websocket-version": "13",
    });
    const [headers] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
    expect(headers[":status"]).toBe(200);
    expect(audienceOf(upgraded.at(-1)?.headers.authorization)).toBe(AUDIENCE);
    stream.write(FRAME);
    expect((await once(stream, "data"))[0]).toEqual(FRAME);
    session.destroy();
  });

  it.each(["chargen", "connect-udp", "websocket2", "h2c"])(
    "HTTP/2 CONNECT with :protocol %s is refused",
    async (protocol) => {
      const before = upgraded.length;
      const session = http2.connect(hop.origin);
      session.on("error", () => undefined);
      await once(session, "remoteSettings");
      const stream = session.request({
        ":method": "CONNECT",
        ":protocol": protocol,
        ":scheme": "http",
        ":path": protocol === "connect-udp" ? "/.well-known/masque/udp/injects.example.internal/443/" : "/socket",
        ":authority": "injects.example.internal",
      });
      stream.on("error", () => undefined);
      const [headers] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
      expect([headers[":status"], headers["x-hopgate-error"]]).toEqual([400, "upgrade_unsupported"]);
      expect(upgraded).toHaveLength(before);
      session.destroy();
    },
  );

  it("any other upgrade is refused on a route that injects, and passes on one that does not", async () => {
    const before = upgraded.length;
    const refused = await upgrade("injects.example.internal", "chargen");
    const reply = await refused.response();
    expect(reply.status).toBe(400);
    expect(headerOf(reply, "x-hopgate-error")).toBe("upgrade_unsupported");
    expect(JSON.parse(reply.body.toString())).toMatchObject({ code: "upgrade_unsupported", status: 400 });
    refused.close();
    expect(upgraded).toHaveLength(before);

    const passed = await upgrade("plain.example.internal", "chargen");
    expect((await passed.head()).status).toBe(101);
    passed.write("bytes");
    expect((await passed.take(5)).toString()).toBe("bytes");
    passed.close();
  });

  it("CONNECT is refused on a route that injects, and passes on one that does not", async () => {
    const before = upgraded.length;
    const reply = await rawRequest(hop.port, connect("injects.example.internal:443"));
    expect([reply.status, headerOf(reply, "x-hopgate-error")]).toEqual([400, "upgrade_unsupported"]);
    expect(upgraded).toHaveLength(before);

    const passed = await RawConnection.open(hop.port);
    passed.write(connect("plain.example.internal:443"));
    expect((await passed.response({ withoutBody: true })).status).toBe(200);
    passed.write("bytes");
    expect((await passed.take(5)).toString()).toBe("bytes");
    passed.close();
  });

  it("CONNECT over HTTP/2 is refused on a route that injects", async () => {
    const session = http2.connect(hop.origin);
    const stream = session.request({ ":method": "CONNECT", ":authority": "injects.example.internal:443" });
    const [headers] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
    expect([headers[":status"], headers["x-hopgate-error"]]).toEqual([400, "upgrade_unsupported"]);
    session.destroy();
  });

  it("an Upgrade header without Connection: upgrade is no upgrade", async () => {
    const wire = "GET / HTTP/1.1\r\nHost: injects.example.internal\r\nUpgrade: chargen\r\n\r\n";
    const { status, body } = await rawRequest(hop.port, wire);
    expect([status, body.toString()]).toEqual([200, "not upgraded"]);
  });
});

/** Switches to whatever was asked for, and sends back what comes. */
function echoBytes(request: IncomingMessage, socket: Duplex): void {
  upgraded.push(request);
  const switching = `HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: ${request.headers.upgrade ?? ""}\r\n`;
  const head = request.method === "CONNECT" ? "HTTP/1.1 200 OK\r\n" : switching;
  const key = request.headers["sec-websocket-key"];
  socket.write(`${head}${key === undefined ? "" : `Sec-WebSocket-Accept: ${accept(key)}\r\n`}\r\n`);
  socket.on("error", () => undefined);
  socket.pipe(socket);
}

function accept(key: string): string {
  return createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
}

async function upgrade(host: string, type: string): Promise<RawConnection> {
  const connection = await RawConnection.open(hop.port);
  const lines = [
    "GET /socket HTTP/1.1",
    `Host: ${host}`,
    "Connection: Upgrade",
    `Upgrade: ${type}`,
    `Sec-WebSocket-Key: ${KEY}`,
    "Sec-WebSocket-Version: 13",
  ];
  connection.write(`${lines.join("\r\n")}\r\n\r\n`);
  return connection;
}

function connect(authority: string): string {
  return `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`;
}
