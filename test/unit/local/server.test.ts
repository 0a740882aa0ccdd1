import net from "node:net";

import { describe, expect, it } from "vitest";

import { Failure } from "../../../shim/errors.js";
import { remember, startHttpServer } from "../../../shim/local/server.js";
import { closedAfterEach, send } from "./support.js";

const keep = closedAfterEach();

describe("a server of the local mesh", () => {
  it("says which port is taken and what to do", async () => {
    const first = await keep(startHttpServer((_, response) => void response.end()));
    const second = startHttpServer((_, response) => void response.end(), { port: first.port });
    await expect(second).rejects.toThrow(Failure);
    await expect(second).rejects.toThrow(`port ${first.port} on 127.0.0.1 is taken by another program`);
  });

  it("ends idle connections and answers under way when it is closed, also twice", async () => {
    const server = await keep(startHttpServer((_, response) => void response.write("begun")));
    const ends: Promise<void>[] = [];
    for (const beginning of ["", "GET / HTTP/1.1\r\nhost: x\r\n\r\n"]) {
      const socket = net.connect(server.port, "127.0.0.1").on("error", () => undefined);
      ends.push(new Promise((resolve) => socket.once("close", () => resolve())));
      await new Promise((resolve) => socket.once("connect", resolve));
      // The idle connection is accepted before the other's request is answered.
      if (beginning !== "") await new Promise((resolve) => socket.once("data", resolve).write(beginning));
      else socket.resume();
    }
    await server.close();
    await server.close();
    await Promise.all(ends);
    await expect(send(server.origin, "/")).rejects.toThrow("ECONNREFUSED");
  });

  it("answers 500 where its handler throws, and cuts off an answer that had begun", async () => {
    const server = await keep(
      startHttpServer((request, response) => {
        if (request.url === "/late") response.writeHead(200).write("begun");
        throw new Error("secret");
      }),
    );
    expect(await send(server.origin, "/")).toMatchObject({ status: 500, body: "" });
    await expect(send(server.origin, "/late")).rejects.toThrow();
  });

  it("keeps a log bounded by dropping its oldest entries", () => {
    const log: number[] = [];
    for (let entry = 0; entry < 10_005; entry++) remember(log, entry);
    expect(log).toHaveLength(10_000);
    expect(log[0]).toBe(5);
  });
});
