import { existsSync, readFileSync } from "node:fs";
import https from "node:https";
import type { RequestOptions } from "node:https";
import { homedir } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { delimiter, dirname, join } from "node:path";

import { KubeConfig, loadYaml } from "@kubernetes/client-node";

import { deadline } from "../deadline.js";
import { errorCode, Failure, UsageError } from "../errors.js";

/** Which cluster, as kubectl's flags say it. */
export interface ClusterOptions {
  /** Path of a kubeconfig; else KUBECONFIG, else ~/.kube/config, else the service account of the Pod that this runs in. */
  readonly kubeconfig?: string | undefined;
  /** Name of a context in it; else its current one. */
  readonly context?: string | undefined;
}

/** What a request to the API server got. */
export interface ApiResponse {
  readonly status: number;
  readonly body: string;
  /** What it says about when to come again (RFC 9110, section 10.2.3); NaN: nothing, or a date. */
  readonly retryAfterSec?: number;
}

/** The server, or what it asked for us, did not answer in time. */
export class NoAnswer extends Failure {}

export interface ApiRequest {
  readonly method: "GET" | "PATCH" | "PUT" | "POST" | "DELETE";
  /** Such as `/api/v1/namespaces`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly contentType?: string;
  /** How long the answer may take; 30 s unless given. */
  readonly timeoutMs?: number;
}

/** One exchange may take this long. */
const TIMEOUT_MS = 30_000;
/** How often what the server puts off is asked again. */
const RETRIES = 5;
const MAX_RETRY_SEC = 5;
/** How long credentials are used before they are asked for again; a plugin's may last minutes. */
const CREDENTIALS_MS = 30_000;
/** More than any answer that is asked for here. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;

/** The API server of one cluster. */
export class Connection {
  private credentials: { readonly options: RequestOptions; readonly sinceMs: number } | undefined;

  private constructor(
    private readonly config: KubeConfig,
    private readonly server: URL,
    /** Name of the context. */
    readonly context: string,
    private readonly impersonation: Readonly<Record<string, string | readonly string[]>>,
    private readonly signal: AbortSignal,
  ) {}

  /** @throws UsageError if the kubeconfig cannot be used, or has no such context */
  static open({ kubeconfig, context }: ClusterOptions, signal: AbortSignal): Connection {
    const { config, texts } = loadConfig(kubeconfig, process.env);
    if (context !== undefined) {
      const names = config.getContexts().map(({ name }) => name);
      if (!names.includes(context)) {
        throw new UsageError(`there is no context ${JSON.stringify(context)}`, `write one of ${names.join(", ")}`);
      }
      config.setCurrentContext(context);
    }
    const server = config.getCurrentCluster()?.server;
    if (server === undefined || !URL.canParse(server)) {
      throw new UsageError("the kubeconfig names no cluster", "name a context with --context");
    }
    const impersonation = impersonationOf(texts, config.getCurrentUser()?.name);
    return new Connection(config, new URL(server), config.getCurrentContext(), impersonation, signal);
  }

  /** @throws Failure if the server cannot be reached; whatever it answers is returned */
  async send(request: ApiRequest): Promise<ApiResponse> {
    for (let left = RETRIES; ; left--) {
      const response = await this.sendOnce(request);
      const waitMs = left === 0 ? undefined : retryAfterMs(request, response);
      if (waitMs === undefined) return response;
      await pause(waitMs, undefined, { signal: this.signal });
    }
  }

  private async sendOnce(request: ApiRequest): Promise<ApiResponse> {
    const options = await this.options();
    try {
      // The server closed a connection that was kept. There may be more of those; what it did all the same does no harm twice.
      for (let left = RETRIES; ; left--) {
        try {
          return await this.exchange(request, options);
        } catch (error) {
          if (left === 0 || !(error instanceof StaleConnection)) throw error;
        }
      }
    } catch (cause) {
      this.signal.throwIfAborted();
      const [isLate, why] = reasonOf(cause, request);
      const message = `The API server of ${this.context} (${this.server.origin}) cannot be reached: ${why}.`;
      throw isLate ? new NoAnswer(message, { cause }) : new Failure(message, { cause });
    }
  }

  private async options(): Promise<RequestOptions> {
    const { credentials } = this;
    if (credentials !== undefined && performance.now() - credentials.sinceMs < CREDENTIALS_MS)
      return credentials.options;
    const options: RequestOptions = {};
    try {
      await this.config.applyToHTTPSOptions(options);
    } catch (cause) {
      throw new Failure(`The credentials for ${this.context} cannot be had: ${errorCode(cause)}.`, { cause });
    }
    if (options.agent instanceof https.Agent) Object.assign(options.agent, { keepAlive: true });
    this.credentials = { options, sinceMs: performance.now() };
    return options;
  }

  private exchange(
    { method, path, query = {}, body, contentType, timeoutMs = TIMEOUT_MS }: ApiRequest,
    options: RequestOptions,
  ): Promise<ApiResponse> {
    const url = new URL(`${this.server.pathname.replace(/\/$/, "")}${path}`, this.server);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const headers = {
      ...(options.headers as Readonly<Record<string, string>> | undefined),
      ...this.impersonation,
      accept: "application/json, text/plain",
      "user-agent": "hopgate",
      ...(body !== undefined && {
        "content-type": contentType ?? "application/json",
        "content-length": Buffer.byteLength(body),
      }),
    };
    const signal = deadline(this.signal, timeoutMs);
    return new Promise((resolve, reject) => {
      const request = https.request(url, { ...options, method, headers, signal }, (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size > MAX_BODY_BYTES) response.destroy(new Error("the answer is too large"));
          else chunks.push(chunk);
        });
        response.on("error", reject);
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            body: Buffer.concat(chunks).toString("utf8"),
            retryAfterSec: Number(response.headers["retry-after"]),
          }),
        );
      });
      request.on("error", (error) => {
        const isStale = request.reusedSocket && ["ECONNRESET", "EPIPE"].includes(errorCode(error));
        reject(isStale ? new StaleConnection(error.message, { cause: error }) : error);
      });
      request.end(body);
    });
  }
}

class StaleConnection extends Error {}

/** What the API server did not do because it has too much to do, or what only reads and a proxy in front could not hand on. */
function retryAfterMs({ method }: ApiRequest, { status, retryAfterSec = 1 }: ApiResponse): number | undefined {
  const isBusy = status === 429 || (method === "GET" && (status === 502 || status === 504));
  if (!isBusy) return undefined;
  return 1000 * Math.min(MAX_RETRY_SEC, Math.max(0.2, Number.isFinite(retryAfterSec) ? retryAfterSec : 1));
}

/** As kubectl finds it. @throws UsageError if there is none, or one cannot be used */
function loadConfig(kubeconfig: string | undefined, env: NodeJS.ProcessEnv): Loaded {
  const listed = (env["KUBECONFIG"] ?? "").split(delimiter).filter((path) => path !== "");
  if (kubeconfig !== undefined) return loadFiles([kubeconfig]);
  if (listed.length > 0) {
    // Of a list, kubectl takes those that are there.
    const there = listed.filter((path) => existsSync(path));
    if (there.length > 0) return loadFiles(there);
    throw new UsageError(
      `KUBECONFIG names no file that is there: ${listed.join(", ")}`,
      "name one with --kubeconfig, or mend KUBECONFIG",
    );
  }
  // Else the library would take a server at localhost.
  const path = join(homedir(), ".kube", "config");
  if (!existsSync(path) && !existsSync(SERVICE_ACCOUNT_TOKEN)) {
    throw new UsageError("there is no kubeconfig", "name one with --kubeconfig, or set KUBECONFIG");
  }
  const config = new KubeConfig();
  try {
    config.loadFromDefault();
  } catch (cause) {
    throw new UsageError(`the kubeconfig cannot be used: ${errorCode(cause)}`, "name one with --kubeconfig");
  }
  return { config, texts: existsSync(path) ? [readFileSync(path, "utf8")] : [] };
}

interface Loaded {
  readonly config: KubeConfig;
  /** Those of the files. */
  readonly texts: readonly string[];
}

const SERVICE_ACCOUNT_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/** What several say, the first word about anything. @throws UsageError that names the one which cannot be used */
function loadFiles(paths: readonly string[]): Loaded {
  const all = new KubeConfig();
  const texts: string[] = [];
  for (const path of paths) {
    const one = new KubeConfig();
    try {
      // Read once: it may be a pipe.
      const text = readFileSync(path, "utf8");
      one.loadFromString(text);
      one.makePathsAbsolute(dirname(path));
      texts.push(text);
    } catch (cause) {
      throw new UsageError(`${path} cannot be used: ${errorCode(cause)}`, "name another with --kubeconfig");
    }
    const isNew = (known: readonly { readonly name: string }[]) => (other: { readonly name: string }) =>
      !known.some(({ name }) => name === other.name);
    all.clusters = [...all.clusters, ...one.clusters.filter(isNew(all.clusters))];
    all.users = [...all.users, ...one.users.filter(isNew(all.users))];
    all.contexts = [...all.contexts, ...one.contexts.filter(isNew(all.contexts))];
    all.currentContext ||= one.currentContext;
  }
  return { config: all, texts };
}

/**
 * As whom a user of a kubeconfig acts, beside the name, which the library sees to: it leaves out groups, uid and extra
 * (https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation).
 */
function impersonationOf(
  texts: readonly string[],
  userName: string | undefined,
): Readonly<Record<string, string | readonly string[]>> {
  const users = texts.flatMap((text) => loadYaml<RawKubeconfig | null>(text)?.users ?? []);
  const raw = users.find(({ name }) => name === userName)?.user;
  const { as: user = "", "as-uid": uid, "as-groups": groups, "as-user-extra": extra = {} } = raw ?? {};
  if (user === "" && (uid !== undefined || groups !== undefined || Object.keys(extra).length > 0))
    throw new UsageError(
      `user ${JSON.stringify(userName)} of the kubeconfig acts as groups, a uid or extra, and as no user`,
      "write as: beside them, as kubectl wants it too",
    );
  if (user === "") return {};
  return {
    ...(uid !== undefined && { "impersonate-uid": uid }),
    ...(groups !== undefined && { "impersonate-group": groups }),
    ...Object.fromEntries(
      Object.entries(extra).map(([key, values]) => [`impersonate-extra-${encodeURIComponent(key)}`, values]),
    ),
  };
}

interface RawKubeconfig {
  readonly users?: readonly {
    readonly name?: string;
    readonly user?: {
      readonly as?: string;
      readonly "as-uid"?: string;
      readonly "as-groups"?: readonly string[];
      readonly "as-user-extra"?: Readonly<Record<string, readonly string[]>>;
    };
  }[];
}

/** Why there is no answer, and whether that is because it took too long. */
function reasonOf(error: unknown, { timeoutMs = TIMEOUT_MS }: ApiRequest): readonly [boolean, string] {
  const isLate = error instanceof Error && (error.name === "TimeoutError" || errorCode(error) === "ABORT_ERR");
  return [isLate, isLate ? `no answer within ${String(timeoutMs / 1000)} s` : errorCode(error)];
}
