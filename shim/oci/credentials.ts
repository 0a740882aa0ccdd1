import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

import { errorCode, Failure } from "../errors.js";

/** What a registry is told about who asks. A `token` is exchanged, never sent as a password. */
export type Credentials = { readonly username: string; readonly password: string } | { readonly identityToken: string };

type Env = Readonly<Record<string, string | undefined>>;

/** Docker's config.json, as far as it says how to log in. */
interface DockerConfig {
  readonly auths?: Readonly<Record<string, DockerAuth | undefined>>;
  readonly credHelpers?: Readonly<Record<string, string | undefined>>;
  readonly credsStore?: string;
}

interface DockerAuth {
  readonly auth?: string;
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
}

/** A helper that asks somebody would wait for ever. */
const HELPER_TIMEOUT_MS = 30_000;

/**
 * What `docker login` or a credential helper knows for a registry; undefined: nothing, so anonymous.
 * @throws Failure if the configuration cannot be read, or its helper fails
 */
export async function credentialsFor(registry: string, env: Env): Promise<Credentials | undefined> {
  const config = readConfig(join(env["DOCKER_CONFIG"] || join(env["HOME"] || homedir(), ".docker"), "config.json"));
  const helper = named(config.credHelpers, registry) ?? config.credsStore;
  const stored = helper === undefined ? undefined : await askHelper(helper, registry, env);
  return stored ?? fromAuth(named(config.auths, registry));
}

function readConfig(path: string): DockerConfig {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if (errorCode(cause) === "ENOENT") return {};
    throw new Failure(`${path} cannot be read: ${errorCode(cause)}.`, { cause });
  }
  try {
    const value = JSON.parse(text) as DockerConfig | null;
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    // Its words would quote the text around, which has passwords.
    throw new Failure(`${path} is not valid JSON.`);
  }
}

/** Docker writes registries with and without scheme, and with the version of the API behind. */
function named<T>(entries: Readonly<Record<string, T | undefined>> | undefined, registry: string): T | undefined {
  return Object.entries(entries ?? {}).find(
    ([key]) => key.replace(/^https?:\/\//, "").replace(/\/(v[12]\/?)?$/, "") === registry,
  )?.[1];
}

function fromAuth(auth: DockerAuth | undefined): Credentials | undefined {
  if (auth?.identitytoken) return { identityToken: auth.identitytoken };
  const decoded = Buffer.from(auth?.auth ?? "", "base64").toString("utf8");
  const colon = decoded.indexOf(":");
  if (colon !== -1) return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1) };
  if (auth?.username === undefined || auth.password === undefined) return undefined;
  return { username: auth.username, password: auth.password };
}

/** The protocol of https://github.com/docker/docker-credential-helpers: the registry on stdin, JSON on stdout. */
async function askHelper(name: string, registry: string, env: Env): Promise<Credentials | undefined> {
  const program = `docker-credential-${name}`;
  if (!/^[\w.-]+$/.test(name)) throw new Failure(`${JSON.stringify(name)} is not the name of a credential helper.`);
  const { code, stdout } = await runHelper(program, registry, env);
  // "credentials not found in native keychain" is how helpers say that they have none.
  if (code !== 0 && /not found/i.test(stdout)) return undefined;
  if (code !== 0) throw new Failure(`${program} failed for ${registry} with exit code ${String(code)}.`);
  try {
    const { Username, Secret } = JSON.parse(stdout) as { Username: string; Secret: string };
    return Username === "<token>" ? { identityToken: Secret } : { username: Username, password: Secret };
  } catch {
    throw new Failure(`${program} did not answer for ${registry} as credential helpers do.`);
  }
}

function runHelper(program: string, input: string, env: Env): Promise<{ code: number | null; stdout: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, ["get"], {
      env,
      stdio: ["pipe", "pipe", "ignore"],
      timeout: HELPER_TIMEOUT_MS,
      killSignal: "SIGKILL",
    });
    let stdout = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString("utf8")));
    // One that does not read its input is no failure of ours.
    child.stdin.on("error", () => undefined);
    child.stdin.end(input);
    child.on("error", (cause) => {
      reject(
        new Failure(`${program} cannot be run: ${errorCode(cause)}.`, { cause, fix: "Install it, or docker login." }),
      );
    });
    child.on("close", (code) => resolve({ code, stdout }));
  });
}
