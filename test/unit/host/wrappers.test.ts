/** The wrappers that stand alone: a host function each. */
import { describe, expect, test } from "vitest";
import type { LogLevel } from "../../../shim/emulator/abi.js";
import { configure, GET, logged, OK, onRequest, scripted } from "../../support/script.js";

describe("headers", () => {
  test("absent and empty are told apart, and names do not run into each other", async () => {
    const lines = await onRequest(
      "header 0 x-empty\nheader 0 x-absent\nheader 0 x-emp\nheader 0 x-empty2\nheader 0 -",
      {},
      [...GET, ["x-empty", ""]],
    );
    expect(lines).toEqual([
      "header 0 x-empty -> 0 []",
      "header 0 x-absent -> 1 []",
      "header 0 x-emp -> 1 []",
      "header 0 x-empty2 -> 1 []",
      "header 0 - -> 1 []",
    ]);
  });

  test("are added, replaced and removed", async () => {
    const proxy = await scripted(
      [
        "add 0 x-a 1",
        "add 0 x-a 2",
        "replace 0 x-b 1",
        "add 0 x-c -",
        "replace 0 :path /new",
        "remove 0 x-gone",
        "remove 0 x-never",
      ]
        .map((line) => `request ${line}`)
        .join("\n"),
    );
    const stream = proxy.stream({ headers: [...GET, ["x-b", "7"], ["x-b", "8"], ["x-gone", "1"], ["x-gone", "2"]] });
    expect(logged(proxy).every((line) => line.endsWith("-> 0"))).toBe(true);
    expect(stream.requestHeaders?.filter(([name]) => name.startsWith("x-") || name === ":path").toSorted()).toEqual([
      [":path", "/new"],
      ["x-a", "1"],
      ["x-a", "2"],
      ["x-b", "1"],
      ["x-c", ""],
    ]);
  });

  test("of a repeated name are read as the first", async () => {
    expect(await onRequest("header 0 x-a", {}, [...GET, ["x-a", "1"], ["x-a", "2"]])).toEqual([
      "header 0 x-a -> 0 [1]",
    ]);
  });

  test("over the limit of their inbox are refused by the host, without a trap, and the next one is read", async () => {
    const lines = await onRequest("small-header 0 x-big\nsmall-header 0 x-fit\nheader 0 x-big", {}, [
      ...GET,
      ["x-big", "x".repeat(65)],
      ["x-fit", "x".repeat(64)],
    ]);
    expect(lines).toEqual([
      "small-header 0 x-big -> 6 []",
      `small-header 0 x-fit -> 0 [${"x".repeat(64)}]`,
      `header 0 x-big -> 0 [${"x".repeat(65)}]`,
    ]);
  });

  test("that the callback cannot reach are a bad argument, or none", async () => {
    expect(
      await onRequest(
        "header 2 :status\nadd 2 x-a 1\nreplace 2 x-a 1\nremove 2 x-a\npairs 2\nheader 99 x\npairs 6\nfind 2 :status",
      ),
    ).toEqual([
      "header 2 :status -> 2 []",
      "add 2 x-a 1 -> 2",
      "replace 2 x-a 1 -> 2",
      "remove 2 x-a -> 2",
      "pairs 2 -> 0 0",
      "header 99 x -> 2 []",
      "pairs 6 -> 0 0",
      "find -> none",
    ]);
  });

  test("are found by name in what was read whole", async () => {
    expect(await onRequest("find 0 :authority\nfind 0 x-no")).toEqual(["find -> a.example", "find -> none"]);
  });

  test("of the response are their own", async () => {
    const proxy = await scripted("response header 2 x-a\nresponse replace 2 x-a 2\nresponse add 2 x-b 3");
    const stream = proxy.stream({ headers: GET });
    expect(stream.respond([...OK, ["x-a", "1"]])?.headers).toEqual([
      [":status", "200"],
      ["x-a", "2"],
      ["x-b", "3"],
    ]);
    expect(logged(proxy)[0]).toBe("header 2 x-a -> 0 [1]");
  });
});

describe("shared data", () => {
  test("is created once, then replaced with the number just read", async () => {
    expect(
      await onRequest("get k\nset k one create\nset k two create\nget k\nset k three read\nset k four read\nget k"),
    ).toEqual([
      "get k -> 1 []",
      "set k one create -> 0",
      "set k two create -> 8",
      "get k -> 0 [one]",
      "set k three read -> 0",
      "set k four read -> 8",
      "get k -> 0 [three]",
    ]);
  });

  test("is never overwritten blindly: 0 is refused before the host sees it", async () => {
    const proxy = await scripted("request set k one 0\nrequest set k one create\nrequest set k two 0\nrequest get k");
    proxy.stream({ headers: GET });
    expect(logged(proxy)).toEqual([
      "set k one 0 -> 2",
      "set k one create -> 0",
      "set k two 0 -> 2",
      "get k -> 0 [one]",
    ]);
    expect(proxy.vm(0).hostCalls["env.proxy_set_shared_data"]).toBe(1);
  });

  test("may be empty, which is not absent", async () => {
    expect(await onRequest("set k - create\nget k\nget j")).toEqual([
      "set k - create -> 0",
      "get k -> 0 []",
      "get j -> 1 []",
    ]);
  });

  test("is seen by all workers", async () => {
    const proxy = await scripted("request get k\nrequest set k mine create", { workers: 2 });
    proxy.stream({ headers: GET, worker: 1 });
    proxy.stream({ headers: GET, worker: 0 });
    expect(logged(proxy)).toEqual(["get k -> 0 [mine]", "set k mine create -> 8"]);
  });
});

describe("metrics", () => {
  test("of the same name and kind are one, and are defined at the host once", async () => {
    const proxy = await scripted(
      "request define 0 a\nrequest define 1 a\nrequest define 2 a\nrequest define 0 b\nrequest define 0 a",
    );
    proxy.stream({ headers: GET });
    const ids = logged(proxy).map((line) => line.split(" -> ")[1]);
    expect(new Set(ids).size).toBe(4);
    expect(ids[4]).toBe(ids[0]);
    proxy.stream({ headers: GET });
    expect(logged(proxy).map((line) => line.split(" -> ")[1])).toEqual(ids);
    expect(proxy.vm(0).hostCalls["env.proxy_define_metric"]).toBe(4);
  });

  test("count up, go both ways, and record", async () => {
    const proxy = await scripted(
      "request increment 0 c 2\nrequest increment 1 g 3\nrequest increment 1 g -5\nrequest record h 7",
    );
    proxy.stream({ headers: GET });
    proxy.stream({ headers: GET });
    expect(proxy.metrics()).toEqual({
      counters: { c: 4 },
      gauges: { g: -4 },
      histograms: { h: { count: 2, sum: 14, values: [7, 7] } },
    });
  });

  test("that the host refuses have no id, and recording to them does nothing", async () => {
    const proxy = await scripted("request define 9 x\nrequest increment-id -1");
    proxy.stream({ headers: GET });
    expect(logged(proxy)).toEqual(["define 9 x -> -1"]);
    expect(proxy.vm(0).hostCalls["env.proxy_increment_metric"]).toBeUndefined();
  });

  test("are defined once a VM, not once a configuration, over a thousand of these", async () => {
    const names = Array.from({ length: 200 }, (_, i) => `configure define 0 metric-${i}`).join("\n");
    const proxy = await scripted(names, { logLevel: "critical" });
    const pages = proxy.vm(0).memoryPages();
    for (let i = 0; i < 1000; i++)
      configure(proxy, `${i % 50 === 0 ? names : "configure define 0 metric-7"}\nunused ${i}`);
    expect(proxy.vm(0).hostCalls["env.proxy_define_metric"]).toBe(200);
    expect(proxy.vm(0).memoryPages()).toBe(pages);
  });
});

describe("a property", () => {
  test("is its bytes, or not found", async () => {
    const properties = { "xds.filter_chain_name": "inbound-vip|80", "xds.empty": "" };
    expect(
      await onRequest("property xds.filter_chain_name\nproperty xds.empty\nproperty xds.nope\nproperty -", {
        properties,
      }),
    ).toEqual([
      "property xds.filter_chain_name -> 0 [inbound-vip|80]",
      "property xds.empty -> 0 []",
      "property xds.nope -> 1 []",
      "property - -> 3 []",
    ]);
  });
});

describe("a foreign function", () => {
  test("that is not there is not found; one without an answer leaves the inbox empty", async () => {
    expect(
      await onRequest("header 0 :path\nforeign nope x\nforeign clear_route_cache -\nforeign verify_signature x"),
    ).toEqual([
      "header 0 :path -> 0 [/]",
      "foreign nope x -> 1 []",
      "foreign clear_route_cache - -> 0 []",
      "foreign verify_signature x -> 2 []",
    ]);
  });
});

describe("the log", () => {
  test.each([
    ["trace", "111111"],
    ["debug", "011111"],
    ["info", "001111"],
  ] as const)("at %s tells what is worth putting together", async (logLevel: LogLevel, levels) => {
    expect(await onRequest("level", { logLevel })).toEqual([`level ${levels}`]);
  });

  test("has six levels", async () => {
    const proxy = await scripted([0, 1, 2, 3, 4, 5].map((level) => `request log ${level} m${level}`).join("\n"), {
      logLevel: "trace",
    });
    proxy.stream({ headers: GET });
    expect(proxy.logs.map(({ level, message }) => `${level} ${message}`)).toEqual([
      "trace m0",
      "debug m1",
      "info m2",
      "warn m3",
      "error m4",
      "critical m5",
    ]);
  });
});

describe("the clocks", () => {
  test("are two: a step of the wall clock leaves the monotonic one alone", async () => {
    const proxy = await scripted("request clocks");
    const read = (): bigint[] => {
      proxy.stream({ headers: GET });
      return (logged(proxy)[0] ?? "").split(" ").slice(1).map(BigInt);
    };
    const [monotonic = 0n, wall = 0n] = read();
    expect(wall).toBe(BigInt(Date.UTC(2026, 0, 1)) * 1_000_000n);
    proxy.advance(1.5);
    expect(read()).toEqual([monotonic + 1_500_000n, wall + 1_500_000n]);
    proxy.stepWall(-60_000);
    expect(read()).toEqual([monotonic + 1_500_000n, wall + 1_500_000n - 60_000_000_000n]);
  });
});
