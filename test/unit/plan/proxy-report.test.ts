import { describe, expect, it } from "vitest";
import { judge, lastError, reportIn } from "../../../shim/plan/proxy-report.js";

/** As a proxy of Istio's answers `/stats/prometheus`: with the labels that it was told to make, with some, and with none. */
const TAGGED = `# TYPE envoy_cluster_upstream_cx_rx_bytes_total counter
envoy_cluster_upstream_cx_rx_bytes_total{cluster_name="xds-grpc"} 105096
hopgate_requests{hop="front-door",backend="llm",result="ok"} 7
hopgate_requests{hop="front-door",backend="kb",result="ok"} 2
hopgate_requests{hop="front-door",backend="kb",result="token_unavailable"} 1
hopgate_token_fetches{hop="front-door",result="ok"} 3
hopgate_token_fetches{hop="front-door",result="bad_status"} 1
hopgate_key_fetches{hop="front-door",result="cluster_missing"} 2
envoy_server_concurrency{} 2
hopgate_config{hop="front-door",config="70717618",module="77a8ce8b94268f1c"} 3
hopgate_config{hop="front-door",config="00000000",module="77a8ce8b94268f1c"} 0
hopgate_config_timestamp_seconds{hop="front-door",config="00000000",module="77a8ce8b94268f1c"} 1795600000
hopgate_config_timestamp_seconds{hop="front-door",config="70717618",module="77a8ce8b94268f1c"} 1795680000
hopgate_request_error_timestamp_seconds{hop="front-door",result="token_unavailable"} 1795680123
hopgate_token_fetch_error_timestamp_seconds{hop="front-door",result="bad_status"} 1795680122
`;
const HALF_TAGGED = `envoy_server_concurrency{} 2
hopgate_config_module___77a8ce8b94268f1c___{hop="front-door",config="70717618"} 3
`;
const UNTAGGED = `envoy_server_concurrency{} 2
hopgate_requests_hop___front_door___backend___kb___result___token_unavailable___{} 4
hopgate_config_hop___front_door___config___70717618___module___77a8ce8b94268f1c___{} 3
hopgate_config_timestamp_seconds_hop___front_door___config___70717618___module___77a8ce8b94268f1c___{} 1795680000
hopgate_key_fetch_error_timestamp_seconds_hop___front_door___result___reset___{} 1795680001
`;

const EXPECTED = { hop: "front-door", config: "70717618", module: "77a8ce8b94268f1c" };

describe("what a proxy says about itself", () => {
  it("is read from its metrics", () => {
    expect(reportIn(TAGGED)).toEqual({
      workers: 2,
      running: [{ hop: "front-door", config: "70717618", module: "77a8ce8b94268f1c", vms: 3, sinceSec: 1_795_680_000 }],
      configurationBytes: 105096,
      requests: { ok: 9, token_unavailable: 1 },
      tokenFetches: { ok: 3, bad_status: 1 },
      keyFetches: { cluster_missing: 2 },
      errors: [
        { hop: "front-door", what: "request", code: "token_unavailable", atSec: 1_795_680_123 },
        { hop: "front-door", what: "token fetch", code: "bad_status", atSec: 1_795_680_122 },
      ],
      hasLabels: true,
    });
  });

  it("is the same where labels stayed in the names, but for the hyphens", () => {
    expect(reportIn(UNTAGGED)).toMatchObject({
      workers: 2,
      running: [{ hop: "front_door", config: "70717618", module: "77a8ce8b94268f1c", vms: 3, sinceSec: 1_795_680_000 }],
      errors: [{ hop: "front_door", what: "key fetch", code: "reset", atSec: 1_795_680_001 }],
      requests: { token_unavailable: 4 },
      hasLabels: false,
    });
  });

  it("has labels only where every one of them is a label", () => {
    expect(reportIn(HALF_TAGGED).hasLabels).toBe(false);
  });

  it("is nothing that could steer a terminal: whoever runs a Pod with the labels says what they like", () => {
    const text = TAGGED.replace('config="70717618"', 'config="\x1b[2Jok"').replace("bad_status", "\x1b[2Jok");
    const { running, errors } = reportIn(text.replace('result="bad_status"} 1795', 'result="\x1b[2J"} 1795'));
    expect(running).toMatchObject([{ hop: "front-door", config: "?", module: "77a8ce8b94268f1c", vms: 3 }]);
    expect(errors.map(({ code }) => code)).toEqual(["token_unavailable"]);
    const forged = 'hopgate_requests{hop="front-door",result="\x1b]0;x\x07ok"} 5\n';
    expect(reportIn(TAGGED + forged).requests).toEqual({ ok: 9, token_unavailable: 1 });
  });

  it("is read in time that grows as the text does, whatever stands in it", () => {
    const long = [`x{${"a".repeat(1 << 20)}} 1`, `hopgate_${"_".repeat(1 << 20)}a 1`, "hop___".repeat(1 << 17)];
    const many = Array.from({ length: 20_000 }, () => `hopgate_${"hop___".repeat(30)}{${"a".repeat(200)}} 1`);
    const startMs = performance.now();
    expect(reportIn([...long, ...many, TAGGED].join("\n")).workers).toBe(2);
    expect(performance.now() - startMs).toBeLessThan(10_000);
  });

  it("is nothing where there is nothing", () => {
    expect(reportIn("")).toEqual({
      workers: undefined,
      running: [],
      configurationBytes: 0,
      requests: {},
      tokenFetches: {},
      keyFetches: {},
      errors: [],
      hasLabels: undefined,
    });
  });
});

describe("a proxy is", () => {
  it.each([TAGGED, HALF_TAGGED, UNTAGGED])(
    "loaded when each worker and the main thread run what is expected",
    (text) => {
      expect(judge(EXPECTED, reportIn(text))).toMatchObject({ state: "loaded", reason: "" });
    },
  );

  it("not loaded while one worker does not run it", () => {
    const { state, reason } = judge(EXPECTED, reportIn(TAGGED.replace('1c"} 3', '1c"} 2')));
    expect({ state, reason }).toEqual({ state: "other", reason: "2 of 3 VMs run it so far" });
  });

  it("not loaded with another configuration, or with another build that has the same", () => {
    expect(judge({ ...EXPECTED, config: "11111111" }, reportIn(TAGGED)).state).toBe("other");
    const { state, reason } = judge({ ...EXPECTED, module: "0".repeat(16) }, reportIn(TAGGED));
    expect(state).toBe("other");
    expect(reason).toContain("it runs configuration 70717618 of module 77a8ce8b94268f1c");
  });

  it("absent without a filter of this hop, also where there is one of another", () => {
    expect(judge({ ...EXPECTED, hop: "other" }, reportIn(TAGGED)).state).toBe("absent");
    expect(judge(EXPECTED, reportIn("envoy_server_concurrency{} 2\n")).state).toBe("absent");
  });

  it("unknown, not loaded, where it does not say how many workers it has", () => {
    expect(judge(EXPECTED, reportIn(TAGGED.replace(/^envoy_server_concurrency.*$/m, ""))).state).toBe("unknown");
  });

  it("loaded while an old configuration ends its last streams", () => {
    expect(judge(EXPECTED, reportIn(TAGGED.replace('1c"} 0', '1c"} 1'))).state).toBe("loaded");
  });
});

describe("of a proxy is told", () => {
  it("since when it runs what it runs, as expected or not; nothing where it does not say", () => {
    expect(judge(EXPECTED, reportIn(TAGGED)).sinceSec).toBe(1_795_680_000);
    expect(judge({ ...EXPECTED, config: "11111111" }, reportIn(TAGGED)).sinceSec).toBe(1_795_680_000);
    expect(judge(EXPECTED, reportIn(HALF_TAGGED)).sinceSec).toBeUndefined();
  });

  it("what failed last at that hop, whichever of request and fetch", () => {
    expect(lastError(reportIn(TAGGED), "front-door")).toMatchObject({ what: "request", code: "token_unavailable" });
    expect(lastError(reportIn(UNTAGGED), "front-door")).toMatchObject({ what: "key fetch", code: "reset" });
    expect(lastError(reportIn(TAGGED), "other")).toBeUndefined();
  });
});
