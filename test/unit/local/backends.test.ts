import fc from "fast-check";
import http, { type IncomingMessage } from "node:http";

import { describe, expect, it } from "vitest";

import { startAgent, type AgentReport } from "../../../shim/local/agent.js";
import { startChat } from "../../../shim/local/chat.js";
import { createKeySet } from "../../../shim/local/keys.js";
import { startVectorSearch } from "../../../shim/local/vector-search.js";
import { closedAfterEach, deferred, postJson, send } from "./support.js";

const keep = closedAfterEach();
const COMPLETIONS = "/v1/chat/completions";
const messages = [{ role: "user", content: "Which hop is slow?" }];
const quick = { timeToFirstTokenMs: 0, tokenGapMs: 0 };

/** The data of the events of a stream, in order. */
function eventsOf(body: string): string[] {
  return body
    .split("\n\n")
    .filter(Boolean)
    .map((event) => event.replace(/^(event: .*\n)?data: /, ""));
}

interface Chunk {
  readonly object: string;
  readonly choices: readonly { readonly delta: Record<string, string>; readonly finish_reason: string | null }[];
  readonly usage?: Record<string, number> | null;
}

function chunksOf(body: string): Chunk[] {
  return eventsOf(body)
    .slice(0, -1)
    .map((event) => JSON.parse(event) as Chunk);
}

describe("every backend", () => {
  const starts = { agent: startAgent, chat: startChat, vectors: startVectorSearch };

  it.each(Object.entries(starts))("%s is healthy, counts its requests and reports its own time", async (_, start) => {
    const backend = await keep(start({ timingName: "mine" }));
    const reply = await send(backend.origin, "/healthz");
    expect([reply.status, reply.body]).toEqual([200, "ok\n"]);
    expect(reply.headers["server-timing"]).toMatch(/^mine;dur=\d+\.\d{3}$/);
    await send(backend.origin, "/nothing/here");
    expect(backend.requests()).toBe(2);
  });

  it.each(Object.entries(starts))("%s says what it does not serve", async (_, start) => {
    const backend = await keep(start());
    const reply = await send(backend.origin, "/nothing/here", { method: "DELETE" });
    expect(reply.status).toBe(404);
    expect(reply.headers["server-timing"]).toMatch(/^app;dur=/);
    expect(JSON.parse(reply.body)).toMatchObject({ error: { message: "DELETE /nothing/here is not served here" } });
  });

  it.each([
    ["agent", startAgent, "/run"],
    ["chat", startChat, COMPLETIONS],
    ["vectors", startVectorSearch, "/collections/docs/points/search"],
  ])("%s refuses bodies that are too large or no JSON", async (_, start, path) => {
    const backend = await keep(start());
    const large = await send(backend.origin, path, { method: "POST", body: Buffer.alloc(1024 * 1024 + 1, 32) });
    expect(large.status).toBe(413);
    const broken = await send(backend.origin, path, { method: "POST", body: "{" });
    expect([broken.status, broken.body]).toEqual([400, expect.stringContaining("not valid JSON")]);
  });
});

describe("the chat service", () => {
  it("answers as a whole", async () => {
    const chat = await keep(startChat({ ...quick, tokens: 4 }));
    const reply = await postJson(chat.origin, COMPLETIONS, { model: "mine", messages });
    expect(JSON.parse(reply.body)).toMatchObject({
      object: "chat.completion",
      model: "mine",
      choices: [{ message: { role: "assistant", content: "A request crosses every " }, finish_reason: "stop" }],
      usage: { prompt_tokens: 4, completion_tokens: 4, total_tokens: 8 },
    });
  });

  it("streams the role, then a token a chunk, then the reason for the end", async () => {
    const chat = await keep(startChat({ ...quick, tokens: 3 }));
    const reply = await postJson(chat.origin, COMPLETIONS, { messages, stream: true });
    expect(reply.headers["content-type"]).toBe("text/event-stream; charset=utf-8");
    const chunks = chunksOf(reply.body);
    expect(chunks.map(({ choices }) => choices[0]?.delta)).toEqual([
      { role: "assistant", content: "" },
      { content: "A " },
      { content: "request " },
      { content: "crosses " },
      {},
    ]);
    expect(chunks.map(({ choices }) => choices[0]?.finish_reason)).toEqual([null, null, null, null, "stop"]);
    expect(chunks[0]).not.toHaveProperty("usage");
    expect(eventsOf(reply.body).at(-1)).toBe("[DONE]");
  });

  it("ends a stream with its usage where asked to", async () => {
    const chat = await keep(startChat({ ...quick, tokens: 2 }));
    const request = { messages, stream: true, stream_options: { include_usage: true } };
    const chunks = chunksOf((await postJson(chat.origin, COMPLETIONS, request)).body);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 2 } });
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
  });

  it("says no more than it is allowed to, in a stream and as a whole", async () => {
    const chat = await keep(startChat({ ...quick, tokens: 8 }));
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 12 }), fc.boolean(), async (limit, modern) => {
        const allowed = { messages, [modern ? "max_completion_tokens" : "max_tokens"]: limit };
        const whole = JSON.parse((await postJson(chat.origin, COMPLETIONS, allowed)).body) as {
          choices: [{ message: { content: string }; finish_reason: string }];
        };
        const stream = chunksOf((await postJson(chat.origin, COMPLETIONS, { ...allowed, stream: true })).body);
        const streamed = stream.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
        expect(streamed).toBe(whole.choices[0].message.content);
        expect(streamed.trim().split(" ")).toHaveLength(Math.min(limit, 8));
        expect(whole.choices[0].finish_reason).toBe(limit < 8 ? "length" : "stop");
      }),
      { numRuns: 20 },
    );
  });

  it("takes its time to the first token and between tokens", async () => {
    const chat = await keep(startChat({ timeToFirstTokenMs: 80, tokenGapMs: 40, tokens: 3 }));
    for (const stream of [true, false]) {
      const startedAtMs = performance.now();
      const reply = await postJson(chat.origin, COMPLETIONS, { messages, stream });
      expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(155);
      const ownMs = Number(/dur=([\d.]+)/.exec(String(reply.headers["server-timing"]))?.[1]);
      expect(ownMs).toBeGreaterThanOrEqual(stream ? 79 : 155);
    }
  });

  it("sends the next event only when its gate opens", async () => {
    const gates = Array.from({ length: 4 }, deferred);
    const asked: number[] = [];
    const chat = await keep(
      startChat({
        tokens: 1,
        gate: async (index) => {
          asked.push(index);
          await gates[index]?.promise;
        },
      }),
    );
    const outgoing = http.request(chat.origin + COMPLETIONS, { method: "POST", agent: false });
    const answered = new Promise<IncomingMessage>((resolve) => outgoing.once("response", resolve));
    outgoing.end(JSON.stringify({ messages, stream: true }));
    let received = "";
    let ended = false;
    for (const [index, gate] of gates.entries()) {
      await expect.poll(() => asked.at(-1)).toBe(index);
      expect(eventsOf(received)).toHaveLength(index);
      gate.resolve();
      const response = await answered;
      if (index === 0) {
        response.on("data", (chunk: Buffer) => (received += chunk.toString()));
        response.once("end", () => (ended = true));
      }
      await expect.poll(() => eventsOf(received).length).toBe(index + 1);
    }
    await expect.poll(() => ended).toBe(true);
  });

  it("stops when its client has gone", async () => {
    const asked: number[] = [];
    const second = deferred();
    const gate = async (index: number): Promise<void> => {
      asked.push(index);
      if (index === 1) await second.promise;
    };
    const chat = await keep(startChat({ gate }));
    const outgoing = http.request(chat.origin + COMPLETIONS, { method: "POST", agent: false });
    outgoing.on("error", () => undefined);
    const answered = new Promise<IncomingMessage>((resolve) => outgoing.once("response", resolve));
    outgoing.end(JSON.stringify({ messages, stream: true }));
    const response = await answered;
    const gone = new Promise<void>((resolve) => response.once("close", resolve));
    response.on("error", () => undefined);
    outgoing.destroy();
    await gone;
    // Another request's turn through the loop of the server: it has then seen the first one's end.
    await send(chat.origin, "/healthz");
    second.resolve();
    await send(chat.origin, "/healthz");
    expect(asked).toEqual([0, 1]);
  });

  it("lists its model", async () => {
    const chat = await keep(startChat({ model: "mine" }));
    const reply = await send(chat.origin, "/v1/models");
    expect(JSON.parse(reply.body)).toMatchObject({ object: "list", data: [{ id: "mine", object: "model" }] });
  });

  it("says what is wrong with a request", async () => {
    const chat = await keep(startChat());
    for (const wrong of [{}, { messages: [] }, { messages, max_tokens: 0 }, [], null]) {
      const reply = await postJson(chat.origin, COMPLETIONS, wrong);
      expect(reply.status).toBe(400);
      expect(JSON.parse(reply.body)).toMatchObject({ error: { type: "invalid_request_error" } });
    }
  });
});

describe("the vector search", () => {
  const SEARCH = "/collections/docs/points/search";
  interface Found {
    readonly id: number;
    readonly score: number;
  }
  const found = (body: string): Found[] => (JSON.parse(body) as { result: Found[] }).result;

  it("lists and describes its collection", async () => {
    const vectors = await keep(startVectorSearch());
    const list = await send(vectors.origin, "/collections");
    expect(JSON.parse(list.body)).toMatchObject({ result: { collections: [{ name: "docs" }] }, status: "ok" });
    const one = await send(vectors.origin, "/collections/docs");
    expect(JSON.parse(one.body)).toMatchObject({ result: { status: "green", points_count: 6 } });
  });

  it("finds the nearest points, best first, with what was asked for", async () => {
    const vectors = await keep(startVectorSearch());
    const request = { vector: [0.1, 0.9, 0.1, 0.1], limit: 2, with_payload: true };
    const reply = await postJson(vectors.origin, SEARCH, request);
    expect(found(reply.body)).toMatchObject([
      { id: 3, payload: { title: "ID tokens and their audiences" } },
      { id: 4 },
    ]);
    expect(found(reply.body)[0]?.score).toBeCloseTo(1);
    expect(found(reply.body)[0]).not.toHaveProperty("vector");
  });

  it("orders by score and keeps to limit, offset and threshold", async () => {
    const vectors = await keep(startVectorSearch());
    const component = fc.double({ min: -1, max: 1, noNaN: true });
    const vector = fc.tuple(component, component, component, component);
    await fc.assert(
      fc.asyncProperty(vector, fc.integer({ min: 1, max: 8 }), fc.nat(7), async (query, limit, offset) => {
        const ask = async (request: object) =>
          found((await postJson(vectors.origin, SEARCH, { vector: query, ...request })).body);
        const all = await ask({ limit: 100 });
        const scores = all.map(({ score }) => score);
        expect(scores).toEqual([...scores].sort((one, other) => other - one));
        expect(scores.every((score) => Math.abs(score) <= 1.000001)).toBe(true);
        expect(await ask({ limit, offset })).toEqual(all.slice(offset, offset + limit));
        const threshold = await ask({ limit: 100, score_threshold: 0.5 });
        expect(threshold).toEqual(all.filter(({ score }) => score >= 0.5));
      }),
      { numRuns: 25 },
    );
  });

  it("says what is wrong with a request", async () => {
    const vectors = await keep(startVectorSearch());
    const unknown = await postJson(vectors.origin, "/collections/none/points/search", { vector: [1], limit: 1 });
    expect([unknown.status, unknown.body]).toEqual([404, expect.stringContaining("Collection `none` doesn't exist!")]);
    const short = await postJson(vectors.origin, SEARCH, { vector: [1, 2, 3], limit: 1 });
    expect([short.status, short.body]).toEqual([400, expect.stringContaining("expected dim: 4, got 3")]);
    expect((await postJson(vectors.origin, SEARCH, { vector: "x" })).status).toBe(400);
  });
});

describe("the agent", () => {
  it("says which identity, caller, path and request id arrived, but never a token", async () => {
    const agent = await keep(startAgent());
    const keys = await createKeySet();
    const token = await keys.sign({ aud: "https://kb.a.run.app", email: "gateway@p.iam.gserviceaccount.com" });
    const headers = {
      authorization: `Bearer ${token}`,
      "x-hopgate-path": "ingress,agents",
      "x-hopgate-caller": "a@b.c",
      "x-request-id": "r-1",
    };
    const reply = await send(agent.origin, "/", { headers });
    const report: AgentReport = {
      service: "agent",
      identity: [
        {
          header: "authorization",
          audience: "https://kb.a.run.app",
          email: "gateway@p.iam.gserviceaccount.com",
          signature_removed: false,
        },
      ],
      hopgate_caller: "a@b.c",
      hopgate_path: "ingress,agents",
      request_id: "r-1",
    };
    expect(JSON.parse(reply.body)).toEqual(report);
    for (const part of token.split(".")) expect(reply.body).not.toContain(part);
  });

  it("reports credentials that are no ID token without repeating them", async () => {
    const agent = await keep(startAgent());
    const reply = await send(agent.origin, "/", { headers: { authorization: "Bearer sk-very-secret" } });
    expect(reply.body).not.toContain("secret");
    expect(JSON.parse(reply.body)).toMatchObject({ identity: [{ audience: null, email: null }], hopgate_path: null });
    expect(JSON.parse((await send(agent.origin, "/")).body)).toMatchObject({ identity: [], request_id: null });
  });

  it("runs its steps before it answers", async () => {
    const agent = await keep(startAgent({ steps: 2, stepMs: 40 }));
    const startedAtMs = performance.now();
    const reply = await postJson(agent.origin, "/run", { task: "x" });
    expect(performance.now() - startedAtMs).toBeGreaterThanOrEqual(78);
    expect(JSON.parse(reply.body)).toMatchObject({ service: "agent" });
  });

  it("streams its steps where asked to", async () => {
    const agent = await keep(startAgent({ steps: 2, stepMs: 0 }));
    const reply = await postJson(agent.origin, "/run", {}, { accept: "text/event-stream" });
    expect(reply.body).toMatch(
      /^event: step\ndata: {"step":1,"of":2}\n\nevent: step\n.*\n\nevent: result\ndata: {.*}\n\n$/,
    );
  });
});
