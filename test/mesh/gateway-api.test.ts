import http2 from "node:http2";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { createCertificateAuthority } from "../../shim/local/ca.js";
import type { CloudRun } from "../../shim/local/cloud-run.js";
import type { LocalServer } from "../../shim/local/server.js";
import { wasmPath } from "../../shim/package-root.js";
import { type ClientResponse, request } from "../../shim/trace/client.js";
import { type Seen, seenHeader, startEcho, startHttp2Service } from "../support/echo.js";
import { frame, startCall } from "../support/grpc.js";
import { eventually } from "../support/local-mesh.js";
import { meshPrograms } from "../support/mesh-box.js";
import { Box } from "./box/box.js";
import { CALLER, deployToCloudRun, startGoogle } from "./box/google.js";
import type { Proxy } from "./box/proxy.js";
import { cloudRunHost, metadataServer, tlsSecret, wasmPlugin } from "./resources.js";

const programs = await meshPrograms();

const NAMESPACE = "gateways";
const KB_HOST = "kb-abc123-uc.a.run.app";
const GRPC = { ":status": 200, "content-type": "application/grpc" } as const;
const REPLICAS = ["grpc-0", "grpc-1", "grpc-2"];

describe.skipIf(programs === undefined)(
  "a gateway of the Gateway API, chosen by targetRefs, that runs the filter",
  () => {
    let box: Box;
    let gateway: Proxy;
    let cloudRun: CloudRun;
    const servers: LocalServer[] = [];
    let ca: string;

    const send = (name: string, scheme: "http" | "https" = "http"): Promise<ClientResponse> =>
      request({
        url: `${scheme}://${name}.example.internal/`,
        connectTo: { host: gateway.address, port: scheme === "http" ? 80 : 443 },
        ca,
      });

    const served = (name: string, scheme?: "http" | "https"): Promise<ClientResponse> =>
      eventually(async () => {
        const response = await send(name, scheme).catch(() => undefined);
        return response?.status === 200 ? response : undefined;
      });

    beforeAll(async () => {
      if (programs === undefined) return;
      box = await Box.open(programs);
      const mesh = await box.startMesh("mesh");
      const echo = await startEcho();
      const replicas = await Promise.all(REPLICAS.map(startReplica));
      servers.push(echo, ...replicas);
      const google = await startGoogle(box.outside);
      cloudRun = await deployToCloudRun(box.outside, google, {
        [KB_HOST]: { audiences: [`https://${KB_HOST}`], invokers: [CALLER], container: echo.origin },
      });
      await mesh.startService({ name: "llm", namespace: NAMESPACE, port: 80, servers: [echo] });
      await mesh.startService({ name: "grpc", namespace: NAMESPACE, port: 80, protocol: "grpc", servers: replicas });
      gateway = await mesh.startProxy({ kind: "gatewayApi", name: "edge", namespace: NAMESPACE });
      const authority = await createCertificateAuthority();
      ca = authority.certificate;
      await mesh.cluster.apply([
        tlsSecret(NAMESPACE, "serving", await authority.issue({ dnsNames: ["*.example.internal"] })),
        metadataServer(NAMESPACE),
        ...cloudRunHost(NAMESPACE, KB_HOST),
        {
          apiVersion: "networking.istio.io/v1",
          kind: "DestinationRule",
          metadata: { namespace: NAMESPACE, name: "grpc" },
          spec: {
            host: `grpc.${NAMESPACE}.svc.cluster.local`,
            trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN" } },
          },
        },
        edgeGateway(),
        httpRoute("llm", [{ name: "llm", port: 80 }]),
        httpRoute("grpc", [{ name: "grpc", port: 80 }]),
        httpRoute("kb", [{ group: "networking.istio.io", kind: "Hostname", name: KB_HOST, port: 80 }], KB_HOST),
        wasmPlugin(NAMESPACE, "edge", { gateway: "edge" }, await box.registry.push(wasmPath(), "hopgate", "test"), {
          hop: "edge",
          edge: true,
          routes: ["llm", "grpc", "kb"].map((name) => ({
            hosts: [`${name}.example.internal`],
            to: [{ backend: name, weight: 100 }],
            open: "a test",
          })),
          backends: { llm: {}, grpc: {}, kb: { token: { audience: `https://${KB_HOST}` } } },
          identity: { mode: "metadata", cluster: "outbound|80||metadata.google.internal" },
        }),
      ]);
      await served("llm");
    });

    afterAll(async () => {
      await box.close();
      await Promise.all(servers.map((server) => server.close()));
    });

    it("routes by host", async () => {
      const { body } = await send("llm");
      expect(seenHeader(JSON.parse(body) as Seen, "x-hopgate-path")).toEqual(["edge"]);
      expect((await send("nobody")).status).toBe(404);
    });

    it("adds the ID token of Cloud Run's service", async () => {
      await served("kb");
      expect(cloudRun.requests.at(-1)).toMatchObject({ host: KB_HOST, outcome: "forwarded" });
    });

    it("serves TLS with a certificate of a private authority, from a Secret", async () => {
      expect((await served("llm", "https")).status).toBe(200);
    });

    it("spreads the gRPC calls of one connection evenly over three replicas", async () => {
      const session = http2.connect(gateway.url);
      try {
        const servers: unknown[] = [];
        for (let index = 0; index < 9; index++) {
          const call = startCall(session, "grpc.example.internal", "/test.Service/Unary");
          call.stream.end(frame("question"));
          const headers = await call.headers;
          expect(headers).toMatchObject(GRPC);
          expect(await call.messages.next()).toBe("answer");
          expect(await call.trailers).toMatchObject({ "grpc-status": "0" });
          servers.push(headers["x-server"]);
        }
        // Round robin: each three calls in a row have all of them.
        expect([...servers.slice(0, 3)].sort()).toEqual(REPLICAS);
        expect(servers.slice(3)).toEqual([...servers.slice(0, 3), ...servers.slice(0, 3)]);
      } finally {
        session.destroy();
      }
    });
  },
);

/** A gRPC service that answers every call, and says in a header who it is. */
function startReplica(name: string): Promise<LocalServer> {
  return startHttp2Service((stream) => {
    stream.respond({ ...GRPC, "x-server": name }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.resume();
    stream.end(frame("answer"));
  });
}

function edgeGateway(): object {
  return {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "Gateway",
    metadata: { namespace: NAMESPACE, name: "edge" },
    spec: {
      gatewayClassName: "istio",
      listeners: [
        { name: "http", port: 80, protocol: "HTTP" },
        {
          name: "https",
          port: 443,
          protocol: "HTTPS",
          tls: { mode: "Terminate", certificateRefs: [{ name: "serving" }] },
        },
      ],
    },
  };
}

/** What matches the header that the filter sets. `hostname`: what the service is called by instead of the caller's word. */
function httpRoute(backend: string, backendRefs: readonly object[], hostname?: string): object {
  return {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: { namespace: NAMESPACE, name: backend },
    spec: {
      parentRefs: [{ name: "edge" }],
      rules: [
        {
          matches: [{ headers: [{ name: "x-hopgate-backend", value: backend }] }],
          ...(hostname === undefined ? {} : { filters: [{ type: "URLRewrite", urlRewrite: { hostname } }] }),
          backendRefs,
        },
      ],
    },
  };
}
