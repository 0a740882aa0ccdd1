import { deadline } from "../deadline.js";
import { errorCode, Failure } from "../errors.js";
import { type ImageReference, isLoopback } from "../render/image.js";
import { credentialsFor, type Credentials } from "./credentials.js";
import { digestOf, type Blob, MANIFEST_TYPES, MAX_MODULE_BYTES } from "./image.js";

/** One exchange with a registry may take this long. */
const TIMEOUT_MS = 30_000;
/** What a registry's manifest or error is read of at most. */
const MAX_TEXT_BYTES = 4 * 1024 * 1024;

export interface RegistryOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  /** Speak HTTP to a registry that is not on this machine either. Credentials are not sent to it. */
  readonly plainHttp: boolean;
}

/** The registry says that there is no such thing. */
export class NotThere extends Failure {}

/** The registry says that one may not. */
export class Unauthorised extends Failure {}

/** There was no answer. */
export class Unreachable extends Failure {}

/**
 * One repository of a registry (OCI distribution specification 1.1). Speaks HTTPS, and HTTP to this machine alone unless told
 * otherwise. Logs in when asked to, with what Docker knows.
 */
export class Repository {
  private readonly base: string;
  private authorization: string | undefined;
  /** Whether the registry was shown who we are. */
  usedCredentials = false;

  constructor(
    private readonly image: Pick<ImageReference, "registry" | "repository">,
    private readonly options: RegistryOptions,
  ) {
    const scheme = options.plainHttp || isLoopback(image.registry) ? "http" : "https";
    this.base = `${scheme}://${image.registry}/v2/${image.repository}`;
  }

  /** The manifest with that tag or digest. Its bytes have the digest that is asked for. @throws NotThere if there is none */
  async manifest(reference: string): Promise<Blob> {
    const what = `the manifest ${reference}`;
    const response = await this.send("GET", `/manifests/${reference}`, what, {
      headers: { accept: MANIFEST_TYPES.join(", ") },
    });
    if (response.status !== 200) throw await this.refusal(what, response);
    const bytes = await this.body(what, response, MAX_TEXT_BYTES);
    const digest = digestOf(bytes);
    if (reference.startsWith("sha256:") && digest !== reference) throw this.failure(`${what} has the digest ${digest}`);
    return { mediaType: response.headers.get("content-type") ?? "", digest, bytes };
  }

  /** The bytes with that digest. @throws NotThere if there are none */
  async blob(digest: string): Promise<Buffer> {
    const what = `the layer ${digest}`;
    const response = await this.send("GET", `/blobs/${digest}`, what);
    if (response.status !== 200) throw await this.refusal(what, response);
    const bytes = await this.body(what, response, MAX_MODULE_BYTES);
    if (digestOf(bytes) !== digest) throw this.failure(`${what} has the digest ${digestOf(bytes)}`);
    return bytes;
  }

  /** Stores bytes, unless they are there. */
  async putBlob(blob: Blob): Promise<void> {
    const what = `the blob ${blob.digest}`;
    const known = await this.send("HEAD", `/blobs/${blob.digest}`, what);
    if (known.status === 200) return;
    const started = await this.send("POST", "/blobs/uploads/", what);
    const location = started.headers.get("location");
    if (started.status !== 202 || location === null) throw await this.refusal(what, started);
    const url = new URL(location, started.url);
    const base = new URL(this.base);
    // A registry behind a proxy that ends TLS may call itself http. It is spoken to with TLS as before.
    if (url.host === base.host && base.protocol === "https:") url.protocol = base.protocol;
    url.searchParams.set("digest", blob.digest);
    const headers = { "content-type": "application/octet-stream" };
    const stored = await this.send("PUT", url, what, { headers, body: blob.bytes });
    if (stored.status !== 201) throw await this.refusal(what, stored);
  }

  /** Stores a manifest under a tag. */
  async putManifest(tag: string, manifest: Blob): Promise<void> {
    const what = `the manifest ${tag}`;
    const headers = { "content-type": manifest.mediaType };
    const stored = await this.send("PUT", `/manifests/${tag}`, what, { headers, body: manifest.bytes });
    if (stored.status !== 201) throw await this.refusal(what, stored);
  }

  private async send(method: string, target: string | URL, what: string, init: RequestInit = {}): Promise<Response> {
    const url = typeof target === "string" ? new URL(`${this.base}${target}`) : target;
    // An upload may go elsewhere; what this registry knows us by does not go with it.
    const isHere = url.origin === new URL(this.base).origin;
    const attempt = (): Promise<Response> =>
      this.fetch(url, {
        ...init,
        method,
        headers: {
          ...(init.headers as Record<string, string> | undefined),
          ...(isHere && this.authorization !== undefined && { authorization: this.authorization }),
        },
      });
    const response = await attempt();
    if (response.status !== 401 || !isHere || this.authorization !== undefined) return response;
    await response.body?.cancel();
    this.authorization = await this.logIn(response.headers.get("www-authenticate") ?? "");
    return attempt();
  }

  private async fetch(url: URL, init: RequestInit): Promise<Response> {
    const signal = deadline(this.options.signal, TIMEOUT_MS);
    try {
      return await fetch(url, { ...init, signal });
    } catch (cause) {
      this.options.signal.throwIfAborted();
      const reason = reasonOf(cause);
      const fix = NO_TLS.test(reason) ? "If it has no TLS: --plain-http." : undefined;
      throw new Unreachable(`${this.name()} cannot be reached: ${reason}.`, {
        cause,
        ...(fix !== undefined && { fix }),
      });
    }
  }

  /** Answers a challenge (RFC 9110, section 11.6.1; https://distribution.github.io/distribution/spec/auth/token/). */
  private async logIn(challenge: string): Promise<string> {
    if (this.options.plainHttp && !isLoopback(this.image.registry)) throw this.unauthorised();
    const credentials = await credentialsFor(this.image.registry, this.options.env);
    const parameters = Object.fromEntries(
      [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = "", value = ""]) => [name.toLowerCase(), value]),
    );
    if (/^basic\b/i.test(challenge)) {
      if (credentials !== undefined && "password" in credentials) {
        this.usedCredentials = true;
        return basic(credentials);
      }
      throw this.unauthorised();
    }
    const { realm, service, scope } = parameters;
    if (!/^bearer\b/i.test(challenge) || realm === undefined) throw this.unauthorised();
    const url = this.tokenServer(realm);
    const response = await this.fetch(url, tokenRequest(url, service, scope, credentials));
    if (response.status !== 200) throw this.unauthorised();
    const body = JSON.parse((await this.body("its token server", response, MAX_TEXT_BYTES)).toString("utf8")) as {
      token?: string;
      access_token?: string;
    };
    const token = body.token ?? body.access_token;
    if (token === undefined) throw this.unauthorised();
    this.usedCredentials ||= credentials !== undefined;
    return `Bearer ${token}`;
  }

  /** Credentials go over TLS, or stay on this machine. */
  private tokenServer(realm: string): URL {
    const url = URL.canParse(realm) ? new URL(realm) : undefined;
    if (url?.protocol === "https:" || (url?.protocol === "http:" && isLoopback(url.host))) return url;
    throw this.failure(`it wants credentials sent to ${JSON.stringify(realm)}, which is not HTTPS`);
  }

  private async body(what: string, response: Response, most: number): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    try {
      for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
        size += chunk.length;
        if (size > most) throw new Error(`it has more than ${String(most)} bytes`);
        chunks.push(chunk);
      }
    } catch (cause) {
      this.options.signal.throwIfAborted();
      throw this.failure(`${what}: ${reasonOf(cause)}`, cause);
    }
    return Buffer.concat(chunks);
  }

  private async refusal(what: string, response: Response): Promise<Failure> {
    if (response.status === 401 || response.status === 403) return this.unauthorised();
    if (response.status === 404)
      return new NotThere(`${this.image.registry}/${this.image.repository} has not ${what}.`, {
        fix: "Push it: hopgate push.",
      });
    const text = (await this.body(what, response, MAX_TEXT_BYTES)).toString("utf8");
    // Registries say why in JSON; what a proxy in between says is not for a terminal.
    const code = /"code"\s*:\s*"([A-Z_]{1,40})"/.exec(text)?.[1];
    return this.failure(`${what}: HTTP ${String(response.status)}${code === undefined ? "" : ` ${code}`}`);
  }

  private unauthorised(): Unauthorised {
    const fix = `Log in: docker login ${this.image.registry}, or the credential helper of the registry.`;
    return new Unauthorised(`${this.name()} does not let you in.`, { fix });
  }

  private failure(reason: string, cause?: unknown): Failure {
    return new Failure(`${this.name()}: ${reason}.`, { cause });
  }

  private name(): string {
    return `The registry ${this.image.registry}`;
  }
}

/** What TLS says of an answer that is none of TLS. */
const NO_TLS = /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG/;

function tokenRequest(url: URL, service = "", scope = "", credentials: Credentials | undefined): RequestInit {
  if (credentials !== undefined && "identityToken" in credentials) {
    const form = {
      grant_type: "refresh_token",
      refresh_token: credentials.identityToken,
      client_id: "hopgate",
      service,
      scope,
    };
    return { method: "POST", body: new URLSearchParams(form), redirect: "error" };
  }
  if (service !== "") url.searchParams.set("service", service);
  if (scope !== "") url.searchParams.set("scope", scope);
  return { redirect: "error", ...(credentials !== undefined && { headers: { authorization: basic(credentials) } }) };
}

function basic({ username, password }: { readonly username: string; readonly password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`, "utf8").toString("base64")}`;
}

/** fetch hides why behind "fetch failed". */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `no answer within ${String(TIMEOUT_MS / 1000)} s`;
  if (error.cause === undefined) return error.message;
  const code = errorCode(error.cause);
  return error.cause instanceof Error && code === String(error.cause) ? error.cause.message : code;
}
