import { describe, expect, test } from "vitest";
import { GET, OK, logged, scripted } from "./guest.js";

/** The lines of one kind of operation, without the event and the context. */
function results(lines: string[], operation: string): string[] {
  return lines.filter((line) => line.includes(`: ${operation}`)).map((line) => line.slice(line.indexOf(": ") + 2));
}

describe("request headers", () => {
  test("are read by name in any case, the first of several values, absent and empty apart", async () => {
    const proxy = await scripted(`
      request_headers get 0 host
      request_headers get 0 :authority
      request_headers get 0 X-Two
      request_headers get 0 x-none
      request_headers get 0 x-empty`);
    proxy.stream({ headers: [...GET, ["X-Two", "one"], ["x-two", "two"], ["x-empty", ""]] });
    expect(results(logged(proxy), "get")).toEqual([
      "get 0 host -> 0 a.example@p",
      "get 0 :authority -> 0 a.example@p",
      "get 0 X-Two -> 0 one@p",
      "get 0 x-none -> 1",
      "get 0 x-empty -> 0 -@0",
    ]);
  });

  test("of which Envoy keeps one value are joined by a comma", async () => {
    const proxy = await scripted("request_headers get 0 authorization\nrequest_headers pairs 0");
    proxy.stream({
      headers: [
        ["host", "a"],
        ["host", "b"],
        ["Authorization", "x"],
        ["authorization", "y"],
        ["x-a", "1"],
        ["x-a", "2"],
      ],
    });
    expect(logged(proxy).slice(2)).toEqual([
      "request_headers 2: get 0 authorization -> 0 x,y@p",
      "request_headers 2: pairs 0 -> 0 :authority=a,b authorization=x,y x-a=1 x-a=2",
    ]);
  });

  test("keep their bytes", async () => {
    const proxy = await scripted("request_headers get 0 x-raw\nrequest_headers set 0 x-%FF %00%80%FF");
    const stream = proxy.stream({ headers: [...GET, ["x-raw", "\u00e9\u0000\u00ff"]] });
    expect(results(logged(proxy), "get")).toEqual(["get 0 x-raw -> 0 %E9%00%FF@p"]);
    expect(stream.requestHeader("x-\u00ff")).toBe("\u0000\u0080\u00ff");
  });

  test("are written: replaced ones move to the end, pseudo headers stay in front", async () => {
    const proxy = await scripted(`
      request_headers add 0 X-Two three
      request_headers set 0 x-first set
      request_headers set 0 :path /changed
      request_headers del 0 :scheme
      request_headers del 0 x-gone
      request_headers set 0 Host b.example
      request_headers add 0 :new 1`);
    const stream = proxy.stream({
      headers: [...GET, ["x-first", "1"], ["x-two", "one"], ["x-two", "two"], ["x-gone", "1"], ["x-gone", "2"]],
    });
    expect(stream.requestHeaders).toEqual([
      [":method", "GET"],
      [":path", "/changed"],
      [":authority", "b.example"],
      [":new", "1"],
      ["x-two", "one"],
      ["x-two", "two"],
      ["x-two", "three"],
      ["x-first", "set"],
    ]);
    expect(stream.routeCacheClears).toBe(7);
  });

  test("are replaced as a whole, and emptied by pairs that are broken", async () => {
    const proxy = await scripted(
      "request_headers setpairs 0 b=2 :a=1\nrequest_headers pairs 0\nrequest_headers setrawpairs 0 02000000",
    );
    const stream = proxy.stream({ headers: GET });
    expect(results(logged(proxy), "pairs")).toEqual(["pairs 0 -> 0 :a=1 b=2"]);
    expect(stream.requestHeaders).toEqual([]);
  });

  test("are measured in bytes", async () => {
    const proxy = await scripted("request_headers size 0");
    proxy.stream({
      headers: [
        ["ab", "cde"],
        ["f", ""],
      ],
    });
    expect(results(logged(proxy), "size")).toEqual(["size 0 -> 0 6"]);
  });

  test("are gone once the request has gone on", async () => {
    const proxy = await scripted(`
      response_headers get 0 :path
      response_headers set 0 a b
      response_headers pairs 0
      response_headers size 0
      done get 0 :path`);
    const stream = proxy.stream({ headers: GET });
    stream.respond(OK);
    expect(logged(proxy).filter((line) => line.includes("->"))).toEqual([
      "response_headers 2: get 0 :path -> 2",
      "response_headers 2: set 0 a b -> 2",
      "response_headers 2: pairs 0 -> 0 none@0",
      "response_headers 2: size 0 -> 2",
      "done 2: get 0 :path -> 2",
    ]);
    expect(stream.routeCacheClears).toBe(0);
  });

  test("and response headers can be read, not written, while the access log is written", async () => {
    const proxy = await scripted(`
      log get 0 :path
      log get 0 nope
      log get 1 nope
      log pairs 2
      log set 2 a b
      log size 2`);
    proxy.stream({ headers: GET }).respond(OK);
    expect(logged(proxy).filter((line) => line.includes("->"))).toEqual([
      "log 2: get 0 :path -> 0 /@p",
      "log 2: get 0 nope -> 1",
      "log 2: get 1 nope -> 1",
      "log 2: pairs 2 -> 0 :status=200",
      "log 2: set 2 a b -> 2",
      "log 2: size 2 -> 2",
    ]);
  });

  test("cannot be had from a root, nor can maps and buffers that do not exist", async () => {
    const proxy = await scripted(`
      request_headers get 8 a
      request_headers buf 9 0 1
      request_headers get 2 :status
      request_headers pairs 7
      request_headers set 6 a b
      request_headers get 4 a
      request_headers buf 4 0 1
      request_headers bufstatus 0
      request_headers setbuf 0 0 0 x
      request_headers setbuf 6 0 0 x
      request_headers setbuf 7 0 0 x`);
    proxy.stream({ headers: GET });
    expect(
      logged(proxy)
        .slice(2)
        .map((line) => line.slice(19)),
    ).toEqual([
      "get 8 a -> 2",
      "buf 9 0 1 -> 2",
      "get 2 :status -> 2",
      "pairs 7 -> 0 none@0",
      "set 6 a b -> 2",
      "get 4 a -> 2",
      "buf 4 0 1 -> 1",
      "bufstatus 0 -> 0 0 0",
      "setbuf 0 0 0 x -> 2",
      "setbuf 6 0 0 x -> 2",
      "setbuf 7 0 0 x -> 1",
    ]);
  });
});
