import { describe, expect, test } from "vitest";
import { GET, OK, logged, scriptGuest, scripted } from "./guest.js";
import { Emulator } from "../../../shim/emulator/emulator.js";

async function unconfigured(workers = 1): Promise<Emulator> {
  return Emulator.start({ module: scriptGuest, workers });
}

describe("a configuration", () => {
  test("runs in a throw-away VM, on the main thread and on each worker", async () => {
    const proxy = await unconfigured(2);
    expect(proxy.configure({ config: "x" })).toEqual({ accepted: true });
    const seen = proxy.logs.map(({ vm, message }) => `${vm}: ${message}`);
    expect(seen).toEqual(
      ["canary", "main", "worker 0", "worker 1"].flatMap((vm) => [
        `${vm}: context_create 1 0`,
        `${vm}: vm_start 1 0`,
        `${vm}: configure 1 1`,
      ]),
    );
  });

  test("that is new makes a new root in the same VMs, and the old one goes at once if it has no streams", async () => {
    const proxy = await scripted("");
    const vm = proxy.vm(0);
    proxy.configure({ config: "next" });
    expect(proxy.vm(0)).toBe(vm);
    expect(logged(proxy)).toEqual(["context_create 2 0", "vm_start 2 0", "configure 2 4", "done 1", "delete 1"]);
  });

  test("that is replaced stays until its last stream has ended", async () => {
    const proxy = await scripted("request_headers return 1");
    const old = proxy.stream({ headers: GET });
    proxy.configure({ config: "request_headers set 0 b b" });
    const fresh = proxy.stream({ headers: GET });
    expect([old.paused, fresh.requestHeader("b")]).toEqual([true, "b"]);
    expect(logged(proxy)).not.toContain("done 1");
    old.abort();
    expect(logged(proxy)).toEqual(["log 2", "done 2", "delete 2", "done 1", "delete 1"]);
    fresh.respond(OK);
    expect(logged(proxy).at(-1)).toBe("delete 4");
  });

  test("that is the same as the one in charge changes nothing", async () => {
    const proxy = await scripted("configure tick 1000");
    expect(proxy.configure({ config: "configure tick 1000" })).toEqual({ accepted: true });
    expect(proxy.logs).toEqual([]);
  });

  test("that is refused leaves the old one in charge, and is not asked again", async () => {
    const proxy = await scripted("request_headers set 0 a a");
    expect(proxy.configure({ config: "configure return 0" })).toEqual({ accepted: false });
    expect(proxy.logs.map((line) => line.vm)).toEqual(["canary", "canary", "canary"]);
    proxy.logs.length = 0;
    expect(proxy.configure({ config: "configure return 0" })).toEqual({ accepted: false });
    expect(proxy.logs).toEqual([]);
    expect(proxy.stream({ headers: GET }).requestHeader("a")).toBe("a");
  });

  test("is refused if the guest traps in it", async () => {
    const proxy = await unconfigured();
    expect(proxy.configure({ config: "configure trap" })).toEqual({ accepted: false });
    expect(proxy.traps).toEqual([{ vm: "canary", callback: "proxy_on_configure", message: "unreachable" }]);
  });

  test("is refused if proxy_on_vm_start says no", async () => {
    const proxy = await Emulator.start({ module: scriptGuest, vmConfiguration: "vm_start return 0" });
    expect(proxy.configure({ config: "" })).toEqual({ accepted: false });
  });

  test("leaves nothing behind in the throw-away VM but what it wrote for all", async () => {
    const proxy = await Emulator.start({ module: scriptGuest, clusters: { up: "ok" } });
    proxy.configure({
      config: "configure call up 0 - :path=/ :method=GET :authority=a\nconfigure tick 10\nconfigure sset k v 0",
    });
    expect(proxy.calls.map((call) => call.vm)).toEqual(["main", "worker 0"]);
    expect(proxy.sharedData.get("k")?.cas).toBe(3);
    proxy.logs.length = 0;
    proxy.advance(10);
    expect(proxy.logs.map((line) => `${line.vm} ${line.message}`)).toEqual(["main tick 1", "worker 0 tick 1"]);
  });

  test("answers 500 where there has never been one", async () => {
    const proxy = await unconfigured();
    const stream = proxy.stream({ headers: GET });
    expect(stream.response?.status).toBe(500);
    expect(stream.ended).toBe(true);
  });
});

describe("a root", () => {
  test("that is not done yet ticks on until it calls proxy_done", async () => {
    const proxy = await scripted("done return 0\nconfigure tick 100\ntick tick 0\ntick done");
    proxy.configure({ config: "other" });
    expect(logged(proxy)).toEqual(["context_create 2 0", "vm_start 2 0", "configure 2 5", "done 1"]);
    proxy.advance(100);
    expect(logged(proxy)).toEqual(["tick 1", "tick 1: tick 0 -> 0", "tick 1: done -> 0", "delete 1"]);
    proxy.advance(1000);
    expect(logged(proxy)).toEqual([]);
  });

  test("cannot be done before it was asked, and a stream cannot at all", async () => {
    const proxy = await scripted("request_headers done\nconfigure done");
    proxy.stream({ headers: GET });
    proxy.configure({ config: "configure done" });
    const done = logged(proxy).filter((line) => line.includes("done ->"));
    expect(done).toEqual(["request_headers 2: done -> 1", "configure 3: done -> 1"]);
  });

  test("that is deleted gets no callback of a call any more", async () => {
    const proxy = await scripted("configure call up 1000 - :path=/ :method=GET :authority=a", {
      clusters: { up: "ok" },
    });
    expect(proxy.calls).toHaveLength(2);
    proxy.remove();
    expect(proxy.calls).toEqual([]);
    logged(proxy);
    proxy.advance(5000);
    expect(proxy.logs).toEqual([]);
  });

  test("reads its configuration while it is configured, and not later", async () => {
    const proxy = await scripted("request_headers buf 7 0 9");
    proxy.configure({ config: "configure buf 7 10 3\ntick buf 7 0 9\nconfigure tick 1\ntick effective last" });
    proxy.stream({ headers: GET });
    proxy.advance(1);
    const reads = logged(proxy).filter((line) => line.includes("buf 7"));
    expect(reads).toEqual(["configure 2: buf 7 10 3 -> 0 buf@p", "tick 2: buf 7 0 9 -> 1"]);
  });
});

describe("a stream", () => {
  test("is created, logged, done and deleted, in this order", async () => {
    const proxy = await scripted("");
    proxy.stream({ headers: GET }).respond(OK, { body: "hello" });
    expect(logged(proxy)).toEqual([
      "context_create 2 1",
      "request_headers 2 4 1",
      "response_headers 2 1 0",
      "response_body 2 5 1",
      "log 2",
      "done 2",
      "delete 2",
    ]);
  });

  test("gets a fresh id in its VM each time, and each VM counts for itself", async () => {
    const proxy = await scripted("", { workers: 2 });
    const ids = [0, 0, 1].map((worker) => {
      const stream = proxy.stream({ headers: GET, worker });
      stream.respond(OK);
      return stream.contextId;
    });
    expect(ids).toEqual([2, 3, 2]);
  });

  test("belongs to the plugin that it was opened for", async () => {
    const proxy = await scripted("request_headers set 0 by one\nrequest_headers prop plugin_name");
    proxy.configure({
      name: "two",
      rootId: "root-2",
      config: "request_headers set 0 by two\nrequest_headers prop plugin_root_id",
    });
    expect(proxy.stream({ headers: GET }).requestHeader("by")).toBe("one");
    expect(proxy.stream({ headers: GET, plugin: "two" }).requestHeader("by")).toBe("two");
    const read = logged(proxy).filter((line) => line.includes("prop"));
    expect(read).toEqual([
      "request_headers 3: prop plugin_name -> 0 hopgate@p",
      "request_headers 4: prop plugin_root_id -> 0 root-2@p",
    ]);
  });

  test("that the client gives up is logged and deleted too", async () => {
    const proxy = await scripted("request_headers return 1");
    const stream = proxy.stream({ headers: GET });
    stream.abort();
    stream.abort();
    expect([stream.ended, stream.reset]).toEqual([true, true]);
    expect(logged(proxy).slice(2)).toEqual(["log 2", "done 2", "delete 2"]);
  });
});
