import { once } from "node:events";
import { readFileSync } from "node:fs";
import http, { type IncomingMessage, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { TRACE_EXAMPLES } from "../../../shim/commands/examples.js";
import { startChat } from "../../../shim/local/chat.js";
import { MESH } from "./mesh.js";
import { type Folder, hopgate, hopgateJson, temporaryFolder } from "./support.js";

const TIMED = "app;dur=1.5, agents;dur=2.1, agents-upstream;dur=2.0, ingress;dur=2.5, ingress-upstream;dur=2.4";

let folder: Folder;
const servers: http.Server[] = [];

beforeEach(() => (folder = temporaryFolder()));

afterEach(() => {
  folder.remove();
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

interface Service {
  readonly url: string;
  readonly port: number;
  /** The requests that came, and how many connections they took. */
  readonly requests: IncomingMessage[];
  connections: number;
}

/** A mesh as far as a client can tell: it answers with the time of two hops. */
async function serve(handler?: RequestListener): Promise<Service> {
  const server = http.createServer((request, response) => {
    service.requests.push(request);
    response.setHeader("server-timing", TIMED);
    if (handler === undefined) response.end("hello");
    else handler(request, response);
  });
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const service: Service = { url: `http://127.0.0.1:${port}/v1/ask`, port, requests: [], connections: 0 };
  server.on("connection", () => service.connections++);
  return service;
}

interface Report {
  readonly method: string;
  readonly url: string;
  readonly count: number;
  readonly statuses: Readonly<Record<string, number>>;
  readonly key_sent: boolean;
  readonly hops_reported: boolean;
  readonly status: number;
  readonly error_code: string | null;
  readonly trace: { readonly total_us: number; readonly hops: readonly { readonly name: string }[] };
  readonly summary: {
    readonly count: number;
    readonly total: { readonly p50_us: number; readonly p95_us: number };
  } | null;
}

describe("hopgate trace", () => {
  it("draws where the time of a request went", async () => {
    const { url } = await serve();
    const { code, stdout, stderr } = await hopgate("trace", url);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain(`GET ${url} 200`);
    expect(stdout).toContain("client > ingress > agents > service");
    expect(stdout).not.toContain("p50");
  });

  it("sends as many requests as it is told, on one connection, and sums them up", async () => {
    const service = await serve();
    const { stdout } = await hopgate("trace", service.url, "-n", "5");
    expect([service.requests.length, service.connections]).toEqual([5, 1]);
    expect(stdout).toMatch(/^milliseconds +p50 +p95$/m);
    expect(stdout).toMatch(/^agents self /m);
  });

  it("sends the headers of a file, and shows them nowhere", async () => {
    const service = await serve();
    const headers = folder.write(
      "caller.headers",
      "Authorization: Bearer c2VjcmV0\nx-caller: eyJhbGciOiJub25lIn0.e30.\n",
    );
    const har = join(folder.path, "trace.har");
    for (const output of ["text", "json"]) {
      const { code, stdout, stderr } = await hopgate(
        "trace",
        service.url,
        "-H",
        `@${headers}`,
        "--har",
        har,
        "-o",
        output,
      );
      expect(code).toBe(0);
      expect(stdout + stderr + readFileSync(har, "utf8")).not.toMatch(/c2VjcmV0|eyJ/);
    }
    expect(service.requests[0]?.headers).toMatchObject({
      authorization: "Bearer c2VjcmV0",
      "x-caller": "eyJhbGciOiJub25lIn0.e30.",
    });
  });

  it("gives the same as JSON", async () => {
    const { url } = await serve();
    const report = await hopgateJson<Report>("trace", `${url}?key=c2VjcmV0`, "-n", "3", "--key", "k");
    expect(report).toMatchObject({
      method: "GET",
      url,
      count: 3,
      statuses: { "200": 3 },
      key_sent: true,
      hops_reported: true,
      status: 200,
      error_code: null,
      summary: { count: 3 },
    });
    expect(report.trace.hops.map(({ name }) => name)).toEqual(["ingress", "agents"]);
    expect(report.summary?.total.p95_us).toBeGreaterThanOrEqual(report.summary?.total.p50_us ?? Infinity);
    expect((await hopgateJson<Report>("trace", url)).summary).toBeNull();
  });

  it("sends method, headers, key and body", async () => {
    const bodies: string[] = [];
    const service = await serve((request, response) => {
      request.setEncoding("utf8").on("data", (chunk: string) => bodies.push(chunk));
      request.on("end", () => response.end());
    });
    await hopgate("trace", service.url, "-d", '{"a":"ü"}', "-H", "X-One: 1", "-H", "x-one: 2", "--key", "sesame");
    await hopgate("trace", service.url, "-X", "PUT", "-d", "plain", "-H", "Content-Type: text/plain");
    const [first, second] = service.requests;
    expect([first?.method, first?.headers["x-one"], first?.headers["x-hopgate-trace"]]).toEqual([
      "POST",
      "1, 2",
      "sesame",
    ]);
    expect([first?.headers["content-type"], first?.headers["content-length"]]).toEqual(["application/json", "10"]);
    expect([second?.method, second?.headers["content-type"]]).toEqual(["PUT", "text/plain"]);
    expect(second?.headers["x-hopgate-trace"]).toBeUndefined();
    expect(bodies).toEqual(['{"a":"ü"}', "plain"]);
  });

  it("connects where --resolve says, and keeps the name in the URL", async () => {
    const service = await serve();
    const host = `llm.example.internal:${service.port}`;
    const { code } = await hopgate("trace", `http://${host}/`, "--resolve", `${host}:127.0.0.1`);
    expect(code).toBe(0);
    expect(service.requests[0]?.headers.host).toBe(host);
  });

  it("sends the key of a hopgate.yaml to the hosts of its routes, and to nobody else", async () => {
    const service = await serve((_request, response) => {
      response.removeHeader("server-timing");
      response.end();
    });
    const config = folder.write("hopgate.yaml", MESH);
    await hopgate("trace", service.url, "--config", config, "-H", "host: a.agents.example.internal");
    const { stderr } = await hopgate("trace", service.url, "--config", config);
    expect(service.requests.map(({ headers }) => headers["x-hopgate-trace"])).toEqual(["sample-key", undefined]);
    expect(stderr).toContain("127.0.0.1 is no host of its routes");
  });

  it("takes for hops only what the hopgate.yaml has", async () => {
    const { url } = await serve();
    const config = folder.write("hopgate.yaml", MESH.replaceAll("agents", "workers"));
    const { trace } = await hopgateJson<Report>("trace", url, "--config", config);
    expect(trace.hops.map(({ name }) => name)).toEqual(["ingress"]);
  });

  it.each([
    { options: [], words: "No key was sent" },
    { options: ["--key", "sesame"], words: "it must be the timing.key that the gateway runs with" },
  ])("says what may be wrong where no hop reported its time: $words", async ({ options, words }) => {
    const { url } = await serve((_request, response) => {
      response.removeHeader("server-timing");
      response.end();
    });
    const { code, stderr } = await hopgate("trace", url, ...options);
    expect(code).toBe(0);
    expect(stderr).toContain("No hop reported its time.");
    expect(stderr).toContain(words);
    expect(stderr).not.toContain("sesame");
  });

  it("takes any status for an answer, and with --fail not", async () => {
    const { url } = await serve((_request, response) => {
      response.writeHead(503, { "x-hopgate-error": "token_unavailable" }).end();
    });
    const ran = await hopgate("trace", url);
    expect(ran.code).toBe(0);
    expect(ran.stdout).toContain("answered by hopgate: token_unavailable");
    expect((await hopgate("trace", url, "--fail")).code).toBe(1);
    expect((await hopgateJson<Report>("trace", url)).error_code).toBe("token_unavailable");
  });

  it("says what came instead of a good answer, in one harmless line", async () => {
    const { url } = await serve((_request, response) => {
      response.writeHead(503, { "x-hopgate-error": "token_unavailable" }).end(`\n\u001b[2J${"a".repeat(300)}\nsecond`);
    });
    const { stderr } = await hopgate("trace", url, "-n", "2");
    expect(stderr).toBe(`hopgate: the answer is 503 (x-hopgate-error: token_unavailable): ?[2J${"a".repeat(196)}\n`);
  });

  it("sends the chat request of its help to the local chat service, which answers it", async () => {
    const chat = await startChat({ timeToFirstTokenMs: 0, tokenGapMs: 0 });
    try {
      const body = /-d '([^']+)'/.exec(TRACE_EXAMPLES)?.[1] ?? "";
      const url = `http://127.0.0.1:${String(chat.port)}/v1/chat/completions`;
      expect(await hopgateJson<Report>("trace", url, "-d", body)).toMatchObject({ status: 200 });
    } finally {
      await chat.close();
    }
  });

  it("counts the statuses where they differ", async () => {
    let count = 0;
    const { url } = await serve((_request, response) => response.writeHead(count++ === 0 ? 200 : 404).end());
    expect((await hopgate("trace", url, "-n", "3")).stdout).toContain("statuses: 200 x 1, 404 x 2");
  });

  it("fails where nobody answers, with exit code 1", async () => {
    const { url } = await serve((request) => request.socket.destroy());
    const { code, stdout, stderr } = await hopgate("trace", url);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("closed the connection");
  });

  it("shows and archives no credential", async () => {
    const service = await serve((_request, response) => {
      response.writeHead(302, { location: "https://user@a.example/?code=c2VjcmV0", "set-cookie": "id=c2VjcmV0" });
      response.end("c2VjcmV0");
    });
    const har = join(folder.path, "trace.har");
    const headers = ["authorization: Bearer c2VjcmV0", "x-api-key: c2VjcmV0", "x-plain: kept"];
    const sent = ["-d", "c2VjcmV0", "--key", "c2VjcmV0", ...headers.flatMap((header) => ["-H", header])];
    for (const output of ["text", "json"]) {
      const { code, stdout, stderr } = await hopgate(
        "trace",
        `${service.url}?q=c2VjcmV0`,
        ...sent,
        "--har",
        har,
        "-o",
        output,
      );
      expect(code).toBe(0);
      expect(stdout + stderr).not.toContain("c2VjcmV0");
    }
    const archive = readFileSync(har, "utf8");
    expect(archive).not.toContain("c2VjcmV0");
    expect(archive).toContain("x-plain");
  });

  it("archives every request", async () => {
    const { url } = await serve((_request, response) => {
      response.write("hel");
      response.end("lo");
    });
    const har = join(folder.path, "trace.har");
    await hopgate("trace", url, "-n", "4", "--har", har);
    const { log } = JSON.parse(readFileSync(har, "utf8")) as {
      log: { entries: { _hopgate: { hops: { name: string }[] }; response: { content: { size: number } } }[] };
    };
    expect(log.entries).toHaveLength(4);
    expect(log.entries.map((entry) => entry._hopgate.hops.map(({ name }) => name))).toContainEqual([
      "ingress",
      "agents",
    ]);
    expect(log.entries[0]?.response.content.size).toBe("hello".length);
  });

  it.each([
    { argv: ["llm.example.internal"], message: "is no URL of a request" },
    { argv: ["http://127.0.0.1/", "-n", "0"], message: "from 1 to 10000" },
    { argv: ["http://127.0.0.1/", "-n", "1e3"], message: "from 1 to 10000" },
    { argv: ["http://127.0.0.1/", "--resolve", "nowhere"], message: "HOST:PORT:ADDRESS" },
    { argv: ["http://a.example/", "--resolve", "a.example:443:127.0.0.1"], message: "a.example:80" },
    { argv: ["http://127.0.0.1/", "--cacert", "/no/such/file"], message: "ENOENT" },
    { argv: ["http://127.0.0.1/", "--config", "/no/such/file"], message: "there is no such file" },
    { argv: ["http://127.0.0.1/", "-X", "A B"], message: "method" },
    { argv: ["http://user:c2VjcmV0@127.0.0.1/"], message: "-H 'authorization: " },
    { argv: ["http:c2VjcmV0@127.0.0.1/"], message: "-H 'authorization: " },
  ])("refuses $argv", async ({ argv, message }) => {
    const { code, stdout, stderr } = await hopgate("trace", ...argv);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(message);
    expect(stderr).not.toContain("c2VjcmV0");
  });

  it("refuses a --cacert without a certificate, and a --har that cannot be written", async () => {
    const { url, requests } = await serve();
    const empty = folder.write("empty.pem", "");
    expect((await hopgate("trace", url, "--cacert", empty)).stderr).toContain("holds no certificate");
    const { code, stderr } = await hopgate("trace", url, "--har", join(folder.path, "none", "a.har"));
    expect(code).toBe(2);
    expect(stderr).toContain("cannot be written (ENOENT)");
    expect((await hopgate("trace", url, "--har", folder.path)).stderr).toContain("cannot be written (EISDIR)");
    expect(requests).toEqual([]);
  });
});
