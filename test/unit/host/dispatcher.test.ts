import { describe, expect, test } from "vitest";
import { Emulator } from "../../../shim/emulator/emulator.js";
import { guest } from "../../support/compile-guest.js";
import { callback, configure, GET, logged, OK, scripted } from "../../support/script.js";

describe("a root", () => {
  test("gets its configuration, the same bytes, and only then", async () => {
    const proxy = await scripted("configure configuration\nrequest configuration");
    expect(logged(proxy)).toEqual(["configuration -> 0 [configure configuration\nrequest configuration]"]);
    proxy.stream({ headers: GET });
    expect(logged(proxy)).toEqual(["configuration -> 1 []"]);
  });

  test("can refuse it", async () => {
    const proxy = await scripted("configure say hello");
    expect(configure(proxy, "refuse")).toEqual({ accepted: false });
    expect(configure(proxy, "configure say again")).toEqual({ accepted: true });
  });

  test("may have an empty one", async () => {
    const proxy = await scripted("");
    expect(proxy.stream({ headers: GET }).action).toBe("continue");
  });

  test("of 8 MiB is given whole; of one byte more it is refused", async () => {
    const line = "configure say here\n";
    const proxy = await Emulator.start({ module: await guest("script") });
    expect(proxy.configure({ config: line + "x".repeat((8 << 20) - line.length) })).toEqual({ accepted: true });
    expect(proxy.logs.at(-1)?.message).toBe("here");
    expect(proxy.configure({ config: line + "x".repeat((8 << 20) - line.length + 1) })).toEqual({ accepted: false });
    expect(proxy.traps).toEqual([]);
  });

  test("ticks at its own period, from the time that it says, until it goes", async () => {
    const proxy = await scripted("configure tick 100\ntick say tick");
    proxy.advance(350);
    expect(logged(proxy)).toEqual(["tick", "tick", "tick"]);
    configure(proxy, "configure tick 200\ntick say tock");
    proxy.advance(400);
    expect(logged(proxy)).toEqual(["tock", "tock"]);
  });

  test("of another configuration in the same VM keeps apart from it", async () => {
    const proxy = await scripted("configure tick 100\ntick say one\nrequest say request-one");
    configure(proxy, "configure tick 70\ntick say two\nrequest say request-two", "other");
    proxy.advance(210);
    expect(logged(proxy)).toEqual(["two", "one", "two", "one", "two"]);
    for (const plugin of ["other", "hopgate", "other"]) proxy.stream({ headers: GET, plugin });
    expect(logged(proxy)).toEqual(["request-two", "request-one", "request-two"]);
    proxy.remove("hopgate");
    for (const plugin of ["other", "other"]) proxy.stream({ headers: GET, plugin });
    expect(logged(proxy)).toEqual(["request-two", "request-two"]);
  });

  test("goes after its last stream, and says so", async () => {
    const proxy = await scripted("end say end\nresponse say old");
    const stream = proxy.stream({ headers: GET });
    configure(proxy, "response say new");
    expect(logged(proxy)).toEqual([]);
    stream.respond(OK);
    expect(logged(proxy)).toEqual(["old", "end"]);
    proxy.stream({ headers: GET }).respond(OK);
    expect(logged(proxy)).toEqual(["new"]);
  });

  test("may come and go a thousand times, with the memory that it had", async () => {
    const proxy = await scripted("configure tick 10");
    const pages: number[] = [];
    for (let i = 0; i < 1000; i++) {
      configure(proxy, `configure tick 10\nrequest pairs 0\nunused ${"x".repeat(2000)} ${i}`);
      proxy.stream({ headers: GET }).respond(OK);
      proxy.advance(10);
      if (i % 100 === 99) pages.push(proxy.vm(0).memoryPages());
    }
    expect(new Set(pages.slice(1)).size, pages.join()).toBe(1);
    expect(proxy.traps).toEqual([]);
  });
});

describe("a stream", () => {
  test("sees its events in order, each with its own id", async () => {
    const events = ["request", "response", "log", "done", "delete"];
    const proxy = await scripted(events.map((event) => `${event} say ${event} id`).join("\n"));
    const [first, second] = [proxy.stream({ headers: GET }), proxy.stream({ headers: GET })];
    second.respond(OK);
    first.respond(OK);
    const of = (id: number): string[] => ["response", "log", "done", "delete"].map((event) => `${event} ${id}`);
    const [one, two] = [first.contextId, second.contextId];
    expect(logged(proxy)).toEqual([`request ${one}`, `request ${two}`, ...of(two), ...of(one)]);
  });

  test("may be paused and let go on by a later callback", async () => {
    const proxy = await scripted("configure tick 10\nrequest pause\ntick effective\ntick continue");
    const stream = proxy.stream({ headers: GET });
    expect(stream.paused).toBe(true);
    proxy.advance(10);
    expect(stream.action).toBe("continue");
    expect(logged(proxy)).toEqual(["effective -> 0", "continue -> 0"]);
  });

  test("may be answered here, also later", async () => {
    for (const script of ["request reply 418", "configure tick 10\nrequest pause\ntick effective\ntick reply 418"]) {
      const proxy = await scripted(script);
      const stream = proxy.stream({ headers: GET });
      proxy.advance(10);
      expect(stream.response).toMatchObject({ status: 418 });
      expect(stream.responseHeader("x-reply")).toBe("1");
      expect(stream.localReply?.details).toBe("from_script");
    }
  });

  test("that its root makes no context for is refused, not let through", async () => {
    const proxy = await scripted("no streams");
    const stream = proxy.stream({ headers: GET });
    expect(stream.response?.status).toBe(503);
    expect(stream.localReply?.details).toBe("stream_unknown");
    expect(stream.requestHeaders).toBeUndefined();
    expect(proxy.traps).toEqual([]);
  });

  test("that its root makes no context for is refused with gRPC's Unavailable", async () => {
    const proxy = await scripted("no streams");
    const stream = proxy.stream({ headers: [...GET, ["content-type", "application/grpc"]] });
    expect(stream.responseHeader("grpc-status")).toBe("14");
  });
});

describe("an unknown id", () => {
  const UNKNOWN = [0, 999, 0x7fff_ffff, 0xffff_ffff];
  const every = ["request", "response", "done", "log", "delete", "tick", "call", "end"]
    .map((event) => `${event} say ${event}`)
    .join("\n");

  test.each([
    ["proxy_on_tick", [], undefined],
    ["proxy_on_response_headers", [3, 1], 0],
    ["proxy_on_done", [], 1],
    ["proxy_on_log", [], undefined],
    ["proxy_on_delete", [], undefined],
    ["proxy_on_http_call_response", [4, 1, 10, 0], undefined],
    ["proxy_on_configure", [5], 0],
    ["proxy_on_request_headers", [4, 1], 1],
  ] as const)("in %s does nothing and traps nothing", async (name, args, expected) => {
    const proxy = await scripted(every);
    for (const id of UNKNOWN) {
      const answer = callback(proxy, name, id, ...args);
      if (expected !== undefined) expect(answer).toBe(expected);
    }
    expect(logged(proxy)).toEqual([]);
    // The root that there is has not been harmed.
    const stream = proxy.stream({ headers: GET });
    expect(logged(proxy)).toEqual(["request"]);
    stream.respond(OK);
    expect(logged(proxy)).toEqual(["response", "log", "done", "delete"]);
  });

  test("as the parent of a stream makes a stream that is unknown", async () => {
    const proxy = await scripted(every);
    callback(proxy, "proxy_on_context_create", 500, 999);
    expect(callback(proxy, "proxy_on_request_headers", 500, 4, 1)).toBe(1);
    expect(logged(proxy)).toEqual([]);
  });

  test("is that of a stream whose delete has been", async () => {
    const proxy = await scripted(every);
    const stream = proxy.stream({ headers: GET });
    const id = stream.contextId;
    stream.respond(OK);
    logged(proxy);
    for (const name of ["proxy_on_response_headers", "proxy_on_log", "proxy_on_delete", "proxy_on_delete"] as const)
      callback(proxy, name, id);
    expect(callback(proxy, "proxy_on_request_headers", id, 4, 1)).toBe(1);
    expect(logged(proxy)).toEqual([]);
  });

  test("is that of a root that has gone: no tick, no stream, no configuration", async () => {
    const proxy = await scripted(every);
    const old = [...proxy.vm(0).contexts.keys()][0] ?? 0;
    configure(proxy, "configure say new");
    expect(logged(proxy)).toEqual(["new", "end"]);
    callback(proxy, "proxy_on_tick", old);
    expect(callback(proxy, "proxy_on_configure", old, 5)).toBe(0);
    callback(proxy, "proxy_on_context_create", 500, old);
    expect(callback(proxy, "proxy_on_request_headers", 500, 4, 1)).toBe(1);
    expect(logged(proxy)).toEqual([]);
  });

  test("of a root that is created twice is that of the first", async () => {
    const proxy = await scripted("tick say tick");
    const root = [...proxy.vm(0).contexts.keys()][0] ?? 0;
    callback(proxy, "proxy_on_context_create", root, 0);
    callback(proxy, "proxy_on_tick", root);
    expect(logged(proxy)).toEqual(["tick"]);
  });
});

describe("an abort", () => {
  test("logs where, traps, and happens nowhere else", async () => {
    const proxy = await scripted("request abort 5\nrequest say unreachable");
    proxy.stream({ headers: GET });
    expect(proxy.traps).toMatchObject([{ vm: "worker 0", callback: "proxy_on_request_headers" }]);
    expect(proxy.logs).toEqual([
      {
        level: "critical",
        vm: "worker 0",
        message: expect.stringMatching(/^abort: Index out of range at .+:\d+:\d+$/) as string,
      },
    ]);
  });
});
