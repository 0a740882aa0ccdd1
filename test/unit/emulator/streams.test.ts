import { describe, expect, test } from "vitest";
import { GET, OK, logged, scripted } from "./guest.js";
import type { Headers } from "../../../shim/emulator/pairs.js";

const POST: Headers = [
  [":method", "POST"],
  [":path", "/"],
  [":authority", "a.example"],
];

/** The lines of one kind of operation, without the event and the context. */
function results(lines: string[], operation: string): string[] {
  return lines.filter((line) => line.includes(`: ${operation}`)).map((line) => line.slice(line.indexOf(": ") + 2));
}

describe("a paused request", () => {
  test("is changed and released from a tick through the effective context, and its body follows", async () => {
    const proxy = await scripted(`
      configure tick 300
      request_headers return 1
      request_body buf 0 1 3
      tick effective last
      tick set 0 x-late 1
      tick continue 0
      tick set 0 x-later 1
      tick effective 0
      tick get 0 :path
      tick effective 99`);
    const stream = proxy.stream({ headers: POST, endOfStream: false });
    stream.sendBody("hello");
    stream.sendBody(" you", true);
    expect([stream.paused, stream.action, stream.requestHeaders]).toEqual([true, "pause", undefined]);
    proxy.advance(300);
    expect(stream.requestHeader("x-late")).toBe("1");
    expect(stream.requestHeader("x-later")).toBeUndefined();
    expect([stream.paused, stream.action, stream.requestBody.toString()]).toEqual([false, "continue", "hello you"]);
    expect(logged(proxy).slice(2)).toEqual([
      "tick 1",
      "tick 1: effective last -> 0",
      "tick 1: set 0 x-late 1 -> 0",
      "tick 1: continue 0 -> 0",
      "tick 1: set 0 x-later 1 -> 2",
      "tick 1: effective 0 -> 0",
      "tick 1: get 0 :path -> 2",
      "tick 1: effective 99 -> 2",
      "request_body 2 9 1",
      "request_body 2: buf 0 1 3 -> 0 ell@p",
    ]);
  });

  test("that has gone is no effective context any more", async () => {
    const proxy = await scripted("configure tick 10\nrequest_headers return 1\ntick effective 2\ntick continue 0");
    proxy.stream({ headers: GET }).abort();
    logged(proxy);
    proxy.advance(10);
    expect(logged(proxy)).toEqual(["tick 1", "tick 1: effective 2 -> 2", "tick 1: continue 0 -> 0"]);
  });

  test("is the effective context until the callback returns, not in the next one", async () => {
    const proxy = await scripted(
      "configure tick 10\nrequest_headers return 1\nrequest_headers get 0 :method\ntick effective 2",
    );
    proxy.stream({ headers: GET });
    proxy.advance(10);
    proxy.stream({ headers: POST });
    expect(results(logged(proxy), "get")).toEqual(["get 0 :method -> 0 GET@p", "get 0 :method -> 0 POST@p"]);
  });

  test("is reset by proxy_close_stream", async () => {
    const proxy = await scripted("request_headers close 0\nrequest_headers return 1");
    const stream = proxy.stream({ headers: GET });
    expect([stream.ended, stream.reset, stream.response]).toEqual([true, true, undefined]);
  });

  test("cannot be answered by an upstream", async () => {
    const proxy = await scripted("request_headers return 1");
    const stream = proxy.stream({ headers: GET });
    expect(() => stream.respond(OK)).toThrow("has not been forwarded");
  });
});

describe("a response", () => {
  test("reaches the client as the guest left it, and only when the guest lets it", async () => {
    const proxy = await scripted(
      "configure tick 5\nresponse_headers return 1\ntick effective last\ntick set 2 x-b 2\ntick continue 1",
    );
    const stream = proxy.stream({ headers: GET });
    expect(stream.respond([...OK, ["X-A", "1"]], { body: "text" })).toBeUndefined();
    proxy.advance(5);
    expect(stream.response).toEqual({
      status: 200,
      headers: [
        [":status", "200"],
        ["x-a", "1"],
        ["x-b", "2"],
      ],
      body: Buffer.from("text"),
      trailers: undefined,
      complete: true,
    });
    expect(stream.ended).toBe(true);
  });

  test("streams chunk by chunk, with trailers at its end", async () => {
    const proxy = await scripted("response_trailers set 3 x-t 2");
    const stream = proxy.stream({ headers: GET });
    stream.respond(OK, { endOfStream: false });
    stream.respondBody("one ");
    expect(stream.response?.body.toString()).toBe("one ");
    stream.respondBody("two");
    expect(stream.response?.complete).toBe(false);
    stream.respondTrailers([["X-T", "1"]]);
    expect(stream.response).toMatchObject({ trailers: [["x-t", "2"]], complete: true });
    expect(stream.response?.body.toString()).toBe("one two");
    expect(logged(proxy)).toContain("response_trailers 2 1");
  });
});

describe("a body", () => {
  test("is shown whole to a guest that asks for a buffer, and may be changed", async () => {
    const proxy = await scripted(`
      configure tick 10
      request_body return 1
      request_body buf 0 0 99
      request_body setbuf 0 0 1 H
      request_body setbuf 0 99 0 !
      request_body setbuf 0 2 0 ?
      tick effective last
      tick buf 0 3 99
      tick continue 0`);
    const stream = proxy.stream({ headers: POST, endOfStream: false });
    stream.sendBody("he");
    stream.sendBody("llo", true);
    proxy.advance(10);
    expect(stream.requestBody.toString()).toBe("He!llo!");
    expect(logged(proxy).filter((line) => line.includes("buf 0"))).toEqual([
      "request_body 2: buf 0 0 99 -> 0 he@p",
      "request_body 2: setbuf 0 0 1 H -> 0",
      "request_body 2: setbuf 0 99 0 ! -> 0",
      "request_body 2: setbuf 0 2 0 ? -> 2",
      "request_body 2: buf 0 0 99 -> 0 He!llo@p",
      "request_body 2: setbuf 0 0 1 H -> 0",
      "request_body 2: setbuf 0 99 0 ! -> 0",
      "request_body 2: setbuf 0 2 0 ? -> 2",
      "tick 1: buf 0 3 99 -> 0 llo!@p",
    ]);
  });

  test("is read from where the guest says, and empty beyond its end", async () => {
    const proxy = await scripted(
      "request_body buf 0 2 1\nrequest_body buf 0 5 1\nrequest_body buf 0 9 9\nrequest_body bufstatus 0\nrequest_body buf 0 -1 -1",
    );
    proxy.stream({ headers: POST, endOfStream: false }).sendBody("hello", true);
    expect(
      logged(proxy)
        .slice(3)
        .map((line) => line.slice(16)),
    ).toEqual([
      "buf 0 2 1 -> 0 l@p",
      "buf 0 5 1 -> 0 -@0",
      "buf 0 9 9 -> 0 -@0",
      "bufstatus 0 -> 0 5 0",
      "buf 0 -1 -1 -> 0 -@0",
    ]);
  });

  test("ends with trailers that the guest can change", async () => {
    const proxy = await scripted("request_trailers get 1 X-T\nrequest_trailers add 1 y 2");
    const stream = proxy.stream({ headers: POST, endOfStream: false });
    stream.sendBody("hello");
    stream.sendTrailers([["x-t", "1"]]);
    expect(stream.requestTrailers).toEqual([
      ["x-t", "1"],
      ["y", "2"],
    ]);
    expect(results(logged(proxy), "get")).toEqual(["get 1 X-T -> 0 1@p"]);
  });
});

describe("a local reply", () => {
  test("stops the request, and passes response headers, log and delete of its stream", async () => {
    const proxy = await scripted(`
      request_headers reply 401 my%20details%09x body 16 X-One=1 content-type=application/problem+json content-length=99
      request_headers pairs 2
      request_headers return 0
      response_headers pairs 2
      response_headers get 0 :path
      response_headers set 2 x-edit 1
      response_body buf 1 0 99`);
    const stream = proxy.stream({ headers: POST, endOfStream: false });
    stream.sendBody("never seen", true);
    expect(logged(proxy)).toEqual([
      "context_create 2 1",
      "request_headers 2 3 0",
      expect.stringContaining("-> 0"),
      "request_headers 2: pairs 2 -> 0 none@0",
      "response_headers 2 4 0",
      "response_headers 2: pairs 2 -> 0 :status=401 x-one=1 content-type=application/problem+json content-length=4",
      "response_headers 2: get 0 :path -> 0 /@p",
      "response_headers 2: set 2 x-edit 1 -> 0",
      "response_body 2 4 1",
      "response_body 2: buf 1 0 99 -> 0 body@p",
      "log 2",
      "done 2",
      "delete 2",
    ]);
    expect(stream.localReply).toMatchObject({ status: 401, details: "my_details_x", grpcStatus: 16 });
    expect(stream.action).toBe("pause");
    expect(stream.response?.body.toString()).toBe("body");
    expect(stream.responseHeader("x-edit")).toBe("1");
    expect(stream.responseHeader("x-one")).toBe("1");
  });

  test("is text/plain unless the guest says otherwise, and has no body for HEAD", async () => {
    const proxy = await scripted("request_headers reply 503 - text -1");
    const headers: Headers = [
      [":method", "HEAD"],
      [":path", "/"],
      [":authority", "a"],
    ];
    const stream = proxy.stream({ headers });
    expect(stream.response).toMatchObject({
      status: 503,
      headers: [
        [":status", "503"],
        ["content-length", "4"],
        ["content-type", "text/plain"],
      ],
      body: Buffer.alloc(0),
    });
  });

  test("without a body has no content type", async () => {
    const proxy = await scripted("request_headers reply 404 - - -1 content-type=a/b");
    expect(proxy.stream({ headers: GET }).response?.headers).toEqual([[":status", "404"]]);
  });

  test.each([
    ["16", "16"],
    ["-1", "16"],
  ])("to gRPC is a trailers-only response (grpc status given: %s)", async (given, seen) => {
    const proxy = await scripted(`request_headers reply 401 - 100%25 ${given} x-one=1`);
    const stream = proxy.stream({ headers: [...POST, ["content-type", "application/grpc+proto"]] });
    expect(stream.response).toMatchObject({
      headers: [
        [":status", "200"],
        ["x-one", "1"],
        ["content-type", "application/grpc"],
        ["grpc-status", seen],
        ["grpc-message", "100%25"],
      ],
      body: Buffer.alloc(0),
      complete: true,
    });
  });

  test("counts once: the first of two while the request is in the guest", async () => {
    const proxy = await scripted("request_headers reply 200 a b -1\nrequest_headers reply 418 c d -1");
    expect(proxy.stream({ headers: GET }).response?.status).toBe(200);
  });

  test("is sent from a tick", async () => {
    const proxy = await scripted(
      "configure tick 10\nrequest_headers return 1\ntick effective last\ntick reply 503 a b -1 x=y",
    );
    const stream = proxy.stream({ headers: GET });
    proxy.advance(10);
    expect([stream.response?.status, stream.responseHeader("x"), stream.ended]).toEqual([503, "y", true]);
  });

  test("in place of response headers that are in the guest goes past it", async () => {
    const proxy = await scripted("response_headers reply 418 c d -1 a=b\nresponse_headers set 2 x-edit 1");
    const stream = proxy.stream({ headers: GET });
    expect(stream.respond(OK, { body: "text" })).toMatchObject({ status: 418, body: Buffer.from("d"), complete: true });
    expect(stream.responseHeader("x-edit")).toBeUndefined();
    expect(logged(proxy).filter((line) => line.startsWith("response_headers 2 "))).toHaveLength(1);
  });

  test("after the response headers have gone out is a reset", async () => {
    const proxy = await scripted("response_body reply 418 c d -1");
    const stream = proxy.stream({ headers: GET });
    stream.respond(OK, { body: "text" });
    expect([stream.response?.status, stream.response?.complete, stream.reset]).toEqual([200, false, true]);
  });
});
