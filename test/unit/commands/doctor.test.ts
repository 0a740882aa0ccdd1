import { createServer, type Server } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { exampleConfigPath } from "../../../shim/package-root.js";
import { type Folder, hopgate, hopgateJson, temporaryFolder } from "./support.js";

const IMAGE = `127.0.0.1:45999/hopgate/filter@sha256:${"ab".repeat(32)}`;

interface Report {
  readonly errors: number;
  readonly warnings: number;
  readonly checks: readonly { readonly code: string; readonly state: string }[];
  readonly clusters: readonly { readonly context: string; readonly checks: readonly { readonly state: string }[] }[];
  readonly answer?: object;
}

let folder: Folder;
let file: string;

beforeEach(() => {
  folder = temporaryFolder();
  // No cluster of whoever runs the tests.
  vi.stubEnv("HOME", folder.path);
  vi.stubEnv("KUBECONFIG", "");
  file = folder.write("hopgate.yaml", readFileSync(exampleConfigPath(), "utf8"));
});

afterEach(() => {
  vi.unstubAllEnvs();
  folder.remove();
});

const failed = ({ checks }: Report): readonly string[] =>
  checks.filter(({ state }) => state === "failed").map(({ code }) => code);

describe("hopgate doctor, with nothing but a file", () => {
  it("looks at the file, and says what it did not look at, and why", async () => {
    const { code, stdout, stderr } = await hopgate("doctor", "-c", file);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("  ! HG0102 timing.key cannot be guessed\n");
    expect(stdout).toContain("Fix: write the output of: openssl rand -hex 16");
    expect(stdout).toContain("  - HG02xx the image: skipped, no image is named");
    expect(stdout).toContain("  - HG03xx the cluster: skipped, there is no kubeconfig");
    expect(stdout).toMatch(/\n1 warning\.\n$/);
  });

  it("leaves out the checks that it is told to, and then all is well", async () => {
    const { code, stdout } = await hopgate("doctor", "-c", file, "--skip-checks", "HG0102,HG0103");
    expect(code).toBe(0);
    expect(stdout).not.toContain("HG0102");
    expect(stdout).toMatch(/\nAll is well\.\n$/);
  });

  it("says it in JSON, with a state for every check", async () => {
    const report = await hopgateJson<Report>("doctor", "-c", file);
    expect(report).toMatchObject({ mesh: "ai-platform", errors: 0, warnings: 1 });
    expect(failed(report)).toEqual(["HG0102"]);
    expect(report.clusters).toHaveLength(1);
    expect(new Set(report.clusters.flatMap(({ checks }) => checks.map(({ state }) => state)))).toEqual(
      new Set(["skipped"]),
    );
  });

  it("exits with 1 where there is an error: an image at this machine, whose registry is down", async () => {
    const { code, stdout } = await hopgate("doctor", "-c", file, "--image", IMAGE);
    expect(code).toBe(1);
    expect(stdout).toContain("x HG0202 the registry is not this machine");
    expect(stdout).toContain("cannot be reached: ECONNREFUSED");
    expect(stdout).toContain("2 errors, 1 warning, 7 not known.");
  });

  it.each([
    ["a file that is not there", ["-c", "nowhere.yaml"], "there is no such file"],
    ["a code that is none", ["--skip-checks", "HG9999"], 'there is no check "HG9999"'],
    ["an image that is none", ["--image", "x"], "is not a reference to an image"],
    ["a kubeconfig that is not there", ["--kubeconfig", "nowhere"], "nowhere cannot be used"],
    ["a context without a kubeconfig", ["--context", "prod"], "there is no kubeconfig"],
    ["a URL that is none", ["ftp://x"], "ftp://x"],
  ])("exits with 2 for %s", async (_what, args, message) => {
    const { code, stderr } = await hopgate("doctor", "-c", file, ...args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});

describe("hopgate doctor URL", () => {
  let server: Server;
  let url: string;
  let status: number;
  let headers: Record<string, string>;
  let body: string;

  beforeEach(async () => {
    server = createServer((_request, response) => response.writeHead(status, headers).end(body));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    url = `http://127.0.0.1:${String((server.address() as AddressInfo).port)}/`;
    [status, headers, body] = [200, {}, "hello"];
  });

  afterEach(() => {
    server.close();
  });

  const ask = (...args: readonly string[]) =>
    hopgate("doctor", url, "-c", file, "-H", "host: kb.ai-platform.example.internal", ...args);

  it("says that the answer is good", async () => {
    const { code, stdout } = await ask();
    expect(code).toBe(0);
    expect(stdout).toContain(`GET ${url} 200\n`);
    expect(stdout).not.toContain("HG08");
  });

  it("explains a 401 by the token that was sent, without showing it", async () => {
    [status, headers] = [401, { "x-hopgate-error": "token_expired" }];
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
    const claims = part({
      iss: "https://accounts.google.com",
      aud: "https://x.example",
      exp: 1,
      email: "spy@x.example",
    });
    const token = `${part({ alg: "RS256" })}.${claims}.c2ln`;
    const caller = folder.write("caller.headers", `authorization: Bearer ${token}\n`);
    const { code, stdout, stderr } = await ask("-H", `@${caller}`);
    expect(code).toBe(1);
    expect(stdout).toContain(
      `GET ${url} 401 token_expired\n  token in authorization: issuer https://accounts.google.com`,
    );
    expect(stdout).toContain("x HG0801 the caller's token is a good one");
    expect(stdout).toContain("its audience is https://x.example, not https://ai-platform.example.internal");
    for (const secret of [token, claims, "spy@x.example"]) expect(stdout + stderr).not.toContain(secret);
  });

  it("tells Google's front end from the service, and names the commands", async () => {
    [status, body] = [
      403,
      "<title>403 Forbidden</title><h2>Your client does not have permission to get URL <code>/</code></h2>",
    ];
    const { code, stdout } = await ask();
    expect(code).toBe(1);
    expect(stdout).toContain("x HG0810 the hop's service account may invoke the service");
    expect(stdout).toContain("gcloud run services get-iam-policy kb --region us-central1");
  });

  it("says that there was no answer", async () => {
    server.close();
    await once(server, "close");
    const { code, stdout } = await ask();
    expect(code).toBe(1);
    expect(stdout).toContain("x HG0800 an answer comes");
    expect(stdout).toContain("connection refused");
  });

  it("shows nothing that an answer could steer the terminal with", async () => {
    [status, headers] = [401, { "x-hopgate-error": "token_\u009b31mred" }];
    const { stdout } = await ask();

    expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });
});
