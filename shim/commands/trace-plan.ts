/** What `hopgate trace` sends: the command line and a hopgate.yaml, where there is one, made into a request. */

import { existsSync, readFileSync } from "node:fs";

import { loadMesh } from "../config/load.js";
import type { Mesh } from "../config/model.js";
import { errorCode, UsageError } from "../errors.js";
import { hostOfAuthority, matchHost } from "../explain/host-match.js";
import { parseUrl } from "../explain/url.js";
import { shownUrl } from "../output/text.js";
import type { ClientRequest } from "../trace/client.js";
import { DEFAULT_CONFIG } from "./config-path.js";
import { type Header, parseHeaders, parseMethod, parseResolve } from "./request-options.js";

export interface RequestOptions {
  readonly header: readonly string[];
  readonly request?: string | undefined;
  readonly data?: string | undefined;
  readonly key?: string | undefined;
  readonly cacert?: string | undefined;
  readonly resolve?: string | undefined;
  readonly config?: string | undefined;
  /** For each request, in seconds. */
  readonly timeout: number;
}

/** What is sent, each time. */
export interface Plan {
  readonly url: string;
  readonly request: ClientRequest;
  /** Without the key, which is in `request`. */
  readonly headers: readonly Header[];
  readonly key: "sent" | "none" | "withheld";
  readonly host: string;
  readonly mesh: Mesh | undefined;
  /** The hopgate.yaml, where there is one. */
  readonly config: string | undefined;
}

/** Throws UsageError if the URL, a header, the method or a file that is named cannot be used. */
export async function planOf(text: string, options: RequestOptions): Promise<Plan> {
  const url = parseUrl(text);
  if (url.username !== "" || url.password !== "") {
    throw new UsageError(
      `The URL ${shownUrl(text)} was given with credentials, and they would be dropped.`,
      "Send them in a header: -H 'authorization: Basic BASE64'.",
    );
  }
  const config = options.config ?? (existsSync(DEFAULT_CONFIG) ? DEFAULT_CONFIG : undefined);
  const mesh = config === undefined ? undefined : await loadMesh(config);
  const given = parseHeaders(options.header);
  const host = hostOfAuthority(given.find(([name]) => name === "host")?.[1] ?? url.host);
  const { key, state } = keyFor(mesh, host, options.key);
  const headers = joined([...defaultHeaders(options.data, given), ...given]);
  return {
    url: text,
    request: {
      url: text,
      method: parseMethod(options.request ?? (options.data === undefined ? "GET" : "POST")),
      headers: Object.fromEntries([...headers, ...(key === undefined ? [] : [["x-hopgate-trace", key] as const])]),
      body: options.data,
      timeoutMs: options.timeout * 1000,
      ...(options.cacert !== undefined && { ca: readCertificates(options.cacert) }),
      ...(options.resolve !== undefined && { connectTo: parseResolve(options.resolve, url) }),
    },
    headers: headers.some(([name]) => name === "host") ? headers : [["host", url.host], ...headers],
    key: given.some(([name]) => name === "x-hopgate-trace") ? "sent" : state,
    host,
    mesh,
    config,
  };
}

/** The key of a file goes to the hosts of that file alone: it is a secret of that mesh. */
function keyFor(
  mesh: Mesh | undefined,
  host: string,
  given: string | undefined,
): { readonly key: string | undefined; readonly state: Plan["key"] } {
  if (given !== undefined) return { key: given, state: "sent" };
  if (mesh?.timing.key === undefined) return { key: undefined, state: "none" };
  const patterns = mesh.routes.flatMap(({ hosts }) => hosts);
  if (matchHost(host, patterns).type === "none") return { key: undefined, state: "withheld" };
  return { key: mesh.timing.key, state: "sent" };
}

/** A body is taken for JSON, which AI services speak, unless a header says otherwise. */
function defaultHeaders(data: string | undefined, given: readonly Header[]): readonly Header[] {
  if (data === undefined) return [];
  const length: Header = ["content-length", String(Buffer.byteLength(data))];
  return given.some(([name]) => name === "content-type") ? [length] : [["content-type", "application/json"], length];
}

/** Headers that are given twice, as one (RFC 9110, section 5.3). */
function joined(headers: readonly Header[]): readonly Header[] {
  const values = new Map<string, string>();
  for (const [name, value] of headers) {
    const earlier = values.get(name);
    values.set(name, earlier === undefined ? value : `${earlier}, ${value}`);
  }
  return [...values];
}

function readCertificates(file: string): string {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw new UsageError(`--cacert ${file} cannot be read (${errorCode(cause)}).`, "Name a file of PEM certificates.");
  }
  if (text.includes("-----BEGIN CERTIFICATE-----")) return text;
  throw new UsageError(`--cacert ${file} holds no certificate.`, "Name a file of PEM certificates.");
}
