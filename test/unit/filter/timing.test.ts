import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Emulator } from "../../../shim/emulator/emulator.js";
import type { Headers } from "../../../shim/emulator/pairs.js";
import type { PluginConfig } from "../../../shim/render/plugin-config.js";
import {
  answerAll,
  answered,
  KB,
  LLM,
  oneRoute,
  pluginConfig,
  send,
  startFilter,
  valueOf,
} from "../../support/filter.js";

const INNER = "x-hopgate-timing";

/** One hop, one backend in the cluster. */
function hop(fields: Partial<PluginConfig> = {}, through = false): PluginConfig {
  return oneRoute(through ? { through: "agents" } : {}, { hop: "ingress", timing: { expose: "always" }, ...fields });
}

/** A request that the upstream answers after `ms`. */
function timed(proxy: Emulator, ms: number, response: Headers = [], request: Headers = [], authority = KB): Headers {
  const stream = send(proxy, authority, request);
  proxy.advance(ms);
  return answered(stream, response).headers;
}

describe("the numbers", () => {
  test.each([
    [0, "ingress;dur=0.000, ingress-upstream;dur=0.000"],
    [0.001, "ingress;dur=0.001, ingress-upstream;dur=0.001"],
    [0.0019, "ingress;dur=0.001, ingress-upstream;dur=0.001"],
    [12.402, "ingress;dur=12.402, ingress-upstream;dur=12.402"],
    [12.05, "ingress;dur=12.050, ingress-upstream;dur=12.050"],
    [999.999, "ingress;dur=999.999, ingress-upstream;dur=999.999"],
    [86_400_000, "ingress;dur=86400000.000, ingress-upstream;dur=86400000.000"],
  ])("after %d ms are %s", async (ms, expected) => {
    const proxy = await startFilter(hop());
    expect(valueOf(timed(proxy, ms), "server-timing")).toBe(expected);
  });

  test("tell the wait for a token apart from the service's time", async () => {
    const proxy = await startFilter(pluginConfig({ timing: { expose: "always" } }));
    const stream = send(proxy, KB);
    proxy.advance(20); // the worker's first tick takes the lease or waits for it
    proxy.advance(5);
    answerAll(proxy);
    proxy.advance(5); // the next tick finds the token
    expect(stream.paused).toBe(false);
    proxy.advance(7.5);
    const timing = valueOf(answered(stream).headers, "server-timing");
    expect(timing).toBe("ingress;dur=37.500, ingress-upstream;dur=7.500, ingress-wait;dur=30.000");
  });

  test("do not follow the wall clock", async () => {
    const proxy = await startFilter(hop());
    const stream = send(proxy, KB);
    proxy.stepWall(-600_000);
    proxy.advance(3);
    expect(valueOf(answered(stream).headers, "server-timing")).toBe("ingress;dur=3.000, ingress-upstream;dur=3.000");
  });

  test("of one request do not leak into the next", async () => {
    const proxy = await startFilter(pluginConfig({ timing: { expose: "always" } }));
    const waited = send(proxy, KB);
    proxy.advance(25);
    answerAll(proxy);
    proxy.advance(15);
    answered(waited);
    const next = timed(proxy, 2, [], [], KB);
    expect(valueOf(next, "server-timing")).toBe("ingress;dur=2.000, ingress-upstream;dur=2.000");
  });
});

describe("who is told", () => {
  const rows: [string, Partial<PluginConfig>, Headers, "server-timing" | typeof INNER | undefined][] = [
    ["an edge, never", { timing: { expose: "never" } }, [], undefined],
    ["an edge, by default", { timing: {} }, [], undefined],
    ["an edge, always", { timing: { expose: "always" } }, [], "server-timing"],
    ["an edge, trace, without the header", { timing: { expose: "trace", key: "k" } }, [], undefined],
    [
      "an edge, trace, with the key",
      { timing: { expose: "trace", key: "k" } },
      [["x-hopgate-trace", "k"]],
      "server-timing",
    ],
    [
      "an edge, trace, with a longer key",
      { timing: { expose: "trace", key: "k" } },
      [["x-hopgate-trace", "kk"]],
      undefined,
    ],
    [
      "an edge, trace, with the key in another case",
      { timing: { expose: "trace", key: "k" } },
      [["x-hopgate-trace", "K"]],
      undefined,
    ],
    [
      "an edge, trace, with an empty key",
      { timing: { expose: "trace", key: "k" } },
      [["x-hopgate-trace", ""]],
      undefined,
    ],
    ["an edge, trace, without a key configured", { timing: { expose: "trace" } }, [["x-hopgate-trace", ""]], undefined],
    ["an edge, never, with the key", { timing: { expose: "never", key: "k" } }, [["x-hopgate-trace", "k"]], undefined],
    ["an inner hop, never", { edge: false, timing: { expose: "never" } }, [], INNER],
    ["an inner hop, always", { edge: false, timing: { expose: "always" } }, [], "server-timing"],
    [
      "an inner hop, trace, with the key",
      { edge: false, timing: { expose: "trace", key: "k" } },
      [["x-hopgate-trace", "k"]],
      "server-timing",
    ],
    ["an inner hop, trace, without", { edge: false, timing: { expose: "trace", key: "k" } }, [], INNER],
  ];

  test.each(rows)("%s", async (_name, fields, request, expected) => {
    const headers = timed(await startFilter(hop(fields)), 1, [], request);
    for (const name of ["server-timing", INNER]) {
      expect(valueOf(headers, name)).toBe(
        name === expected ? "ingress;dur=1.000, ingress-upstream;dur=1.000" : undefined,
      );
    }
  });

  test("the trace key does not reach the upstream of an edge", async () => {
    const proxy = await startFilter(hop({ timing: { expose: "trace", key: "secret" } }));
    expect(send(proxy, KB, [["x-hopgate-trace", "secret"]]).requestHeader("x-hopgate-trace")).toBeUndefined();
  });

  test("the service's own Server-Timing stays in front", async () => {
    const headers = timed(await startFilter(hop()), 1, [["server-timing", "db;dur=5"]]);
    expect(headers.filter(([name]) => name === "server-timing").map(([, value]) => value)).toEqual([
      "db;dur=5",
      "ingress;dur=1.000, ingress-upstream;dur=1.000",
    ]);
  });
});

describe("what is behind", () => {
  const agents = "agents;dur=12.402, agents-upstream;dur=12.050, agents-wait;dur=0.310";
  const mine = "ingress;dur=1.000, ingress-upstream;dur=1.000";

  test("a hop's report is passed on to the client", async () => {
    const headers = timed(await startFilter(hop({}, true)), 1, [[INNER, agents]]);
    expect(valueOf(headers, "server-timing")).toBe(`${agents}, ${mine}`);
    expect(valueOf(headers, INNER)).toBeUndefined();
  });

  test("and by a hop to the hop in front", async () => {
    const headers = timed(await startFilter(hop({ edge: false, timing: {} }, true)), 1, [[INNER, agents]]);
    expect(headers.filter(([name]) => name === INNER)).toEqual([[INNER, `${agents}, ${mine}`]]);
  });

  test.each([
    ["edge", {}],
    ["inner", { edge: false, timing: {} }],
  ] as const)("a service's is dropped (%s)", async (_name, fields) => {
    const headers = timed(await startFilter(hop(fields)), 1, [
      [INNER, "forged;dur=1.000"],
      [INNER, "forged;dur=2.000"],
    ]);
    expect(JSON.stringify(headers)).not.toContain("forged");
    expect(JSON.stringify(headers)).toContain(mine);
  });

  test("an edge that tells nobody removes it in any case", async () => {
    for (const through of [true, false]) {
      const headers = timed(await startFilter(hop({ timing: {} }, through)), 1, [
        [INNER, agents],
        [INNER, agents],
      ]);
      expect(headers).toEqual([[":status", "200"]]);
    }
  });

  test("where no route matches, nobody knows what is behind, and its report is dropped", async () => {
    const headers = timed(await startFilter(hop()), 1, [[INNER, agents]], [], "other.example");
    expect(valueOf(headers, "server-timing")).toBe(mine);
  });

  test.each([
    "",
    " ",
    "agents",
    "agents;dur",
    "agents;dur=",
    "agents;dur=1",
    "agents;dur=.5",
    "agents;dur=1.",
    "agents;dur=-1.0",
    "agents;dur=1e3",
    "agents;dur=1.0;x",
    "agents;dur=1.0 ",
    " agents;dur=1.0",
    "agents;dur=1.0,b;dur=1.0",
    "agents;dur=1.0,  b;dur=1.0",
    "agents;dur=1.0, ",
    ",",
    "Agents;dur=1.0",
    "a_b;dur=1.0",
    "agents; dur=1.0",
    'agents;desc="x";dur=1.0',
    "agents;dur=1.0\r\nx: y",
    ";dur=1.0",
    "\xff;dur=1.0",
    "agents;dur=1.0\0",
    `${"a;dur=1.0, ".repeat(300)}a;dur=1.0`,
    "a".repeat(70_000),
  ])("a report of another shape is dropped whole: %.60j", async (report) => {
    const proxy = await startFilter(hop({}, true));
    expect(valueOf(timed(proxy, 1, [[INNER, report]]), "server-timing")).toBe(mine);
    expect(proxy.traps).toEqual([]);
  });

  test("a report of the longest shape is passed on, and eight hops of the longest names fit", async () => {
    const entries = Array.from({ length: 8 }, (_, i) => `${"h".repeat(62)}${i}`).flatMap((name) => [
      `${name};dur=99999999.999`,
      `${name}-upstream;dur=99999999.999`,
    ]);
    const report = entries.join(", ");
    const proxy = await startFilter(hop({ hop: "i".repeat(63) }, true));
    expect(valueOf(timed(proxy, 1, [[INNER, report]]), "server-timing")?.startsWith(`${report}, iii`)).toBe(true);
  });

  test("any well-formed report survives, byte by byte", async () => {
    const proxy = await startFilter(hop({}, true));
    const name = fc.stringMatching(/^[a-z0-9-]{1,20}$/);
    const entry = fc
      .tuple(name, fc.nat(), fc.nat(999_999))
      .map(([hopName, whole, fraction]) => `${hopName};dur=${whole}.${fraction}`);
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 20 }), (entries) => {
        const report = entries.join(", ");
        expect(valueOf(timed(proxy, 1, [[INNER, report]]), "server-timing")).toBe(`${report}, ${mine}`);
      }),
      { numRuns: 200, seed: 2 },
    );
  });
});

describe("the filter's own answers", () => {
  test("are timed, without an upstream", async () => {
    const proxy = await startFilter(hop({ unmatched: "reject" }));
    const stream = send(proxy, "other.example");
    expect(stream.responseHeader("server-timing")).toBe("ingress;dur=0.000, ingress-upstream;dur=0.000");
  });

  test("say how long the request was held", async () => {
    const proxy = await startFilter(pluginConfig({ edge: false }));
    const stream = send(proxy, KB);
    proxy.advance(30);
    proxy.calls[0]?.fail();
    proxy.advance(30);
    expect(stream.responseHeader(INNER)).toBe(
      "ingress;dur=40.000, ingress-upstream;dur=0.000, ingress-wait;dur=40.000",
    );
  });

  test("are not taken for the report of a hop behind", async () => {
    const proxy = await startFilter(
      oneRoute({ token: { audience: "https://a.example" }, through: "agents" }, { timing: { expose: "always" } }),
      { clusters: {} },
    );
    proxy.advance(20);
    expect(send(proxy, KB).responseHeader("server-timing")).toBe("ingress;dur=0.000, ingress-upstream;dur=0.000");
  });
});

test("the routes of a hop that nobody answers are not told", async () => {
  const proxy = await startFilter(pluginConfig());
  const stream = send(proxy, LLM);
  stream.abort();
  expect(stream.response).toBeUndefined();
});
