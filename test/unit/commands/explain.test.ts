import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Explanation } from "../../../shim/explain/path.js";
import { exampleConfigPath } from "../../../shim/package-root.js";
import { MESH } from "./mesh.js";
import { type Folder, hopgate, hopgateJson, isFilterBuilt, type Ran, temporaryFolder } from "./support.js";

let folder: Folder;
let file: string;

beforeAll(() => {
  folder = temporaryFolder();
  file = folder.write("hopgate.yaml", MESH);
});

afterAll(() => folder.remove());

function explained(url: string, ...more: readonly string[]): Promise<Explanation> {
  return hopgateJson("explain", url, "--config", file, ...more);
}

function explainedText(url: string, ...more: readonly string[]): Promise<Ran> {
  return hopgate("explain", url, "--config", file, ...more);
}

/** The cells of a row of the text, by their label. */
function row({ stdout }: Ran, label: string): string | undefined {
  return new RegExp(`^ {2}${label} +(.*)$`, "m").exec(stdout)?.[1];
}

describe.skipIf(!isFilterBuilt)("hopgate explain (needs build/hopgate.wasm)", () => {
  it("knows that the mesh around adds the tokens where identity is off", async () => {
    const off = folder.write("off.yaml", `${MESH}identity: { mode: off }\n`);
    const text = await hopgate("explain", "https://kb.example.internal/", "--config", off);
    expect(text).toMatchObject({ code: 0, stderr: "" });
    expect(row(text, "token")).toBe("none: identity.mode is off: hopgate adds none");
    expect((await hopgate("check", off)).stdout).toContain("no hop adds ID tokens");
  });

  it("names backend, cluster and why there is no token for a service of the cluster", async () => {
    const { backend, token, reply, hops } = await explained("https://llm.example.internal/v1/models?key=1");
    expect({ backend, token, reply }).toEqual({ backend: "llm", token: null, reply: null });
    expect(hops).toEqual([
      {
        hop: "ingress",
        kind: "gateway",
        edge: true,
        outcome: "routed",
        match: {
          by: "authority",
          name: "llm.example.internal",
          type: "exact",
          pattern: "llm.example.internal",
          nearest: null,
        },
        backend: "llm",
        arms: [{ backend: "llm", share_percent: 100 }],
        chosen_by: "only_arm",
        sticky: null,
        validators: [],
        open: null,
        token: null,
        no_token_because: "a service of the cluster needs none",
        removed_headers: [],
        set_headers: [
          { name: "x-hopgate-path", value: "ingress" },
          { name: "x-hopgate-backend", value: "llm" },
        ],
        cluster: "outbound|80||llm.llm-ns.svc.cluster.local",
        rewritten_authority: null,
        reply: null,
      },
    ]);
  });

  it("names the audience, the header of the token and the authority for Cloud Run", async () => {
    const { token, hops } = await explained("https://KB.example.internal.:8443/");
    expect(token).toEqual({ hop: "ingress", audience: "https://kb-abc123-uc.a.run.app", header: "authorization" });
    expect(hops[0]).toMatchObject({
      match: { type: "exact", name: "kb.example.internal" },
      cluster: "outbound|80||kb-abc123-uc.a.run.app",
      rewritten_authority: "kb-abc123-uc.a.run.app",
      open: "callers are checked elsewhere",
    });
  });

  it("uses the other header where the caller has an authorization of its own", async () => {
    const { token } = await explained("https://kb.example.internal/", "-H", "Authorization: Basic c2VjcmV0");
    expect(token?.header).toBe("x-serverless-authorization");
  });

  it("follows the request through the waypoint, which alone adds the token", async () => {
    const { backend, token, hops } = await explained("https://reports.example.internal/");
    expect(backend).toBe("reports");
    expect(token).toMatchObject({ hop: "agents", audience: "https://reports-abc123-uc.a.run.app" });
    expect(hops.map(({ hop, cluster }) => [hop, cluster])).toEqual([
      ["ingress", "outbound|80||reports-abc123-uc.a.run.app"],
      ["agents", "inbound-vip|80|http|reports-abc123-uc.a.run.app"],
    ]);
    expect(hops[0]?.no_token_because).toBe("hop agents behind this one adds it");
    expect(hops[1]?.match).toMatchObject({ by: "service", name: "reports-abc123-uc.a.run.app" });
    expect(hops[1]?.set_headers).toContainEqual({ name: "x-hopgate-path", value: "ingress,agents" });
  });

  it("takes the longest wildcard", async () => {
    const { hops } = await explained("https://a.eu.agents.example.internal/");
    expect(hops[0]?.match).toMatchObject({ type: "wildcard", pattern: "*.eu.agents.example.internal" });
  });

  it("says which arm a session has, and that the sticky header decides", async () => {
    const sessions = Array.from({ length: 40 }, (_, index) => `x-session-id: ${index}`);
    const first = await Promise.all(
      sessions.map((header) => explained("https://a.agents.example.internal/", "-H", header)),
    );
    const again = await Promise.all(
      sessions.map((header) => explained("https://b.agents.example.internal/", "-H", header)),
    );
    expect(first.map(({ backend }) => backend)).toEqual(again.map(({ backend }) => backend));
    expect(new Set(first.map(({ backend }) => backend))).toEqual(new Set(["kb", "llm"]));
    expect(first.every(({ hops: [hop] }) => hop?.chosen_by === "sticky")).toBe(true);
    for (const { backend, token } of first) expect(token !== null).toBe(backend === "kb");
    expect(first[0]?.hops[0]?.arms).toEqual([
      { backend: "kb", share_percent: 10 },
      { backend: "llm", share_percent: 90 },
    ]);
  });

  it("says what decides where there is no sticky header", async () => {
    const url = "https://a.agents.example.internal/";
    expect((await explained(url, "-H", "x-request-id: 7")).hops[0]?.chosen_by).toBe("request_id");
    expect((await explained(url)).hops[0]?.chosen_by).toBe("each_request");
    expect(row(await explainedText(url), "backend")).toMatch(
      /^(kb, 10|llm, 90) % of this route \(kb 10 %, llm 90 %\); each request is drawn anew, .* unless it sends x-session-id$/,
    );
  });

  it("suggests the nearest host where none matches", async () => {
    const { backend, hops } = await explained("https://lmm.example.internal/");
    expect(backend).toBeNull();
    expect(hops[0]).toMatchObject({ outcome: "passed", match: { type: "none", nearest: "llm.example.internal" } });
    const text = await explainedText("https://agents.example.internal/");
    expect(row(text, "host")).toContain("did you mean *.agents.example.internal?");
    expect(row(text, "backend")).toMatch(/^none: .* Envoy answers 404$/);
  });

  it("gives status and code where the filter answers, and exits 0, for that was the question", async () => {
    const ran = await explainedText("https://nobody.example.org/", "--hop", "inner");
    expect(ran.code).toBe(0);
    expect(row(ran, "answers")).toMatch(/^404 route_unmatched: /);
    const { reply } = await explained("https://a..b/");
    expect(reply).toMatchObject({ hop: "ingress", status: 400, code: "host_invalid" });
  });

  it("tells a bypassed path from an unmatched host", async () => {
    const { hops } = await explained("https://kb.example.internal/healthz/ready?verbose");
    expect(hops[0]).toMatchObject({ outcome: "bypassed", backend: null, token: null });
  });

  it("goes by the Host header where one is given, as the gateway does", async () => {
    const { backend } = await explained("https://127.0.0.1:8443/", "-H", "Host: kb.example.internal");
    expect(backend).toBe("kb");
  });

  it("begins at the hop that is named, a waypoint by the service that is called", async () => {
    const { hops, token } = await explained("http://reports-abc123-uc.a.run.app/", "--hop", "agents");
    expect(hops.map(({ hop }) => hop)).toEqual(["agents"]);
    expect(token?.hop).toBe("agents");
    const wrong = await explainedText("http://report-abc123-uc.a.run.app/", "--hop", "agents");
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain("reports-abc123-uc.a.run.app");
  });

  it("shows which headers of the caller do not go on", async () => {
    const headers = ["x-hopgate-backend: llm", "x-hopgate-forged: 1", "X-Serverless-Authorization: Bearer c2VjcmV0"];
    const { hops } = await explained("https://kb.example.internal/", ...headers.flatMap((header) => ["-H", header]));
    expect(hops[0]?.removed_headers).toEqual(["x-hopgate-backend", "x-hopgate-forged", "x-serverless-authorization"]);
  });

  it("shows no token and no credential, in neither form", async () => {
    const headers = ["Authorization: Bearer c2VjcmV0", "authorization: Basic c2VjcmV0", "cookie: c2VjcmV0"];
    const argv = [
      "https://user:c2VjcmV0@kb.example.internal/?key=c2VjcmV0",
      ...headers.flatMap((header) => ["-H", header]),
    ];
    for (const output of ["text", "json"]) {
      const [url = "", ...more] = argv;
      const { code, stdout, stderr } = await explainedText(url, ...more, "-o", output);
      expect(code).toBe(0);
      expect(stdout + stderr).not.toMatch(/c2VjcmV0|Bearer|eyJ/);
    }
  });

  describe("where callers are checked", () => {
    const HOST = "ai-platform.example.internal";
    const KB = `https://kb.${HOST}/`;

    function asked(url: string, ...more: readonly string[]): Promise<Explanation> {
      return hopgateJson("explain", url, "--config", exampleConfigPath(), ...more);
    }

    /** A token as callers have it, but for its signature; good for a minute. */
    function token(claims: object = {}, head: object = {}): string {
      const good = {
        iss: "https://accounts.google.com",
        aud: `https://${HOST}`,
        email: "orchestrator@my-project.iam.gserviceaccount.com",
        email_verified: true,
        exp: Math.floor(Date.now() / 1000) + 60,
      };
      return [{ alg: "RS256", kid: "7f3c", ...head }, { ...good, ...claims }, "c2VjcmV0"]
        .map((part) => Buffer.from(typeof part === "string" ? part : JSON.stringify(part)).toString("base64url"))
        .join(".");
    }

    it.each([
      ["kb", "ingress", ["ingress"]],
      ["reports", "agents", ["ingress", "agents"]],
    ])("answers for a caller that is let in, and says what one without a token is told: %s", async (name, hop, way) => {
      const { caller, backend, reply, hops } = await asked(`https://${name}.${HOST}/`);
      expect({ backend, reply }).toEqual({ backend: name, reply: null });
      expect(caller).toEqual({
        token: "assumed",
        without_token: {
          hop,
          status: 401,
          code: "token_missing",
          detail: "This request needs an identity token, and came without one.",
        },
      });
      expect(hops.map((one) => one.hop)).toEqual(way);
      expect(hops.at(-1)?.validators).toMatchObject([{ name: "google", audiences: [`https://${HOST}`] }]);
      expect(hops.at(-1)?.set_headers).toContainEqual({
        name: "x-hopgate-caller",
        value: "orchestrator@my-project.iam.gserviceaccount.com",
      });
    });

    it("assumes nothing where nobody checks", async () => {
      expect((await asked(`https://llm.${HOST}/`)).caller).toBeNull();
    });

    it.each([
      ["a good one", token(), null],
      ["another audience", token({ aud: "https://elsewhere.example" }), "token_audience"],
      ["another caller", token({ email: "me@my-project.iam.gserviceaccount.com" }), "caller_not_allowed"],
      ["one that has expired", token({ exp: 1 }), "token_expired"],
      ["another algorithm", token({}, { alg: "ES256" }), "token_algorithm"],
      ["no key's name", token({}, { kid: undefined }), "token_key_unknown"],
      ["no token at all", "c2VjcmV0", "token_malformed"],
    ])("judges a token that is given as it is, but for its signature: %s", async (_what, given, code) => {
      const { caller, reply, hops } = await asked(KB, "-H", `authorization: Bearer ${given}`);
      expect(caller).toEqual({ token: "given", without_token: null });
      expect(reply?.code ?? null).toBe(code);
      expect(hops[0]?.removed_headers).toEqual([]);
    });

    it("takes the credential from a file, and shows nothing of it", async () => {
      const headers = folder.write("caller.headers", `Authorization: Bearer ${token()}\n`);
      for (const output of ["text", "json"]) {
        const { code, stdout, stderr } = await hopgate(
          ...["explain", KB, "--config", exampleConfigPath(), "-H", `@${headers}`, "-o", output],
        );
        expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
        expect(stdout).toContain("kb-abc123-uc.a.run.app");
        expect(stdout).not.toMatch(/eyJ|c2VjcmV0|YzJWamNtVjA|7f3c/);
      }
    });

    it("takes a credential of another kind for what it is", async () => {
      const { caller, reply } = await asked(KB, "-H", "authorization: Basic c2VjcmV0");
      expect(caller).toEqual({ token: "given", without_token: null });
      expect(reply?.code).toBe("token_missing");
    });

    it("assumes a token in each header where a hop looks", async () => {
      const iap =
        "validators:\n  iap: { issuers: [https://cloud.google.com/iap], audiences: [/projects/1/apps/a], emails: ['*'], " +
        "algorithm: ES256, header: x-goog-iap-jwt-assertion }\n";
      const yaml = readFileSync(exampleConfigPath(), "utf8")
        .replace("validators:\n", iap)
        .replace("edge: true }", "edge: true, validate: iap }");
      const file = folder.write("iap.yaml", yaml);
      const { caller, reply, hops } = await hopgateJson<Explanation>(
        ...["explain", `https://reports.${HOST}/`, "--config", file],
      );
      expect([caller?.without_token?.hop, reply]).toEqual(["ingress", null]);
      expect(hops.map(({ validators }) => validators.map(({ header }) => header))).toEqual([
        ["x-goog-iap-jwt-assertion"],
        [null],
      ]);
    });
  });

  it.each([
    [["kb.example.internal"], "is no URL of a request"],
    [["https://kb.example.internal/", "--hop", "ingres"], "Did you mean ingress?"],
    [["https://kb.example.internal/", "-X", "GE T"], "method"],
  ])("refuses %j with exit code 2", async ([url = "", ...more], message) => {
    const { code, stdout, stderr } = await explainedText(url, ...more);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(message);
  });

  it("does not repeat a header that it cannot read, for it may be a credential", async () => {
    const { code, stderr } = await explainedText("https://kb.example.internal/", "-H", "Bearer c2VjcmV0");
    expect(code).toBe(2);
    expect(stderr).toContain("-H number 1");
    expect(stderr).not.toContain("c2VjcmV0");
  });
});
