import { describe, expect, test } from "vitest";
import { GET, OK, logged, scripted } from "./guest.js";

const CALL = ":path=/p :method=GET :authority=a";
const CLUSTERS = { clusters: { up: "ok", empty: "no-endpoints" } } as const;

describe("proxy_http_call", () => {
  test("is listed with what the guest asked for", async () => {
    const proxy = await scripted("request_headers call up 250 text HOST=b :path=/p :method=POST X-A=1", CLUSTERS);
    proxy.stream({ headers: GET });
    const [call] = proxy.calls;
    expect(call).toMatchObject({ token: 4, vm: "worker 0" });
    expect(call?.request).toEqual({
      cluster: "up",
      headers: [
        [":authority", "b"],
        [":path", "/p"],
        [":method", "POST"],
        ["x-a", "1"],
        ["content-length", "4"],
      ],
      body: Buffer.from("text"),
      trailers: [],
      timeoutMs: 250,
    });
    expect(call?.header("x-a")).toBe("1");
  });

  test("is refused for a cluster that is not there, a header that is missing, a negative timeout, no endpoints", async () => {
    const proxy = await scripted(
      `request_headers call nope 1 - ${CALL}
       request_headers call up 1 - :path=/ :method=GET
       request_headers call up 1 - :path=/ :authority=a
       request_headers call up 1 - :method=GET :authority=a
       request_headers call up -1 - ${CALL}
       request_headers call empty 1 - ${CALL}
       request_headers call up 1 - ${CALL}`,
      CLUSTERS,
    );
    proxy.stream({ headers: GET });
    const answers = logged(proxy)
      .slice(2)
      .map((line) => line.slice(line.indexOf("-> ")));
    expect(answers).toEqual(["-> 2 0", "-> 2 0", "-> 2 0", "-> 2 0", "-> 2 0", "-> 10 0", "-> 0 8"]);
    expect(proxy.calls).toHaveLength(1);
  });

  test("sees clusters come and go", async () => {
    const proxy = await scripted(`request_headers call late 1 - ${CALL}`);
    proxy.stream({ headers: GET });
    proxy.clusters.set("late", "ok");
    proxy.stream({ headers: GET });
    expect(proxy.calls).toHaveLength(1);
  });
});

describe("the answer to a call", () => {
  test("arrives on the root, can be read there, and through the effective context with the stream's own maps", async () => {
    const proxy = await scripted(
      `request_headers return 1
       request_headers call up 0 - ${CALL}
       http_call_response get 6 :status
       http_call_response pairs 7
       http_call_response size 6
       http_call_response set 6 a b
       http_call_response buf 4 1 3
       http_call_response get 0 :path
       http_call_response status
       http_call_response effective last
       http_call_response get 6 x-a
       http_call_response set 0 x-token 1
       http_call_response continue 0`,
      CLUSTERS,
    );
    const stream = proxy.stream({ headers: GET });
    logged(proxy);
    proxy.calls[0]?.respond([...OK, ["X-A", "1"]], "hello", [["x-t", "1"]]);
    expect(logged(proxy)).toEqual([
      "http_call_response 1 4 2 5 1",
      "http_call_response 1: get 6 :status -> 0 200@p",
      "http_call_response 1: pairs 7 -> 0 x-t=1",
      "http_call_response 1: size 6 -> 2",
      "http_call_response 1: set 6 a b -> 2",
      "http_call_response 1: buf 4 1 3 -> 0 ell@p",
      "http_call_response 1: get 0 :path -> 2",
      "http_call_response 1: status -> 0 0 -@0",
      "http_call_response 1: effective last -> 0",
      "http_call_response 1: get 6 x-a -> 0 1@p",
      "http_call_response 1: set 0 x-token 1 -> 0",
      "http_call_response 1: continue 0 -> 0",
    ]);
    expect(stream.requestHeader("x-token")).toBe("1");
    expect(proxy.calls).toEqual([]);
  });

  test("cannot be read any more after its callback", async () => {
    const proxy = await scripted(
      `configure tick 10
       configure call up 0 - ${CALL}
       tick get 6 :status
       tick pairs 6
       tick buf 4 0 9`,
      CLUSTERS,
    );
    for (const call of proxy.calls) call.respond(OK, "body");
    logged(proxy);
    proxy.advance(10);
    expect(logged(proxy)).toEqual([
      "tick 1",
      "tick 1: get 6 :status -> 2",
      "tick 1: pairs 6 -> 0 none@0",
      "tick 1: buf 4 0 9 -> 1",
    ]);
  });

  test("is a 504 after its timeout, on the clock", async () => {
    const proxy = await scripted(
      `request_headers call up 250 - ${CALL}\nhttp_call_response pairs 6\nhttp_call_response buf 4 0 99`,
      CLUSTERS,
    );
    proxy.stream({ headers: GET });
    logged(proxy);
    proxy.advance(249.999);
    expect(proxy.calls).toHaveLength(1);
    proxy.advance(0.001);
    expect(logged(proxy)).toEqual([
      "http_call_response 1 4 3 24 0",
      "http_call_response 1: pairs 6 -> 0 :status=504 content-length=24 content-type=text/plain",
      "http_call_response 1: buf 4 0 99 -> 0 upstream%20request%20timeout@p",
    ]);
    expect(proxy.calls).toEqual([]);
  });

  test("never comes of itself without a timeout, and not twice", async () => {
    const proxy = await scripted(
      `request_headers call up 0 - ${CALL}\nrequest_headers call up 100 - ${CALL}`,
      CLUSTERS,
    );
    proxy.stream({ headers: GET });
    const [endless, answered] = proxy.calls;
    answered?.respond(OK);
    logged(proxy);
    proxy.advance(1_000_000);
    expect(logged(proxy)).toEqual([]);
    expect(proxy.calls).toEqual([endless]);
    expect(() => answered?.respond(OK)).toThrow("no longer waiting");
  });

  test("is a 503 where nothing listens", async () => {
    const proxy = await scripted(`request_headers call up 0 - ${CALL}\nhttp_call_response get 6 :status`, CLUSTERS);
    proxy.stream({ headers: GET });
    proxy.calls[0]?.refuse();
    expect(logged(proxy).slice(-2)).toEqual([
      "http_call_response 1 4 3 98 0",
      "http_call_response 1: get 6 :status -> 0 503@p",
    ]);
  });

  test.each(["a reset", "more than 32 MiB"])("has no headers for %s", async (what) => {
    const proxy = await scripted(
      `request_headers call up 0 - ${CALL}
       http_call_response pairs 6
       http_call_response get 6 :status
       http_call_response buf 4 0 9
       http_call_response status
       configure tick 1
       tick status`,
      CLUSTERS,
    );
    proxy.stream({ headers: GET });
    logged(proxy);
    if (what === "a reset") proxy.calls[0]?.fail();
    else proxy.calls[0]?.respond(OK, Buffer.alloc(32 * 1024 * 1024 + 1));
    proxy.advance(1);
    expect(logged(proxy)).toEqual([
      "http_call_response 1 4 0 0 0",
      "http_call_response 1: pairs 6 -> 0 none@0",
      "http_call_response 1: get 6 :status -> 2",
      "http_call_response 1: buf 4 0 9 -> 1",
      "http_call_response 1: status -> 0 11 reset@p",
      "tick 1",
      "tick 1: status -> 0 11 -@0",
    ]);
  });

  test("comes after the stream that asked has gone", async () => {
    const proxy = await scripted(`request_headers call up 0 - ${CALL}\nhttp_call_response effective 2`, CLUSTERS);
    proxy.stream({ headers: GET }).abort();
    logged(proxy);
    proxy.calls[0]?.respond(OK);
    expect(logged(proxy)).toEqual(["http_call_response 1 4 1 0 0", "http_call_response 1: effective 2 -> 2"]);
  });
});

describe("the clock", () => {
  test("ticks per root and VM, again and again, at the times of the period", async () => {
    const proxy = await scripted("configure tick 100\ntick clock 1", { workers: 2 });
    proxy.advance(250);
    const ticks = proxy.logs.filter((line) => line.message.startsWith("tick 1:"));
    const start = 1_000_000_000_000;
    expect(ticks.map((line) => `${line.vm} ${line.message}`)).toEqual([
      `main tick 1: clock 1 -> 0 ${start + 100e6}`,
      `worker 0 tick 1: clock 1 -> 0 ${start + 100e6}`,
      `worker 1 tick 1: clock 1 -> 0 ${start + 100e6}`,
      `main tick 1: clock 1 -> 0 ${start + 200e6}`,
      `worker 0 tick 1: clock 1 -> 0 ${start + 200e6}`,
      `worker 1 tick 1: clock 1 -> 0 ${start + 200e6}`,
    ]);
  });

  test("takes a new period from a tick, and 0 is none", async () => {
    const proxy = await scripted("configure tick 10\ntick tick 100\nrequest_headers tick 0");
    proxy.advance(109);
    expect(logged(proxy).filter((line) => line === "tick 1")).toHaveLength(1);
    proxy.advance(1);
    expect(logged(proxy).filter((line) => line === "tick 1")).toHaveLength(1);
    proxy.stream({ headers: GET });
    logged(proxy);
    proxy.advance(10_000);
    expect(logged(proxy)).toEqual([]);
  });

  test("has wall and monotonic time apart", async () => {
    const nowMs = Date.UTC(2026, 6, 1, 12);
    const proxy = await scripted("request_headers time\nrequest_headers clock 0\nrequest_headers clock 1", { nowMs });
    const read = (): string[] => {
      proxy.stream({ headers: GET });
      return logged(proxy)
        .filter((line) => line.includes("-> 0 "))
        .map((line) => line.slice(line.indexOf("-> 0 ") + 5));
    };
    expect(read()).toEqual([`${nowMs}000000`, `${nowMs}000000`, "1000000000000"]);
    proxy.advance(1.5);
    expect(read()).toEqual([`${nowMs + 1}500000`, `${nowMs + 1}500000`, "1000001500000"]);
    proxy.stepWall(-3_600_000);
    expect(read()).toEqual([`${nowMs - 3_600_000 + 1}500000`, `${nowMs - 3_600_000 + 1}500000`, "1000001500000"]);
    expect(proxy.clock.wallMs).toBe(nowMs - 3_600_000 + 1.5);
    expect(proxy.clock.monotonicMs).toBe(1_000_001.5);
  });

  test("keeps timers and timeouts in the order of their times", async () => {
    const proxy = await scripted(
      `configure tick 30\nconfigure call up 20 - ${CALL}\nconfigure call up 40 - ${CALL}`,
      CLUSTERS,
    );
    proxy.advance(40);
    expect(logged(proxy)).toEqual(["http_call_response 1 4 3 24 0", "tick 1", "http_call_response 1 8 3 24 0"]);
  });
});
