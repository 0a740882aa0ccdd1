import { loadMesh } from "../../shim/config/load.js";
import { parseMesh } from "../../shim/config/parse.js";
import { type Caller, validatorsOn } from "../../shim/local/callers.js";
import { type LocalMesh, type LocalMeshOptions, startLocalMesh } from "../../shim/local/mesh.js";
import { exampleConfigPath, wasmPath } from "../../shim/package-root.js";
import { type ClientResponse, request } from "../../shim/trace/client.js";
import { tracePath, type Trace } from "../../shim/trace/path.js";
import { parseServerTiming } from "../../shim/trace/server-timing.js";

export const TRACE_KEY = "change-me";

interface SendOptions {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly servername?: string;
  /** Default "allowed": where callers of the route are checked, one that is let in. */
  readonly caller?: Caller;
}

/** A local mesh under test, and requests to it. */
export interface MeshUnderTest extends LocalMesh {
  /** Sends to NAME.ai-platform.example.internal. */
  send(name: string, path?: string, init?: SendOptions): Promise<ClientResponse>;
}

/** Starts the shipped example, or `yaml`, with ports of its own. */
export async function startMesh(
  options: Omit<Partial<LocalMeshOptions>, "mesh"> & { readonly envoyPath: string; readonly yaml?: string },
): Promise<MeshUnderTest> {
  const { yaml, ...rest } = options;
  const mesh = yaml === undefined ? await loadMesh(exampleConfigPath()) : parseMesh(yaml, "test.yaml");
  const local = await startLocalMesh({ mesh, wasmPath: wasmPath(), port: 0, replacements: new Map(), ...rest });
  return Object.assign(local, {
    send: async (name: string, path = "/", { headers, caller = "allowed", ...init }: SendOptions = {}) => {
      const host = `${name}.ai-platform.example.internal`;
      const route = local.mesh.routes.find(({ hosts }) => hosts.includes(host.toLowerCase()));
      const validators = route === undefined ? [] : validatorsOn(local.mesh, route);
      return request({
        url: `https://${host}:${String(local.gateways[0].port)}${path}`,
        connectTo: { host: "127.0.0.1", port: local.gateways[0].port },
        ca: local.ca,
        headers: {
          "x-hopgate-trace": TRACE_KEY,
          ...(await local.callers.headersFor(validators, caller)),
          ...headers,
        },
        ...init,
      });
    },
  } satisfies Pick<MeshUnderTest, "send">);
}

export function traceOf(response: ClientResponse): Trace {
  return tracePath(parseServerTiming(response.serverTiming), response.times, ["ingress", "agents"]);
}

/** Waits until `condition` gives something, at most 15 s unless told otherwise. */
export async function eventually<T>(
  condition: () => Promise<T | undefined> | T | undefined,
  timeoutMs = 15_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  while (performance.now() < deadline) {
    const value = await condition();
    if (value !== undefined) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`it did not come true within ${String(timeoutMs / 1000)} s`);
}
