import { describe, expect, test } from "vitest";
import type { Emulator } from "../../../shim/emulator/emulator.js";
import { fingerprint } from "../../../shim/render/fingerprint.js";
import {
  answerAll,
  answered,
  KB,
  LLM,
  pluginConfig,
  reconfigure,
  send,
  startFilter,
  warmFilter,
} from "../../support/filter.js";

const requests = (backend: string, result: string): string =>
  `hopgate_requests.hop=.=ingress;.;backend=.=${backend};.;result=.=${result};.;`;
const histogram = (what: string, backend: string): string =>
  `hopgate_${what}_us.hop=.=ingress;.;backend=.=${backend};.;`;
const fetches = (result: string): string => `hopgate_token_fetches.hop=.=ingress;.;result=.=${result};.;`;
const waits = (result: string): string => `hopgate_token_waits.hop=.=ingress;.;result=.=${result};.;`;

/** The value of the gauge of the running configuration, by hop and fingerprint. */
function running(proxy: Emulator): Record<string, number> {
  return gauges(proxy, "hopgate_config.");
}

function gauges(proxy: Emulator, prefix: string): Record<string, number> {
  return Object.fromEntries(Object.entries(proxy.metrics().gauges).filter(([name]) => name.startsWith(prefix)));
}

describe("requests", () => {
  test("are counted by backend and result, and nothing else is", async () => {
    const proxy = await startFilter(pluginConfig({ unmatched: "reject" }));
    answered(send(proxy, LLM));
    answered(send(proxy, LLM));
    send(proxy, LLM).abort();
    send(proxy, "other.example");
    send(proxy, "a,b");
    send(proxy, KB, [["upgrade", "h2c"]]);
    send(proxy, KB).abort();
    const stream = send(proxy, KB);
    proxy.advance(20);
    proxy.calls[0]?.fail();
    proxy.advance(20);
    expect(stream.ended).toBe(true);
    expect(proxy.metrics().counters).toEqual({
      [requests("llm", "ok")]: 2,
      [requests("llm", "aborted")]: 1,
      [requests("_unmatched", "route_unmatched")]: 1,
      [requests("_unmatched", "host_invalid")]: 1,
      [requests("kb", "upgrade_unsupported")]: 1,
      [requests("kb", "aborted")]: 1,
      [requests("kb", "token_unavailable")]: 1,
      [fetches("reset")]: 1,
      [waits("refused")]: 1,
    });
  });

  test("that pass unmatched are counted as such", async () => {
    const proxy = await startFilter();
    answered(send(proxy, "other.example"));
    expect(proxy.metrics().counters).toEqual({ [requests("_unmatched", "ok")]: 1 });
  });

  test("with an error of the upstream were served by this hop", async () => {
    const proxy = await startFilter();
    send(proxy, LLM).respond([[":status", "503"]]);
    expect(proxy.metrics().counters).toEqual({ [requests("llm", "ok")]: 1 });
  });
});

describe("times", () => {
  test("are recorded in microseconds, self and stream apart", async () => {
    const proxy = await startFilter();
    const stream = send(proxy, LLM);
    proxy.advance(12.402);
    stream.respond([[":status", "200"]], { endOfStream: false });
    proxy.advance(100);
    stream.respondBody("x", true);
    const { histograms } = proxy.metrics();
    expect(histograms[histogram("total", "llm")]).toEqual({ count: 1, sum: 12_402, values: [12_402] });
    expect(histograms[histogram("upstream", "llm")]).toEqual({ count: 1, sum: 12_402, values: [12_402] });
    expect(histograms[histogram("self", "llm")]).toEqual({ count: 1, sum: 0, values: [0] });
    expect(histograms[histogram("stream", "llm")]).toEqual({ count: 1, sum: 112_402, values: [112_402] });
    expect(histograms[histogram("wait", "llm")]).toEqual({ count: 0, sum: 0, values: [] });
    expect(Object.keys(histograms)).toHaveLength(5);
  });

  test("of the wait are recorded where there was one", async () => {
    const proxy = await startFilter();
    const stream = send(proxy, KB);
    proxy.advance(25);
    answerAll(proxy);
    proxy.advance(5);
    proxy.advance(3);
    answered(stream);
    const { counters, histograms } = proxy.metrics();
    expect(histograms[histogram("wait", "kb")]).toEqual({ count: 1, sum: 30_000, values: [30_000] });
    expect(histograms[histogram("upstream", "kb")]?.values).toEqual([3_000]);
    expect(histograms[histogram("self", "kb")]?.values).toEqual([0]);
    expect(counters[waits("released")]).toBe(1);
    expect(counters[fetches("ok")]).toBe(1);
  });
});

describe("the running configuration", () => {
  test("is announced by each VM at its first tick, not before", async () => {
    const proxy = await startFilter(pluginConfig(), { workers: 2 });
    expect(running(proxy)).toEqual({});
    proxy.advance(20);
    const [name = "", ...others] = Object.keys(running(proxy));
    expect(others).toEqual([]);
    expect(name).toMatch(/^hopgate_config\.hop=\.=ingress;\.;config=\.=[0-9a-f]{8};\.;module=\.=[0-9a-f]{16};\.;$/);
    // Two workers and the main thread.
    expect(running(proxy)[name]).toBe(3);
    proxy.advance(10_000);
    expect(running(proxy)[name]).toBe(3);
  });

  test("goes with the last stream of the old one", async () => {
    const proxy = await startFilter(pluginConfig());
    proxy.advance(20);
    const [old = ""] = Object.keys(running(proxy));
    const stream = send(proxy, LLM);
    reconfigure(proxy, pluginConfig({ timing: { expose: "always" } }));
    proxy.advance(20);
    const fresh = Object.keys(running(proxy)).find((name) => name !== old) ?? "";
    expect(running(proxy)).toEqual({ [old]: 1, [fresh]: 2 });
    answered(stream);
    expect(running(proxy)).toEqual({ [old]: 0, [fresh]: 2 });
    proxy.remove();
    expect(running(proxy)).toEqual({ [old]: 0, [fresh]: 0 });
  });

  test("that went before its first tick is not taken off", async () => {
    const proxy = await startFilter(pluginConfig());
    reconfigure(proxy, pluginConfig({ hop: "second" }));
    proxy.advance(20);
    expect(Object.values(running(proxy))).toEqual([2]);
  });

  /** The fingerprint that a proxy reports for a text. */
  const reported = async (text: string): Promise<string | undefined> => {
    const proxy = await startFilter(text);
    proxy.advance(20);
    return /config=\.=([0-9a-f]+);/.exec(Object.keys(running(proxy)).join())?.[1];
  };
  const text = JSON.stringify(pluginConfig({ timing: { expose: "trace", key: 'a "b" \u00fc' } }));

  test("has another fingerprint with everything that it says", async () => {
    const texts = [
      text,
      text.replace("checked", "Checked"),
      text.replace(
        '"to":[{"backend":"llm","weight":100}]',
        '"to":[{"backend":"llm","weight":50},{"backend":"llm","weight":50}]',
      ),
      text.replace('"edge":true', '"edge":false'),
      text.replace('"edge":true,', ""),
      // Another place of the image, with nothing else to tell them apart.
      text.replace('"edge":true,', '"edge":true,"plugin":"0000000a",'),
      text.replace('"edge":true,', '"edge":true,"plugin":"0000000b",'),
      text.replace('"backends":{"llm":{}', '"backends":{"lln":{}').replace('"backend":"llm"', '"backend":"lln"'),
    ];
    const fingerprints = new Set(await Promise.all(texts.map(reported)));
    expect(fingerprints.size).toBe(texts.length);
  });

  test("has the same fingerprint in another order of members, with spaces, and with other escapes: Istio rewrites it", async () => {
    const { hop, ...others } = JSON.parse(text) as Record<string, unknown>;
    const turned = JSON.stringify({ ...others, hop }, null, 2)
      .replaceAll("\u00fc", "\\u00fc")
      .replaceAll("/", "\\/");
    expect(turned).not.toBe(text);
    expect(await reported(turned)).toBe(await reported(text));
  });

  test("has another fingerprint in another order of items: the arms of a route are drawn in theirs", async () => {
    const arms = '{"backend":"llm","weight":40},{"backend":"kb","weight":60}';
    const split = text
      .replace('{"backend":"llm","weight":100}', arms)
      .replace('"hosts":["llm', '"open":"a","hosts":["llm');
    const turned = split.replace(arms, '{"backend":"kb","weight":60},{"backend":"llm","weight":40}');
    expect(JSON.parse(turned)).not.toEqual(JSON.parse(split));
    expect(await reported(turned)).not.toBe(await reported(split));
  });

  test("has the fingerprint that the shim knows it by", async () => {
    expect(await reported(text)).toBe(fingerprint(text));
  });
});

describe("the time", () => {
  const nowSec = (proxy: Emulator): number => Math.floor(proxy.clock.wallMs / 1000);

  test("since which a configuration runs is that of its first tick", async () => {
    const proxy = await startFilter(pluginConfig());
    proxy.advance(20);
    const startedSec = nowSec(proxy);
    proxy.advance(60_000);
    const [name = ""] = Object.keys(running(proxy));
    expect(gauges(proxy, "hopgate_config_")).toEqual({
      [name.replace("hopgate_config", "hopgate_config_timestamp_seconds")]: startedSec,
    });
    expect(nowSec(proxy)).toBe(startedSec + 60);
  });

  test("of the last error is kept by its code, and neither success nor an abort is one", async () => {
    const proxy = await startFilter(pluginConfig({ unmatched: "reject" }));
    const error = (of: string, code: string): string =>
      `hopgate_${of}_error_timestamp_seconds.hop=.=ingress;.;result=.=${code};.;`;
    answered(send(proxy, LLM));
    send(proxy, LLM).abort();
    expect(gauges(proxy, "hopgate_request_error")).toEqual({});
    send(proxy, "other.example");
    const firstSec = nowSec(proxy);
    proxy.advance(5000);
    send(proxy, "other.example");
    // Nobody answered the fetch in the meantime.
    send(proxy, KB);
    proxy.advance(20);
    proxy.calls[0]?.fail();
    proxy.advance(20);
    expect(nowSec(proxy)).toBe(firstSec + 5);
    expect(gauges(proxy, "hopgate_request_error")).toEqual({
      [error("request", "route_unmatched")]: firstSec + 5,
      [error("request", "token_unavailable")]: firstSec + 5,
    });
    expect(gauges(proxy, "hopgate_token_fetch_error")).toEqual({ [error("token_fetch", "bad_status")]: firstSec + 5 });
  });
});

test("no label holds a byte of a request", async () => {
  const proxy = await warmFilter();
  const canary = "canary";
  for (const host of [`${canary}.example`, LLM, KB, `${canary},x`]) {
    const stream = send(proxy, host, [
      ["x-request-id", canary],
      ["authorization", canary],
      ["x-hopgate-backend", canary],
      ["x-hopgate-path", canary],
    ]);
    if (!stream.ended) answered(stream, [["x-hopgate-timing", `${canary};dur=1.0`]]);
  }
  expect(JSON.stringify(proxy.metrics())).not.toContain(canary);
});
