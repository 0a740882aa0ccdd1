import { generateKeyPairSync, sign } from "node:crypto";
import { describe, expect, test } from "vitest";
import { GET, OK, logged, scripted } from "./guest.js";

/** Runs operations when a request arrives, and gives what each answered: "STATUS RESULT". */
async function answers(script: string, options: Parameters<typeof scripted>[1] = {}): Promise<string[]> {
  const operations = script.trim().split("\n");
  const proxy = await scripted(operations.map((line) => `request_headers ${line.trim()}`).join("\n"), options);
  proxy.stream({ headers: GET, properties: { "xds.cluster_name": "outbound|80||a", "request.empty": "" } });
  return logged(proxy)
    .filter((line) => line.includes("->"))
    .map((line) => line.slice(line.indexOf("-> ") + 3));
}

describe("shared data", () => {
  test("is written with the number last read, or with 0; a new key takes any number", async () => {
    expect(
      await answers(`
        sget k
        sset k v 4294967295
        sget k
        sset k w 7
        sset k w 1
        sget k
        sset k - 0
        sget k`),
    ).toEqual(["1", "0", "0 v@p cas 1", "8", "0", "0 w@p cas 2", "0", "0 -@0 cas 3"]);
  });

  test("is one for all VMs, and the test can read and write it", async () => {
    const proxy = await scripted("request_headers sget k\nrequest_headers sset k %00%FF 0", { workers: 2 });
    proxy.sharedData.set("k", Buffer.from("outside"));
    proxy.stream({ headers: GET, worker: 0 });
    proxy.stream({ headers: GET, worker: 1 });
    expect(logged(proxy, "worker 1")[2]).toBe("request_headers 2: sget k -> 0 %00%FF@p cas 2");
    expect(proxy.sharedData.get("k")).toEqual({ value: Buffer.from([0, 255]), cas: 3 });
    expect(proxy.sharedData.keys()).toEqual(["k"]);
  });
});

describe("metrics", () => {
  test("have a number of their own each time, and one value for a name", async () => {
    expect(
      await answers(`
        define 0 c
        define 0 c
        define 1 g
        define 2 h
        define 3 x
        increment 4 1
        increment 8 2
        metric 4
        metric 8`),
    ).toEqual(["0 4", "0 8", "0 5", "0 6", "2", "0", "0", "0 3", "0 3"]);
  });

  test("take what their kind allows", async () => {
    expect(
      await answers(`
        define 0 c
        define 1 g
        define 2 h
        increment 4 0
        increment 4 -1
        record 4 5
        metric 4
        increment 5 -3
        metric 5
        record 5 9
        metric 5
        increment 6 1
        record 6 9
        metric 6
        increment 12 1
        record 10 1
        metric 40
        increment 7 1
        record 7 1
        metric 7`),
    ).toEqual("0 4,0 5,0 6,2,2,0,0 5,0,0 18446744073709551613,0,0 9,2,0,2,1,1,1,2,1,2".split(","));
  });

  test("are counted over all VMs of the process", async () => {
    const proxy = await scripted(
      "configure define 0 c\nconfigure define 2 h\nrequest_headers increment 4 2\nrequest_headers record 6 7",
      {
        workers: 2,
      },
    );
    for (const worker of [0, 1, 1]) proxy.stream({ headers: GET, worker });
    expect(proxy.metrics()).toEqual({
      counters: { c: 6 },
      gauges: {},
      histograms: { h: { count: 3, sum: 21, values: [7, 7, 7] } },
    });
  });

  test("keep the latest values of a histogram, and count all", async () => {
    const proxy = await scripted("configure define 2 h\nrequest_headers record 6 1");
    for (let i = 0; i < 3000; i++) proxy.stream({ headers: GET }).respond(OK);
    const { h } = proxy.metrics().histograms;
    expect([h?.count, h?.sum]).toEqual([3000, 3000]);
    expect(h?.values.length).toBeLessThan(2000);
  });
});

describe("properties", () => {
  test("come from the stream, from the proxy, and from the plugin itself", async () => {
    const options = { properties: { "xds.cluster_name": "hidden", "xds.filter_chain_name": "chain" }, vmId: "vm" };
    expect(
      await answers(
        `prop xds.cluster_name
         prop xds.filter_chain_name
         prop xds.filter_chain_name.
         prop xds.route_name
         prop request.empty
         prop plugin_name
         prop plugin_root_id
         prop plugin_vm_id
         prop -`,
        options,
      ),
    ).toEqual(["0 outbound|80||a@p", "0 chain@p", "0 chain@p", "1", "0 -@0", "0 hopgate@p", "0 -@0", "0 vm@p", "3"]);
  });

  test("that the guest sets are read by the same path, on the same stream", async () => {
    const proxy = await scripted(`
      request_headers setprop mine value
      response_headers prop mine
      configure setprop mine root
      configure prop plugin_root_id
      configure prop xds.filter_chain_name`);
    proxy.configure({
      config:
        "configure setprop mine root\nconfigure prop xds.filter_chain_name\nrequest_headers prop mine\nrequest_headers setprop mine value\nresponse_headers prop mine",
    });
    proxy.stream({ headers: GET }).respond(OK);
    expect(logged(proxy).filter((line) => line.includes("->"))).toEqual([
      "configure 2: setprop mine root -> 1",
      "configure 2: prop xds.filter_chain_name -> 1",
      "request_headers 3: prop mine -> 1",
      "request_headers 3: setprop mine value -> 0",
      "response_headers 3: prop mine -> 0 value@p",
    ]);
  });
});

describe("verify_signature", () => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const der = publicKey.export({ format: "der", type: "spki" });
  const pem = publicKey.export({ format: "pem", type: "spki" });
  const good = sign("sha256", Buffer.from("text"), privateKey);

  /** VerifySignatureArguments as hex. */
  function args(fields: [field: number, value: Uint8Array | string][]): string {
    const parts = fields.map(([field, value]) => {
      const bytes = Buffer.from(value as Uint8Array);
      return Buffer.concat([Buffer.from([field * 8 + 2, (bytes.length & 127) | 128, bytes.length >> 7]), bytes]);
    });
    return Buffer.concat(parts).toString("hex");
  }

  /** VerifySignatureResult { error } with status 0. */
  function failure(message: string): string {
    return `0 ${Buffer.concat([Buffer.from([0x12, message.length]), Buffer.from(message)]).toString("hex")}`;
  }

  test("says 08 01 for a signature that holds, and status 0 for one that does not", async () => {
    const forged = Buffer.from(good);
    forged[7] = (forged[7] ?? 0) ^ 1;
    expect(
      await answers(`
        foreign verify_signature ${args([
          [1, "sha256"],
          [2, der],
          [3, good],
          [4, "text"],
        ])}
        foreign verify_signature ${args([
          [1, "SHA256"],
          [5, pem],
          [3, good],
          [4, "text"],
        ])}
        foreign verify_signature ${args([
          [1, "sha256"],
          [2, der],
          [3, forged],
          [4, "text"],
        ])}
        foreign verify_signature ${args([
          [1, "sha256"],
          [2, der],
          [3, good],
          [4, "texts"],
        ])}
        foreign verify_signature ${args([
          [1, "sha256"],
          [2, der],
          [4, "text"],
        ])}`),
    ).toEqual(["0 0801", "0 0801", ...Array<string>(3).fill(failure("Failed to verify digest. Error code: 0"))]);
  });

  test("names an unknown hash and a key that is none in its result", async () => {
    expect(
      await answers(`
        foreign verify_signature ${args([
          [1, "md5"],
          [2, der],
        ])}
        foreign verify_signature ${args([
          [1, "sha256"],
          [2, "not a key"],
        ])}`),
    ).toEqual([failure("md5 is not supported."), failure("Failed to initialize digest verify.")]);
  });

  test("refuses arguments that are broken, without a key, or with two", async () => {
    expect(
      await answers(`
        foreign verify_signature ff
        foreign verify_signature -
        foreign verify_signature ${args([
          [1, "sha256"],
          [3, good],
          [4, "text"],
        ])}
        foreign verify_signature ${args([
          [1, "sha256"],
          [2, der],
          [5, pem],
          [3, good],
          [4, "text"],
        ])}`),
    ).toEqual(["2 -", "2 -", "2 -", "2 -"]);
  });

  test("holds everything where the test says so", async () => {
    const forged = args([
      [1, "sha256"],
      [2, der],
      [3, "x"],
      [4, "text"],
    ]);
    expect(await answers(`foreign verify_signature ${forged}`, { signatures: "accept" })).toEqual(["0 0801"]);
  });
});

describe("other foreign functions", () => {
  test("are not found, without touching the result", async () => {
    expect(await answers("foreign nope 00")).toEqual(["1 untouched"]);
  });

  test("clear the route cache", async () => {
    const proxy = await scripted("request_headers foreign clear_route_cache -");
    expect(proxy.stream({ headers: GET }).routeCacheClears).toBe(1);
  });

  test("set filter state that Envoy knows", async () => {
    const path = Buffer.from("envoy.tcp_proxy.cluster");
    const args = Buffer.concat([Buffer.from([0x0a, path.length]), path, Buffer.from([0x12, 1, 0x61])]).toString("hex");
    const proxy = await scripted(
      `request_headers foreign set_envoy_filter_state ${args}\nrequest_headers foreign set_envoy_filter_state 0a0161`,
    );
    const stream = proxy.stream({ headers: GET });
    expect([...stream.filterState]).toEqual([["envoy.tcp_proxy.cluster", "a"]]);
    expect(logged(proxy).at(-1)).toMatch(/-> 1 -$/);
  });
});

describe("the log", () => {
  test("keeps lines from its level on, which the guest can read", async () => {
    const proxy = await scripted(
      "request_headers log 1 debug\nrequest_headers log 3 warn%ing\nrequest_headers log 6 off\nrequest_headers level",
      {
        logLevel: "warn",
      },
    );
    proxy.stream({ headers: GET });
    expect(proxy.logs).toEqual([{ level: "warn", message: "warn%ing", vm: "worker 0" }]);
  });

  test("takes stdout as info and stderr as error, and nothing else", async () => {
    const proxy = await scripted(
      "request_headers write 1 out\nrequest_headers write 2 err\nrequest_headers write 3 none",
    );
    proxy.stream({ headers: GET });
    expect(proxy.logs.slice(2).map((line) => `${line.level} ${line.message}`)).toEqual([
      "info out",
      "info request_headers 2: write 1 out -> 0 4",
      "error err",
      "info request_headers 2: write 2 err -> 0 4",
      "info request_headers 2: write 3 none -> 8",
    ]);
  });
});

describe("WASI", () => {
  test("has two clocks, random bytes, no arguments and no environment", async () => {
    expect(
      await answers(`
        clock 2
        clockres 0
        clockres 1
        clockres 3
        random 64
        random 65537
        environ
        args
        exit 1
        level`),
    ).toEqual(["58", "0 1", "0 1", "58", "0", "28", "0", "0", "0", "0 2"]);
  });
});
