import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { type Keeper, openKeeper } from "../../shim/envoy/keeper.js";
import { startEnvoy } from "../../shim/envoy/start.js";
import { startChat } from "../../shim/local/chat.js";
import { createKeySet } from "../../shim/local/keys.js";
import { startMetadataServer } from "../../shim/local/metadata-server.js";
import type { LocalServer } from "../../shim/local/server.js";
import { exampleConfigPath, wasmPath } from "../../shim/package-root.js";
import { request } from "../../shim/trace/client.js";
import { realEnvoy } from "../support/real-envoy.js";

const envoyPath = (await realEnvoy()) ?? "";
const EXAMPLE = join(dirname(exampleConfigPath()), "envoy-standalone.yaml");

let keeper: Keeper | undefined;
const servers: LocalServer[] = [];

afterEach(async () => {
  await keeper?.close();
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

describe.skipIf(envoyPath === "")("manifests/examples/envoy-standalone.yaml", { timeout: 60_000 }, () => {
  it("runs as it is, but for where things are on this machine", async () => {
    keeper = await openKeeper();
    const metadata = await startMetadataServer({ keys: await createKeySet(), email: "a@b.iam.gserviceaccount.com" });
    const llm = await startChat();
    servers.push(metadata, llm);
    const places: readonly [string, string][] = [
      ["port_value: 9901", "port_value: 0"],
      ["port_value: 10000", "port_value: 0"],
      ["port_value: 9000", `port_value: ${String(llm.port)}`],
      ["filename: build/hopgate.wasm", `filename: ${wasmPath()}`],
      ["address: metadata.google.internal, port_value: 80", `address: 127.0.0.1, port_value: ${String(metadata.port)}`],
      // Nothing listens there: what matters is that the request is not refused for want of a token.
      ["address: kb-abc123-uc.a.run.app, port_value: 443", "address: 127.0.0.1, port_value: 1"],
    ];
    let text = readFileSync(EXAMPLE, "utf8");
    for (const [from, to] of places) {
      expect(text).toContain(from);
      text = text.replace(from, to);
    }
    const dir = join(keeper.workDir, "standalone");
    mkdirSync(dir);
    writeFileSync(join(dir, "envoy.yaml"), text);
    const envoy = await startEnvoy({ keeper, envoyPath, hop: "ingress", dir, configPath: join(dir, "envoy.yaml") });
    const port = envoy.listeners.get("ingress")?.port ?? 0;
    const send = (host: string) =>
      request({ url: `http://${host}:${String(port)}/v1/models`, connectTo: { host: "127.0.0.1", port } });

    const chat = await send("llm.example.internal");
    expect(chat.status).toBe(200);
    expect(chat.serverTiming.at(-1)).toMatch(/^ingress;dur=/);
    const kb = await send("kb.example.internal");
    expect(kb.status).toBe(503);
    expect(kb.headers["x-hopgate-error"]).toBeUndefined();
    expect(metadata.requests.map(({ audience }) => audience)).toEqual(["https://kb-abc123-uc.a.run.app"]);
    expect(await envoy.admin.get("/stats/prometheus")).toMatch(
      /hopgate_requests\{hop="ingress",backend="llm",result="ok"\} 1/,
    );
  });
});
