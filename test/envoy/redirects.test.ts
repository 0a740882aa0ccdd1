import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { LocalServer } from "../../shim/local/server.js";
import { audienceOf, type Seen, seenHeader, startEcho, startService } from "../support/echo.js";
import { rawRequest } from "../support/raw-http.js";
import { realEnvoy } from "../support/real-envoy.js";
import { type Standalone, startStandalone } from "./standalone.js";

const envoyPath = (await realEnvoy()) ?? "";

const KB = "https://kb-abc123-uc.a.run.app";
const OTHER = "https://other-abc123-uc.a.run.app";
const servers: LocalServer[] = [];
let hop: Standalone;
/** What the service in front of the redirect got. */
/** Requests that the redirecting service got. */
const redirected: Seen[] = [];

describe.skipIf(envoyPath === "")("a redirect that Envoy follows itself", () => {
  beforeAll(async () => {
    const echo = await startEcho();
    const moved = await startService((request, response) => {
      const { method = "", url = "", httpVersion, rawHeaders } = request;
      redirected.push({ method, url, httpVersion, rawHeaders, bytes: 0, sha256: "" });
      const location = new URL(url, "http://x").searchParams.get("to") ?? "";
      response.writeHead(302, { location }).end();
    });
    servers.push(echo, moved);
    const route = (name: string) => ({
      hosts: [`${name}.internal`],
      to: [{ backend: name, weight: 100 }],
      open: "a test",
    });
    hop = await startStandalone({
      envoyPath,
      config: {
        hop: "ingress",
        edge: true,
        routes: ["kb", "other", "llm"].map(route),
        backends: { kb: { token: { audience: KB } }, other: { token: { audience: OTHER } }, llm: {} },
        identity: {},
        bypass: [{ path: "/healthz" }],
      },
      services: { kb: moved, other: echo, llm: echo },
      passTo: echo,
      route: {
        internal_redirect_policy: {
          max_internal_redirects: 3,
          allow_cross_scheme_redirect: true,
        },
      },
    });
  });

  afterAll(async () => {
    await Promise.all([hop.close(), ...servers.map((server) => server.close())]);
  });

  async function follow(to: string, lines = ""): Promise<{ first: [string, string][]; second: Seen }> {
    redirected.length = 0;
    const wire = `GET /?to=${encodeURIComponent(to)} HTTP/1.1\r\nHost: kb.internal\r\n${lines}\r\n`;
    const { status, body } = await rawRequest(hop.port, wire);
    expect(status).toBe(200);
    const [redirecting] = redirected;
    if (redirecting === undefined) throw new Error("the first service got nothing");
    return { first: credentials(redirecting), second: JSON.parse(body.toString()) as Seen };
  }

  it("to another service carries that service's token, in the same header, and no other", async () => {
    const { first, second } = await follow("http://other.internal/next");
    expect(first).toEqual([["authorization", KB]]);
    expect(second.url).toBe("/next");
    expect(credentials(second)).toEqual([["authorization", OTHER]]);
    expect(seenHeader(second, "x-hopgate-backend")).toEqual(["other"]);
  });

  it("beside the caller's credential: that stays, and only that one counts as the caller's", async () => {
    const { first, second } = await follow("http://other.internal/next", "Authorization: Basic eDp5\r\n");
    expect(first).toEqual([
      ["authorization", "Basic eDp5"],
      ["x-serverless-authorization", KB],
    ]);
    expect(credentials(second)).toEqual([
      ["authorization", "Basic eDp5"],
      ["x-serverless-authorization", OTHER],
    ]);
  });

  it.each([
    ["a backend without a token", "http://llm.internal/next"],
    ["a host that no route matches", "http://nobody.internal/next"],
    ["a bypassed path", "http://llm.internal/healthz"],
  ])("to %s carries no token", async (what, to) => {
    // No hop of ours sets the backend of what it leaves alone, so that goes where the routes of the test pass it to.
    const { first, second } = await follow(to);
    expect(first).toEqual([["authorization", KB]]);
    expect(credentials(second)).toEqual([]);
    expect(seenHeader(second, "x-hopgate-backend")).toEqual(what.startsWith("a backend") ? ["llm"] : []);
    const own = await follow(to, "Authorization: Basic eDp5\r\n");
    expect(credentials(own.second)).toEqual([["authorization", "Basic eDp5"]]);
  });
});

/** Credential headers with the audience of a token, else with what they say. */
function credentials(seen: Seen): [string, string][] {
  return ["authorization", "x-serverless-authorization"].flatMap((name) =>
    seenHeader(seen, name).map((value): [string, string] => [name, audienceOf(value) ?? value]),
  );
}
