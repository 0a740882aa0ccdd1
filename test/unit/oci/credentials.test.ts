import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { credentialsFor, type Credentials } from "../../../shim/oci/credentials.js";

let folder: string;
const REGISTRY = "registry.example.com";

beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), "hopgate-credentials-test-"))));
afterEach(() => rmSync(folder, { recursive: true }));

function ask(config: object | string, registry = REGISTRY): Promise<Credentials | undefined> {
  writeFileSync(join(folder, "config.json"), typeof config === "string" ? config : JSON.stringify(config));
  return credentialsFor(registry, { DOCKER_CONFIG: folder, PATH: `${folder}:${process.env["PATH"] ?? ""}` });
}

/** A helper that answers for one registry, in the protocol of Docker's. */
function helper(name: string, script: string): void {
  const path = join(folder, `docker-credential-${name}`);
  writeFileSync(path, `#!/bin/sh\nread -r registry\n${script}\n`);
  chmodSync(path, 0o755);
}

describe("what Docker knows about a registry", () => {
  const auth = Buffer.from("me:a:b").toString("base64");

  it.each([REGISTRY, `https://${REGISTRY}`, `https://${REGISTRY}/v2/`])("is found under %s", async (key) => {
    expect(await ask({ auths: { [key]: { auth } } })).toEqual({ username: "me", password: "a:b" });
  });

  it("is not that of another registry", async () => {
    expect(await ask({ auths: { [`${REGISTRY}.evil.example`]: { auth } } })).toBeUndefined();
    expect(await ask({ auths: { [REGISTRY]: { auth } } }, `${REGISTRY}:5000`)).toBeUndefined();
  });

  it("may be a token to be exchanged", async () => {
    expect(await ask({ auths: { [REGISTRY]: { identitytoken: "t" } } })).toEqual({ identityToken: "t" });
  });

  it("is nothing where there is no configuration", async () => {
    expect(await credentialsFor(REGISTRY, { DOCKER_CONFIG: join(folder, "none") })).toBeUndefined();
  });

  it("is not shown where the file is no JSON", async () => {
    await expect(ask('{"auths": {"x": {"auth": "c2VjcmV0"')).rejects.toThrow(/^\S+config\.json is not valid JSON\.$/);
  });
});

describe("a credential helper", () => {
  it("is asked for the registries that name it, before what is written down", async () => {
    helper("one", `echo "{\\"Username\\":\\"for $registry\\",\\"Secret\\":\\"s\\"}"`);
    const auths = { [REGISTRY]: { username: "written", password: "down" } };
    expect(await ask({ credHelpers: { [REGISTRY]: "one" }, auths })).toEqual({
      username: `for ${REGISTRY}`,
      password: "s",
    });
    expect(await ask({ credHelpers: { "other.example.com": "one" }, auths })).toEqual({
      username: "written",
      password: "down",
    });
    expect(await ask({ credsStore: "one" })).toEqual({ username: `for ${REGISTRY}`, password: "s" });
  });

  it("may give a token to be exchanged", async () => {
    helper("two", `echo '{"Username":"<token>","Secret":"s"}'`);
    expect(await ask({ credsStore: "two" })).toEqual({ identityToken: "s" });
  });

  it("that has none leaves it at that", async () => {
    helper("three", 'echo "credentials not found in native keychain"; exit 1');
    expect(await ask({ credsStore: "three" })).toBeUndefined();
  });

  it.each([
    ["fails", "exit 3", "docker-credential-four failed for registry.example.com with exit code 3."],
    ["says something else", "echo secret", "docker-credential-four did not answer for registry.example.com as"],
  ])("that %s is named, and what it said is not shown", async (_, script, message) => {
    helper("four", script);
    await expect(ask({ credsStore: "four" })).rejects.toThrow(message);
    await expect(ask({ credsStore: "four" })).rejects.not.toThrow("secret");
  });

  it("that is not there is named", async () => {
    await expect(ask({ credsStore: "missing" })).rejects.toThrow("docker-credential-missing cannot be run: ENOENT.");
    await expect(ask({ credsStore: "../x" })).rejects.toThrow("is not the name of a credential helper");
  });
});
