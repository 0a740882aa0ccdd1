import { describe, expect, test } from "vitest";
import { callback, configure, GET, logged, OK, scripted } from "../../support/script.js";

describe("an http call", () => {
  test("brings headers and body to whoever waits", async () => {
    const proxy = await scripted(
      "request call there 1000\ncall header 6 :status\ncall header 6 x-empty\ncall header 6 x-absent\ncall pairs 6\ncall body 3\ncall body 100",
    );
    proxy.stream({ headers: GET });
    proxy.calls[0]?.respond(
      [
        [":status", "200"],
        ["x-empty", ""],
      ],
      "hello",
    );
    expect(logged(proxy)).toEqual([
      "call there 1000 -> 0",
      "answered there headers=2 body=5",
      "header 6 :status -> 0 [200]",
      "header 6 x-empty -> 0 []",
      "header 6 x-absent -> 1 []",
      "pairs 6 -> 0 2 :status=200 x-empty=",
      "body 3 -> 0 [hel]",
      "body 100 -> 0 [hello]",
    ]);
  });

  test("reads no more of a body than there is room for", async () => {
    const proxy = await scripted("request call there 1000\ncall small-body 1000\ncall small-body 64");
    proxy.stream({ headers: GET });
    proxy.calls[0]?.respond([[":status", "200"]], "x".repeat(1000));
    expect(logged(proxy).slice(2)).toEqual(["small-body 1000 -> 6 []", `small-body 64 -> 0 [${"x".repeat(64)}]`]);
  });

  test("that fails calls back without headers; a refused connection and a time-out have those of the proxy", async () => {
    const proxy = await scripted("request call there 1000\ncall header 6 :status\ncall body 10");
    proxy.stream({ headers: GET });
    proxy.calls[0]?.fail();
    // Status 2: there is no map. Status 1: there is no body.
    expect(logged(proxy).slice(1)).toEqual([
      "answered there headers=0 body=0",
      "header 6 :status -> 2 []",
      "body 10 -> 1 []",
    ]);
    proxy.stream({ headers: GET });
    proxy.calls[0]?.refuse();
    expect(logged(proxy)[2]).toBe("header 6 :status -> 0 [503]");
    proxy.stream({ headers: GET });
    proxy.advance(1000);
    expect(logged(proxy)[2]).toBe("header 6 :status -> 0 [504]");
  });

  test.each([
    ["an unknown cluster", "call nowhere 1000", 2],
    ["a cluster without endpoints", "call empty 1000", 10],
    ["a missing header", "call there 1000 incomplete", 2],
    ["no time-out", "call there 0", 2],
    ["a time-out below 0", "call there -5", 2],
  ])("to %s is refused at once and never calls back", async (_name, line, status) => {
    const proxy = await scripted(`request ${line}`, { clusters: { there: "ok", empty: "no-endpoints" } });
    proxy.stream({ headers: GET });
    expect(logged(proxy)).toEqual([`${line} -> ${status}`]);
    expect(proxy.calls).toEqual([]);
  });

  test("is one of 256 at most; more are refused until one is answered", async () => {
    const proxy = await scripted("request call there 60000");
    for (let i = 0; i < 257; i++) proxy.stream({ headers: GET });
    const lines = logged(proxy);
    expect(lines.filter((line) => line.endsWith("-> 0"))).toHaveLength(256);
    expect(lines.at(-1)).toBe("call there 60000 -> 10");
    expect(proxy.calls).toHaveLength(256);
    proxy.calls[100]?.respond(OK);
    logged(proxy);
    proxy.stream({ headers: GET });
    expect(logged(proxy)).toEqual(["call there 60000 -> 0"]);
  });

  test("answers in any order reach those who asked", async () => {
    const proxy = await scripted("request call a 60000\nrequest call b 60000\nrequest call c 60000", {
      clusters: { a: "ok", b: "ok", c: "ok" },
    });
    proxy.stream({ headers: GET });
    logged(proxy);
    const [a, b, c] = proxy.calls;
    c?.respond(OK);
    a?.respond(OK);
    b?.respond(OK);
    expect(logged(proxy).map((line) => line.split(" ")[1])).toEqual(["c", "a", "b"]);
  });
});

describe("a late answer", () => {
  test("finds its stream gone, and says so instead of acting on another", async () => {
    const proxy = await scripted("request call there 1000\nrequest pause\ncall effective\ncall continue");
    const stream = proxy.stream({ headers: GET });
    stream.abort();
    proxy.calls[0]?.respond(OK);
    expect(logged(proxy)).toEqual([
      "call there 1000 -> 0",
      "answered there headers=1 body=0",
      "effective -> 2",
      "continue -> 0",
    ]);
  });

  test("for a root that has gone is dropped", async () => {
    const proxy = await scripted("configure tick 10\ntick call there 60000");
    proxy.advance(10);
    const root = [...proxy.vm(0).contexts.keys()][0] ?? 0;
    const tokens = proxy.calls.filter((call) => call.vm === "worker 0").map((call) => call.token);
    logged(proxy);
    configure(proxy, "configure tick 10");
    expect(proxy.calls).toEqual([]); // the host cancels them
    for (const token of tokens) callback(proxy, "proxy_on_http_call_response", root, token, 1, 0, 0);
    expect(logged(proxy)).toEqual([]);
  });

  test("with a token that nobody waits for is dropped, also one that was answered already", async () => {
    const proxy = await scripted("request call there 1000");
    proxy.stream({ headers: GET });
    const root = [...proxy.vm(0).contexts.keys()][0] ?? 0;
    const token = proxy.calls[0]?.token ?? 0;
    for (const unknown of [0, 1, token + 4, 0xffff_ffff])
      callback(proxy, "proxy_on_http_call_response", root, unknown, 1, 0, 0);
    proxy.calls[0]?.respond(OK);
    callback(proxy, "proxy_on_http_call_response", root, token, 1, 0, 0);
    expect(logged(proxy)).toEqual(["call there 1000 -> 0", "answered there headers=1 body=0"]);
  });

  test("with the right token but another root is dropped", async () => {
    const proxy = await scripted("request call there 1000");
    configure(proxy, "call say wrong", "other");
    proxy.stream({ headers: GET });
    logged(proxy);
    const [, other = 0] = [...proxy.vm(0).contexts.values()]
      .filter((context) => context.stream === undefined)
      .map(({ id }) => id);
    callback(proxy, "proxy_on_http_call_response", other, proxy.calls[0]?.token ?? 0, 1, 0, 0);
    expect(logged(proxy)).toEqual([]);
    proxy.calls[0]?.respond(OK);
    expect(logged(proxy)).toEqual(["answered there headers=1 body=0"]);
  });

  test("of two calls with one number reaches the root that it is for", async () => {
    const proxy = await scripted("request call there 1000\ncall say one");
    configure(proxy, "request call there 1000\ncall say two", "other");
    const vm = proxy.vm(0);
    // Hosts may count per root: here both calls get the number 4.
    Object.defineProperty(vm, "nextCallToken", { value: () => 4 });
    proxy.stream({ headers: GET });
    proxy.stream({ headers: GET, plugin: "other" });
    logged(proxy);
    expect(proxy.calls.map((call) => call.token)).toEqual([4, 4]);
    proxy.calls[1]?.respond(OK);
    expect(logged(proxy)).toEqual(["answered there headers=1 body=0", "two"]);
    proxy.calls[0]?.respond(OK);
    expect(logged(proxy)).toEqual(["answered there headers=1 body=0", "one"]);
  });
});
