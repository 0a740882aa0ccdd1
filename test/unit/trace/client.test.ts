import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import http from "node:http";
import https from "node:https";
import { type AddressInfo, createServer, type Server } from "node:net";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { Failure, UsageError } from "../../../shim/errors.js";
import { type CertificateAuthority, createCertificateAuthority } from "../../../shim/local/ca.js";
import { broken } from "../../../shim/trace/client-failure.js";
import { keepAlive, request } from "../../../shim/trace/client.js";

const open: { close: () => void }[] = [];

afterEach(() => {
  vi.useRealTimers();
  for (const resource of open.splice(0)) resource.close();
});

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

function closeAtEnd(server: http.Server | https.Server): void {
  open.push({
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  });
}

async function serve(handler: http.RequestListener): Promise<string> {
  const server = http.createServer(handler);
  closeAtEnd(server);
  return `http://127.0.0.1:${String(await listen(server))}`;
}

async function failureOf(promise: Promise<unknown>): Promise<Failure> {
  const error: unknown = await promise.then(
    () => new Error("expected a failure"),
    (reason: unknown) => reason,
  );
  if (error instanceof Failure) return error;
  throw error;
}

function token(content: string): string {
  return `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`;
}

describe("a whole response", () => {
  it("brings status, headers, every Server-Timing line and the body", async () => {
    const url = await serve((_request, response) => {
      response.writeHead(
        201,
        [
          ["Server-Timing", "app;dur=9.1"],
          ["Server-Timing", "ingress;dur=11, ingress-upstream;dur=10.8"],
          ["X-Twice", "a"],
          ["x-twice", "b"],
        ].flat(),
      );
      response.end("grüße");
    });
    const response = await request({ url });
    expect(response.status).toBe(201);
    expect(response.serverTiming).toEqual(["app;dur=9.1", "ingress;dur=11, ingress-upstream;dur=10.8"]);
    expect(response.headers["x-twice"]).toBe("a, b");
    expect(response.body).toBe("grüße");
    expect(response.bodyTruncated).toBe(false);
  });

  it("is asked for with method, path, query, Host of the URL, headers and body", async () => {
    const url = await serve((incoming, response) => {
      incoming.setEncoding("utf8");
      incoming.on("data", (body: string) => {
        const { host, "x-a": a, "content-length": length } = incoming.headers;
        response.end(JSON.stringify([incoming.method, incoming.url, host, a, length, body]));
      });
    });
    const response = await request({
      url: "http://kb.example.internal/v1/search?q=1#x",
      connectTo: { host: "127.0.0.1", port: Number(new URL(url).port) },
      method: "POST",
      headers: { "x-a": "1" },
      body: "{}",
    });
    expect(JSON.parse(response.body)).toEqual(["POST", "/v1/search?q=1", "kb.example.internal", "1", "2", "{}"]);
  });

  it("has times that follow each other", async () => {
    const url = await serve((_request, response) => response.end("x"));
    const connectTo = { host: "localhost", port: Number(new URL(url).port) };
    const { times } = await request({ url, connectTo });
    expect(times.dns_us).toBeGreaterThan(0);
    expect(times.connect_us).toBeGreaterThan(0);
    expect(times.tcp_us).toBeGreaterThan(0);
    expect(times.tls_us).toBe(0);
    expect(times.connect_us).toBeGreaterThanOrEqual(times.dns_us + times.tcp_us);
    expect(times.headers_us).toBeGreaterThanOrEqual(times.connect_us);
    expect(times.first_byte_us).toBeGreaterThanOrEqual(times.headers_us);
    expect(times.total_us).toBeGreaterThanOrEqual(times.first_byte_us ?? Infinity);
    expect(times.ttft_us).toBeUndefined();
    expect(
      Object.values(times)
        .flat()
        .every((time) => time === undefined || Number.isInteger(time)),
    ).toBe(true);
  });

  it("keeps no more than 4 MiB of the body", async () => {
    const url = await serve((_request, response) => response.end("x".repeat(5 * 1024 * 1024)));
    const response = await request({ url });
    expect(response.body.length).toBe(4 * 1024 * 1024);
    expect(response.bodyTruncated).toBe(true);
  });

  it("of an empty body has no first byte", async () => {
    const url = await serve((_request, response) => response.writeHead(204).end());
    const response = await request({ url });
    expect(response.times.first_byte_us).toBeUndefined();
    expect(response.times.gaps_us).toEqual([]);
  });

  it("on a kept connection takes no time to connect", async () => {
    const ports = new Set<number | undefined>();
    const url = await serve((incoming, response) => {
      ports.add(incoming.socket.remotePort);
      response.end("x");
    });
    const agent = keepAlive(url);
    open.push({
      close: () => {
        agent.destroy();
      },
    });
    const first = await request({ url, agent });
    const second = await request({ url, agent });
    expect(ports.size).toBe(1);
    expect(first.times.connect_us).toBeGreaterThan(0);
    expect(second.times).toMatchObject({ connect_us: 0, dns_us: 0, tcp_us: 0, tls_us: 0 });
  });
});

describe("a streamed completion", () => {
  /** Sends each event when the client holds the one before it: `next` is the client's word. */
  async function lockStep(events: readonly string[]): Promise<{ url: string; next: () => void }> {
    const waiting: (() => void)[] = [];
    const url = await serve((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      const rest = [...events];
      const send = (): void => {
        const event = rest.shift();
        if (event === undefined) response.end();
        else response.write(event, () => waiting.push(send));
      };
      send();
    });
    return { url, next: () => waiting.shift()?.() };
  }

  it("measures the first token and the gaps between chunks", async () => {
    const role = `data: ${JSON.stringify({ choices: [{ delta: { role: "assistant", content: "" } }] })}\n\n`;
    const { url, next } = await lockStep([": ready\n\n", role, token("Hel"), token("lo"), "data: [DONE]\n\n"]);
    const ticker = setInterval(next, 5);
    open.push({
      close: () => {
        clearInterval(ticker);
      },
    });
    const { times, body } = await request({ url });
    expect(body).toContain("[DONE]");
    expect(times.gaps_us).toHaveLength(4);
    const [first = 0, second = 0] = times.gaps_us;
    expect(times.ttft_us).toBe((times.first_byte_us ?? 0) + first + second);
    expect(times.total_us).toBeGreaterThan(times.ttft_us ?? Infinity);
  });
});

describe("over TLS", () => {
  let authority: CertificateAuthority;
  beforeAll(async () => {
    authority = await createCertificateAuthority();
  });

  async function serveTls(name: string): Promise<{ host: string; port: number }> {
    const identity = await authority.issue({ dnsNames: [name] });
    const server = https.createServer({ key: identity.key, cert: identity.certificate }, (incoming, response) => {
      response.end(
        `${String((incoming.socket as { servername?: unknown }).servername)} ${String(incoming.headers.host)}`,
      );
    });
    closeAtEnd(server);
    return { host: "127.0.0.1", port: await listen(server) };
  }

  it("asks for and verifies the URL's host, whatever it connects to, and measures the handshake", async () => {
    const connectTo = await serveTls("kb.example.internal");
    const response = await request({ url: "https://kb.example.internal/", connectTo, ca: authority.certificate });
    expect(response.body).toBe("kb.example.internal kb.example.internal");
    const { times } = response;
    expect(times.tls_us).toBeGreaterThan(0);
    expect(times.connect_us).toBeGreaterThanOrEqual(times.tcp_us + times.tls_us);
    expect(times.headers_us).toBeGreaterThan(times.connect_us);
  });

  it("asks for and verifies another name where one is given", async () => {
    const connectTo = await serveTls("other.example.internal");
    const input = { url: "https://kb.example.internal/", connectTo, ca: authority.certificate };
    const response = await request({ ...input, servername: "other.example.internal" });
    expect(response.body).toBe("other.example.internal kb.example.internal");
  });

  it("keeps its connection", async () => {
    const connectTo = await serveTls("kb.example.internal");
    const url = "https://kb.example.internal/";
    const agent = keepAlive(url);
    open.push({
      close: () => {
        agent.destroy();
      },
    });
    await request({ url, connectTo, ca: authority.certificate, agent });
    const { times } = await request({ url, connectTo, ca: authority.certificate, agent });
    expect(times.connect_us).toBe(0);
  });

  it("refuses a certificate of an authority that is not trusted", async () => {
    const connectTo = await serveTls("kb.example.internal");
    const failure = await failureOf(request({ url: "https://kb.example.internal/", connectTo }));
    expect(failure.message).toMatch(
      /^GET https:\/\/kb\.example\.internal\/: the certificate of 127\.0\.0\.1:\d+ is signed by an authority that is not trusted/,
    );
    expect(failure.fix).toContain("--cacert FILE");
  });

  it("refuses a certificate for another name", async () => {
    const connectTo = await serveTls("other.example.internal");
    const failure = await failureOf(
      request({ url: "https://kb.example.internal/", connectTo, ca: authority.certificate }),
    );
    expect(failure.message).toMatch(/the certificate of 127\.0\.0\.1:\d+ is for another name/);
  });
});

it("says how to reach a host that has no address", () => {
  const cause = Object.assign(new Error("no address"), { code: "ENOTFOUND" });
  const failure = broken({ request: "GET https://kb/", address: "kb:443", step: "connect" }, cause);
  expect(failure.fix).toContain("--resolve HOST:PORT:ADDRESS");
});

describe("no whole response", () => {
  it("says where the connection was refused", async () => {
    const closed = createServer();
    const port = await listen(closed);
    closed.close();
    await once(closed, "close");
    const failure = await failureOf(request({ url: `http://127.0.0.1:${String(port)}/x?secret=1` }));
    expect(failure.message).toBe(
      `GET http://127.0.0.1:${String(port)}/x: connection refused at 127.0.0.1:${String(port)}`,
    );
  });

  it("says that response headers did not come in time", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const url = await serve(() => vi.advanceTimersByTime(50));
    const failure = await failureOf(request({ url, timeoutMs: 50 }));
    expect(failure.message).toMatch(/timed out after 50 ms .*: connected, but no response headers$/);
  });

  it("says so on a kept connection too", async () => {
    const url = await serve((incoming, response) => {
      if (incoming.url === "/first") response.end("x");
      else vi.advanceTimersByTime(50);
    });
    const agent = keepAlive(url);
    open.push({
      close: () => {
        agent.destroy();
      },
    });
    await request({ url: `${url}/first`, agent });
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const failure = await failureOf(request({ url, agent, timeoutMs: 50 }));
    expect(failure.message).toMatch(/: connected, but no response headers$/);
  });

  it("says that the body did not end in time", async () => {
    const url = await serve((_request, response) => response.write("x"));
    // Node publishes this just before it hands the response over, in the same turn.
    const onResponse = (): void => {
      queueMicrotask(() => vi.advanceTimersByTime(50));
    };
    subscribe("http.client.response.finish", onResponse);
    open.push({ close: () => unsubscribe("http.client.response.finish", onResponse) });
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const failure = await failureOf(request({ url, timeoutMs: 50 }));
    expect(failure.message).toMatch(/: response headers came, but not the end of the body$/);
  });

  it("says that the connection closed in the middle of the body", async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { "content-length": "10" });
      response.write("x", () => response.destroy());
    });
    const failure = await failureOf(request({ url }));
    expect(failure.message).toMatch(/closed the connection: response headers came, but not the end of the body$/);
  });

  it("says that the connection closed without an answer", async () => {
    const url = await serve((incoming) => incoming.socket.destroy());
    const failure = await failureOf(request({ url }));
    expect(failure.message).toMatch(/closed the connection: connected, but no response headers$/);
  });

  it("is cancelled by the signal, before and while it waits", async () => {
    const abort = new AbortController();
    const url = await serve(() => {
      abort.abort();
    });
    expect((await failureOf(request({ url, signal: abort.signal }))).message).toMatch(/: cancelled$/);
    expect((await failureOf(request({ url, signal: abort.signal }))).message).toMatch(/: cancelled$/);
  });

  it.each(["ftp://x/", "x", ""])("refuses %j as a URL", async (url) => {
    await expect(request({ url })).rejects.toBeInstanceOf(UsageError);
  });

  it("refuses a header that cannot be sent without showing its value", async () => {
    const error: unknown = await request({
      url: "http://127.0.0.1/",
      headers: { authorization: "Bearer s3cret\n" },
    }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(UsageError);
    expect(String(error)).not.toContain("s3cret");
  });
});
