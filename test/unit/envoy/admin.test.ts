import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

import { describe, expect, it, onTestFinished } from "vitest";

import { adminAt } from "../../../shim/envoy/admin.js";
import { Failure } from "../../../shim/errors.js";

/** An admin that gives each path its text, and 404 to every other. Its `host:port`. */
async function serve(answers: Record<string, string>): Promise<string> {
  const server = createServer((request, response) => {
    const body = answers[request.url ?? ""];
    response.writeHead(body === undefined ? 404 : 200).end(body ?? "unknown path\n");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("adminAt", () => {
  it("is ready only if the server is LIVE", async () => {
    expect(await adminAt(await serve({ "/ready": "LIVE\n" })).ready()).toBe(true);
    expect(await adminAt(await serve({ "/ready": "INITIALIZING\n" })).ready()).toBe(false);
    expect(await adminAt("127.0.0.1:1").ready()).toBe(false);
  });

  it("gives counters and gauges by name, and leaves histograms and texts out", async () => {
    const stats = [
      { name: "a.b", value: 3 },
      { name: "version_text", value: "1" },
      { histograms: { supported_quantiles: [] } },
    ];
    const admin = adminAt(await serve({ "/stats?format=json&filter=a%7C%5C.b%24": JSON.stringify({ stats }) }));
    expect(await admin.stats("a|\\.b$")).toEqual(new Map([["a.b", 3]]));
  });

  it("gives the sockets of listeners by name", async () => {
    const statuses = [
      { name: "https", local_address: { socket_address: { address: "127.0.0.1", port_value: 8443 } } },
      { name: "inner", local_address: { envoy_internal_address: { server_listener_name: "inner" } } },
    ];
    const admin = adminAt(await serve({ "/listeners?format=json": JSON.stringify({ listener_statuses: statuses }) }));
    expect(await admin.listeners()).toEqual(new Map([["https", { address: "127.0.0.1", port: 8443 }]]));
    expect(await adminAt(await serve({ "/listeners?format=json": "{}" })).listeners()).toEqual(new Map());
  });

  it("fails with the address where nobody answers, and with the status where it is not 200", async () => {
    await expect(adminAt("127.0.0.1:1").get("/stats")).rejects.toThrow("does not answer at http://127.0.0.1:1/stats");
    const address = await serve({});
    await expect(adminAt(address).get("/nothing")).rejects.toThrow(
      `http://${address}/nothing answered 404: unknown path`,
    );
    await expect(adminAt(address).get("/nothing")).rejects.toBeInstanceOf(Failure);
  });
});
