/** How often a request crosses into the host: most of what the filter costs. Exact, so that every change is seen. */
import { describe, expect, test } from "vitest";
import type { Emulator } from "../../../shim/emulator/emulator.js";
import type { Headers } from "../../../shim/emulator/pairs.js";
import { answered, KB, LLM, oneRoute, pluginConfig, send, warmFilter } from "../../support/filter.js";

const CLOCK = "wasi_snapshot_preview1.clock_time_get";
const PAIRS = "env.proxy_get_header_map_pairs";
const READ = "env.proxy_get_header_map_value";
const ADD = "env.proxy_add_header_map_value";
const REPLACE = "env.proxy_replace_header_map_value";
const REMOVE = "env.proxy_remove_header_map_value";
const COUNT = "env.proxy_increment_metric";
const RECORD = "env.proxy_record_metric";

/** What every served request costs: the clock at both ends of both phases, all headers at once, the metrics. */
const BASE = { [CLOCK]: 4, [PAIRS]: 1, [COUNT]: 1, [RECORD]: 4 };

/** Host calls of the second of two equal requests: the first one defines the metrics. */
function crossings(
  proxy: Emulator,
  authority: string,
  request: Headers = [],
  response: Headers = [],
): Record<string, number> {
  const one = (): void => void answered(send(proxy, authority, request), response);
  one();
  const calls = proxy.vm(0).hostCalls;
  const before = { ...calls };
  one();
  const difference = Object.entries(calls).map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
  return Object.fromEntries(difference.filter(([, count]) => count > 0));
}

describe("a request", () => {
  test("with a token, at an edge that tells nobody its time: three writes", async () => {
    const proxy = await warmFilter();
    // The backend, the token, the stamp; and the report of a hop behind goes.
    expect(crossings(proxy, KB)).toEqual({ ...BASE, [ADD]: 2, [REPLACE]: 1, [REMOVE]: 1 });
  });

  test("to the cluster, at an edge that tells nobody its time: two writes", async () => {
    expect(crossings(await warmFilter(), LLM)).toEqual({ ...BASE, [ADD]: 2, [REMOVE]: 1 });
  });

  test("with a token, at an edge that tells its time", async () => {
    const proxy = await warmFilter(pluginConfig({ timing: { expose: "always" } }));
    expect(crossings(proxy, KB)).toEqual({ ...BASE, [ADD]: 2 + 1, [REPLACE]: 1, [REMOVE]: 1 });
  });

  test("at an inner hop", async () => {
    const proxy = await warmFilter(pluginConfig({ edge: false }));
    expect(crossings(proxy, LLM)).toEqual({ ...BASE, [ADD]: 2, [REPLACE]: 1 });
  });

  test("at an inner hop with another behind it", async () => {
    const proxy = await warmFilter(oneRoute({ through: "agents" }, { edge: false }));
    expect(crossings(proxy, KB, [], [["x-hopgate-timing", "agents;dur=1.000"]])).toEqual({
      ...BASE,
      [ADD]: 2,
      [REPLACE]: 1,
      [READ]: 1,
    });
  });

  test("at a waypoint: the service is one property more", async () => {
    const proxy = await warmFilter(oneRoute({}, { edge: false, match: "service" }), {
      properties: { "xds.filter_chain_name": `a|80|http|${KB}` },
    });
    expect(crossings(proxy, "any.example")).toEqual({
      ...BASE,
      [ADD]: 2,
      [REPLACE]: 1,
      ["env.proxy_get_property"]: 1,
    });
  });

  test("that no route matches", async () => {
    // Whatever is behind may be a hop, but an edge that tells nobody need not read its report.
    expect(crossings(await warmFilter(), "other.example")).toEqual({ ...BASE, [ADD]: 1, [REMOVE]: 1 });
  });

  test("on a bypassed path costs the clock once and its headers once", async () => {
    const proxy = await warmFilter(pluginConfig({ bypass: [{ path: "/v1/answers" }] }));
    // And nobody's word about time is passed on.
    expect(crossings(proxy, LLM)).toEqual({ [CLOCK]: 1, [PAIRS]: 1, [REMOVE]: 1 });
  });

  test("with forged headers: one removal each, and what the hop says replaces what may be there", async () => {
    const forged: Headers = [
      ["x-hopgate-backend", "a"],
      ["x-hopgate-caller", "b"],
      ["x-hopgate-c", "d"],
    ];
    expect(crossings(await warmFilter(), LLM, forged)).toEqual({ ...BASE, [REPLACE]: 2, [REMOVE]: 1 + 3 });
  });

  test("with a hundred more headers: no more", async () => {
    const noise: Headers = Array.from({ length: 100 }, (_, i) => [`x-noise-${i}`, "n".repeat(30)]);
    expect(crossings(await warmFilter(), KB, noise)).toEqual({ ...BASE, [ADD]: 2, [REPLACE]: 1, [REMOVE]: 1 });
  });
});

test("an idle worker reads two clocks a second and does nothing else", async () => {
  const proxy = await warmFilter();
  proxy.advance(1000);
  const calls = proxy.vm(0).hostCalls;
  const before = { ...calls };
  proxy.advance(10_000);
  const difference = Object.entries(calls).map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
  expect(Object.fromEntries(difference.filter(([, count]) => count > 0))).toEqual({
    [CLOCK]: 10,
    ["env.proxy_get_current_time_nanoseconds"]: 10,
  });
});
