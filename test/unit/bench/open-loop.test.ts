import net, { type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { nodeGenerator } from "../../../bench/open-loop.js";
import { listen, type LocalServer } from "../../../shim/local/server.js";

const ANSWER = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const LOAD = { ratePerSec: 200, durationMs: 1000, host: "llm.example", headers: { accept: "*/*" } };

let server: LocalServer | undefined;

afterEach(() => server?.close());

async function serve(onRequest: (socket: Socket, count: number) => void): Promise<number> {
  let count = 0;
  server = await listen(
    net.createServer((socket) => {
      socket.on("error", () => undefined);
      socket.on("data", () => onRequest(socket, (count += 1)));
    }),
    "http",
  );
  return server.port;
}

test("sends as many requests as are due, and each is answered once", async () => {
  const port = await serve((socket) => socket.write(ANSWER));
  const { latencies_us, unanswered } = await nodeGenerator().send({ ...LOAD, port });
  expect(latencies_us).toHaveLength(200);
  expect(unanswered).toBe(0);
  expect(latencies_us.every((latency) => latency > 0)).toBe(true);
});

test("a service that halts makes every request slow that was due meanwhile, not just the one it halted at", async () => {
  const HALT_MS = 400;
  const halted: Socket[] = [];
  let isHalted = false;
  const port = await serve((socket, count) => {
    if (count === 50) {
      isHalted = true;
      setTimeout(() => {
        isHalted = false;
        for (const waiting of halted) waiting.write(ANSWER);
      }, HALT_MS);
    }
    if (isHalted) halted.push(socket);
    else socket.write(ANSWER);
  });
  const { latencies_us } = await nodeGenerator().send({ ...LOAD, port });
  expect(latencies_us).toHaveLength(200);
  // 80 were due in 400 ms; half of them had to wait for half of that or longer.
  expect(latencies_us.filter((latency) => latency >= (HALT_MS / 2) * 1000).length).toBeGreaterThanOrEqual(35);
});

test("answers that are no 200 are counted, and have no latency", async () => {
  const refused = "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n";
  const port = await serve((socket, count) => socket.write(count % 2 === 0 ? refused : ANSWER));
  const { latencies_us, unanswered } = await nodeGenerator().send({ ...LOAD, port });
  expect([latencies_us.length, unanswered]).toEqual([100, 100]);
});

test("a connection that ends, ends it", async () => {
  const port = await serve((socket) => socket.destroy());
  await expect(nodeGenerator().send({ ...LOAD, port })).rejects.toThrow();
});
