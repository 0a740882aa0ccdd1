import { describe, expect, test } from "vitest";
import { Emulator } from "../../../shim/emulator/emulator.js";
import { GET, OK, compileGuest, logged, scripted } from "./guest.js";

describe("a trap", () => {
  test("in the request is a 503 that the guest does not see, and so is every request after it", async () => {
    const proxy = await scripted("request_headers trap");
    const first = proxy.stream({ headers: GET });
    const second = proxy.stream({ headers: GET });
    expect([first.response?.status, second.response?.status]).toEqual([503, 503]);
    expect([first.ended, second.ended]).toEqual([true, true]);
    expect(first.localReply?.details).toBe("wasm_fail_stream");
    expect(logged(proxy)).toEqual(["context_create 2 1", "request_headers 2 4 1"]);
    expect(proxy.traps).toEqual([{ vm: "worker 0", callback: "proxy_on_request_headers", message: "unreachable" }]);
    expect(proxy.vm(0).failed).toBe(true);
  });

  test("wins over a local reply of the same callback", async () => {
    const proxy = await scripted("request_headers reply 418 - - -1\nrequest_headers trap");
    expect(proxy.stream({ headers: GET }).response?.status).toBe(503);
  });

  test("in one VM leaves the others alone", async () => {
    const proxy = await scripted("request_headers trap", { workers: 2 });
    proxy.stream({ headers: GET, worker: 0 });
    expect([proxy.vm(0).failed, proxy.vm(1).failed, proxy.vm("main").failed]).toEqual([true, false, false]);
  });

  test("leaves paused requests hanging, and their VM silent", async () => {
    const proxy = await scripted(
      "request_headers return 1\nconfigure tick 10\nconfigure call up 20 - :path=/ :method=GET :authority=a\ntick trap",
      {
        clusters: { up: "ok" },
      },
    );
    const stream = proxy.stream({ headers: GET });
    expect(stream.hangs).toBe(false);
    proxy.advance(1000);
    expect(stream.hangs).toBe(true);
    logged(proxy);
    proxy.advance(10_000);
    stream.abort();
    expect(proxy.logs).toEqual([]);
    expect(stream.ended).toBe(true);
  });

  test("lets go what was asked for before it", async () => {
    const proxy = await scripted(
      "request_headers return 1\nconfigure tick 10\ntick effective last\ntick continue 0\ntick trap",
    );
    const stream = proxy.stream({ headers: GET });
    proxy.advance(10);
    expect(stream.action).toBe("continue");
    expect(stream.respond(OK)?.status).toBe(503);
  });

  test("in the response headers is a 503, in the body a reset, in the log nothing that the client sees", async () => {
    const outcome = async (script: string): Promise<unknown[]> => {
      const proxy = await scripted(script);
      const stream = proxy.stream({ headers: GET });
      stream.respond(OK, { body: "text" });
      return [stream.response?.status, stream.response?.complete, stream.reset];
    };
    expect(await outcome("response_headers trap")).toEqual([503, true, false]);
    expect(await outcome("response_body trap")).toEqual([200, false, true]);
    expect(await outcome("log trap")).toEqual([200, true, false]);
  });

  test("is also a stack that overflows", async () => {
    const proxy = await scripted("request_headers recurse 0");
    expect(proxy.stream({ headers: GET }).response?.status).toBe(503);
    expect(proxy.traps[0]?.message).toContain("call stack");
  });
});

describe("after a trap", () => {
  test("FAIL_OPEN lets requests pass by the filter", async () => {
    const proxy = await scripted("request_headers trap", {}, { failStrategy: "open" });
    expect(proxy.stream({ headers: GET }).respond(OK)?.status).toBe(200);
    expect(proxy.stream({ headers: GET }).respond(OK)?.status).toBe(200);
  });

  test("FAIL_RELOAD makes a new VM for the next request, a second later at the earliest", async () => {
    const proxy = await scripted("request_headers set 0 a a\nresponse_headers trap", {}, { failStrategy: "reload" });
    proxy.advance(1000);
    proxy.stream({ headers: GET }).respond(OK);
    const failed = proxy.vm(0);
    expect(proxy.stream({ headers: GET }).requestHeader("a")).toBe("a");
    expect(proxy.vm(0)).not.toBe(failed);
    proxy.stream({ headers: GET }).respond(OK);
    expect(proxy.stream({ headers: GET }).response?.status).toBe(503);
    proxy.advance(999);
    expect(proxy.stream({ headers: GET }).response?.status).toBe(503);
    proxy.advance(1);
    expect(proxy.stream({ headers: GET }).action).toBe("continue");
  });

  test("a new configuration gets a new VM in place of the failed one", async () => {
    const proxy = await scripted("request_headers trap");
    proxy.stream({ headers: GET });
    logged(proxy);
    proxy.configure({ config: "request_headers set 0 a a" });
    expect(proxy.stream({ headers: GET }).requestHeader("a")).toBe("a");
    expect(logged(proxy)[0]).toBe("context_create 1 0");
  });
});

describe("the guest's allocator", () => {
  test("is called once for each result that is not empty", async () => {
    const proxy = await scripted(`
      request_headers mallocs
      request_headers get 0 :path
      request_headers get 0 x-empty
      request_headers get 0 x-none
      request_headers pairs 0
      request_headers pairs 2
      request_headers buf 0 0 9
      request_headers prop plugin_root_id
      request_headers mallocs`);
    proxy.stream({ headers: [...GET, ["x-empty", ""]] });
    expect(logged(proxy).at(-1)).toBe("request_headers 2: mallocs -> 0 2");
  });

  test.each(["fail", "outside"])("that answers nothing usable (%s) is an invalid memory access", async (mode) => {
    const proxy = await scripted(`
      request_headers malloc ${mode}
      request_headers get 0 :path
      request_headers pairs 0
      request_headers pairs 2
      request_headers prop plugin_name
      request_headers farword
      request_headers farname 0
      request_headers logfar`);
    proxy.stream({ headers: GET });
    const statuses = logged(proxy)
      .filter((line) => line.includes("->"))
      .map((line) => line.slice(line.indexOf("-> ") + 3));
    expect(statuses).toEqual(["6", "6", "0 none@0", "6", "6", "6", "6"]);
    expect(proxy.traps).toEqual([]);
  });

  test("may log, read the clock and grow the memory", async () => {
    const proxy = await scripted(`
      request_headers malloc grow
      request_headers get 0 :path
      request_headers pairs 0
      request_headers malloc log
      request_headers get 0 :path
      request_headers malloc clock
      request_headers get 0 :path`);
    const pages = proxy.vm(0).memoryPages();
    proxy.stream({ headers: GET });
    expect(logged(proxy).slice(2)).toEqual([
      "request_headers 2: get 0 :path -> 0 /@p",
      "request_headers 2: pairs 0 -> 0 :method=GET :path=/ :authority=a.example :scheme=http",
      "malloc 1",
      "request_headers 2: get 0 :path -> 0 /@p",
      "request_headers 2: get 0 :path -> 0 /@p",
    ]);
    expect(proxy.vm(0).memoryPages()).toBeGreaterThanOrEqual(pages + 2);
  });

  test.each([
    ["get", "restricted_callback: env.proxy_get_log_level"],
    ["trap", "unreachable"],
  ])("that does more (%s) fails the VM, and the guest goes on to the end of the callback", async (mode, message) => {
    const proxy = await scripted(`request_headers malloc ${mode}\nrequest_headers get 0 :path`);
    expect(proxy.stream({ headers: GET }).response?.status).toBe(503);
    expect(logged(proxy).at(-1)).toBe("request_headers 2: get 0 :path -> 6");
    expect(proxy.traps).toEqual([{ vm: "worker 0", callback: "malloc", message }]);
  });
});

describe("a module", () => {
  const MINIMAL =
    "export function proxy_abi_version_0_2_1(): void {}\nexport function malloc(n: i32): usize { return heap.alloc(n); }\n";

  test("needs no callback at all", async () => {
    const proxy = await Emulator.start({ module: await compileGuest(MINIMAL) });
    expect(proxy.configure({ config: "" })).toEqual({ accepted: true });
    const stream = proxy.stream({ headers: GET, endOfStream: false });
    stream.sendBody("hello", true);
    expect(stream.requestHeaders).toEqual([...GET]);
    expect(stream.requestBody.toString()).toBe("hello");
    expect(stream.respond(OK, { body: "text" })?.body.toString()).toBe("text");
    expect(proxy.vm(0).hostCalls).toEqual({});
  });

  test.each([
    [
      "imports what Envoy has not",
      `@external("env", "abort") declare function abort(a: i32): void;\n${MINIMAL}export function f(): void { abort(1); }`,
      "env.abort",
    ],
    [
      "has no allocator",
      "export function proxy_abi_version_0_2_1(): void {}",
      "neither malloc nor proxy_on_memory_allocate",
    ],
    [
      "speaks another ABI",
      "export function proxy_abi_version_0_2_0(): void {}\nexport function malloc(n: i32): usize { return 8; }",
      "proxy_abi_version_0_2_1",
    ],
    ["traps when it starts", `${MINIMAL}unreachable();`, "traps when it starts"],
    [
      "imports a function with other types",
      `@external("env", "proxy_increment_metric") declare function inc(id: i32, by: i32): i32;\n${MINIMAL}export function f(): void { inc(1, 1); }`,
      "imports proxy_increment_metric as ii:i, where Envoy has iI:i",
    ],
    [
      "exports a callback with other types",
      `${MINIMAL}export function proxy_on_tick(id: i32): i32 { return id; }`,
      "exports proxy_on_tick as i:i, where Envoy wants i:",
    ],
    [
      "asks at its start for more than it may",
      `@external("env", "proxy_get_log_level") declare function level(out: usize): i32;\n${MINIMAL}level(8);`,
      "traps when it starts",
    ],
  ])("that %s is not loaded", async (_what, source, message) => {
    await expect(compileGuest(source).then((module) => Emulator.start({ module }))).rejects.toThrow(message);
  });

  test("that is none is not loaded", async () => {
    await expect(Emulator.start({ module: Buffer.from("nonsense") })).rejects.toThrow("no WebAssembly");
  });

  test("may allocate by proxy_on_memory_allocate, and have its host calls counted", async () => {
    const proxy = await Emulator.start({
      module: await compileGuest(`
        @external("env", "proxy_get_header_map_value")
        declare function get(t: i32, k: usize, kn: i32, p: usize, n: usize): i32;
        export function proxy_abi_version_0_2_1(): void {}
        export function proxy_on_memory_allocate(n: i32): usize { return heap.alloc(n); }
        export function proxy_on_request_headers(id: i32, n: i32, end: i32): i32 {
          const name = memory.data<u8>([58, 112, 97, 116, 104]);
          const out = memory.data(8);
          return get(0, name, 5, out, out + 4) == 0 && load<u32>(out + 4) == 1 ? 0 : 1;
        }`),
    });
    proxy.configure({ config: "" });
    for (let i = 0; i < 3; i++) expect(proxy.stream({ headers: GET }).action).toBe("continue");
    expect(proxy.vm(0).hostCalls).toEqual({ "env.proxy_get_header_map_value": 3 });
  });
});
