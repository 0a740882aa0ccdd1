import { Failure } from "../errors.js";
import { apiPath, groupOf } from "../render/istio/api-path.js";
import { type Resource, titleOf } from "../render/istio/resource.js";
import type { ApiRequest, ApiResponse, Connection } from "./connection.js";

/** What the API server refused, in its own words. */
export class ApiError extends Failure {
  constructor(
    message: string,
    /** The HTTP status. */
    readonly status: number,
    /** What is wrong with which field, where it says so. */
    readonly causes: readonly ApiCause[],
    fix?: string,
  ) {
    super(message, fix === undefined ? {} : { fix });
  }
}

export interface ApiCause {
  readonly reason?: string;
  readonly message?: string;
  readonly field?: string;
}

/** A resource as the API server has it. */
export type LiveResource = Resource;

/** At most so many requests at a time. */
const CONCURRENCY = 16;

/** The resources of one cluster, read and written one by one. */
export class Objects {
  constructor(
    private readonly connection: Connection,
    /** The name under which fields are applied. */
    private readonly fieldManager: string,
  ) {}

  /** @throws ApiError if it is not allowed; undefined if there is none, or the cluster does not know its kind */
  async get(resource: Resource): Promise<LiveResource | undefined> {
    const read = async (one: Resource): Promise<ApiResponse> =>
      this.connection.send({ method: "GET", path: apiPath(one) });
    let response = await read(resource);
    if (response.status === 404 && isAboutKind(response)) {
      const served = await this.inServedVersion(resource);
      if (served !== undefined) response = await read(served);
    }
    return response.status === 404 ? undefined : this.expect(response, "read", resource);
  }

  /** The same in a version that the cluster knows; undefined: it knows the kind in none. */
  async served(resource: Resource): Promise<Resource | undefined> {
    return (await this.isServed(resource)) ? resource : this.inServedVersion(resource);
  }

  private async isServed({ apiVersion, kind }: Resource): Promise<boolean> {
    const list = await this.find<{ readonly resources: readonly { readonly kind: string }[] }>(`/apis/${apiVersion}`);
    return list?.resources.some((one) => one.kind === kind) === true;
  }

  /** The same in another version of its group that the cluster still has: an upgrade may have dropped the one it was made in. */
  private async inServedVersion(resource: Resource): Promise<Resource | undefined> {
    const group = groupOf(resource);
    if (group === "") return undefined;
    const found = await this.find<{ readonly versions: readonly { readonly groupVersion: string }[] }>(
      `/apis/${group}`,
    );
    for (const { groupVersion } of found?.versions ?? []) {
      const other = { ...resource, apiVersion: groupVersion };
      if (groupVersion !== resource.apiVersion && (await this.isServed(other))) return other;
    }
    return undefined;
  }

  /** What the API server says at a path, such as `/apis/GROUP`; undefined: it does not know the path. @throws ApiError */
  async find<T>(path: string): Promise<T | undefined> {
    const response = await this.connection.send({ method: "GET", path });
    if (response.status === 404) return undefined;
    if (response.status === 200) return jsonOf(response, `read ${path}`) as T;
    throw errorOf(response, `read ${path}`, this.fieldManager);
  }

  /**
   * Server-side apply as our field manager. By force only to see what would come of it (`differs`).
   * @throws ApiError with the reason: another manager's field (409), what the webhook of Istio says, a missing right
   */
  async apply(resource: Resource, { dryRun = false } = {}): Promise<LiveResource> {
    return this.applyWith(resource, dryRun ? { dryRun: "All" } : {});
  }

  /** What a dry run by force would make of it, whoever owns its fields. */
  differs(resource: Resource): Promise<LiveResource> {
    return this.applyWith(resource, { dryRun: "All", force: "true" });
  }

  private async applyWith(resource: Resource, options: Readonly<Record<string, string>>): Promise<LiveResource> {
    const response = await this.connection.send({
      method: "PATCH",
      path: apiPath(resource),
      query: { fieldManager: this.fieldManager, fieldValidation: "Strict", ...options },
      contentType: "application/apply-patch+yaml",
      body: JSON.stringify(resource),
    });
    return this.expect(response, "apply", resource);
  }

  /** Removes the resource, if it is there. Whether it was. */
  async delete(resource: Resource, { dryRun = false } = {}): Promise<boolean> {
    const remove = async (one: Resource): Promise<ApiResponse> =>
      this.connection.send({
        method: "DELETE",
        path: apiPath(one),
        query: { propagationPolicy: "Background", ...(dryRun && { dryRun: "All" }) },
      });
    let response = await remove(resource);
    if (response.status === 404 && isAboutKind(response)) {
      const served = await this.inServedVersion(resource);
      if (served !== undefined) response = await remove(served);
    }
    if (response.status === 404) return false;
    this.expect(response, "remove", resource);
    return true;
  }

  /** Gives up our fields of a resource that is another's. Whether it is there and had any. */
  async release(
    { apiVersion, kind, metadata: { name, namespace } }: Resource,
    options: { readonly dryRun?: boolean } = {},
  ): Promise<boolean> {
    const bare: Resource = { apiVersion, kind, metadata: { name, namespace } };
    const live = await this.get(bare);
    if (live === undefined) return false;
    const released = await this.apply({ ...bare, apiVersion: live.apiVersion }, options);
    return released.metadata["resourceVersion"] !== live.metadata["resourceVersion"];
  }

  /** Whether somebody else wrote any of its spec. */
  hasOthers({ metadata }: LiveResource): boolean {
    const managers = (metadata["managedFields"] ?? []) as unknown as readonly ManagedFields[];
    return managers.some(
      ({ manager, subresource, fieldsV1 = {} }) =>
        manager !== this.fieldManager && subresource === undefined && "f:spec" in fieldsV1,
    );
  }

  /** Any other request. @throws ApiError unless the status is 2xx */
  async request<T>(request: ApiRequest, what: string): Promise<T> {
    const response = await this.connection.send(request);
    if (response.status >= 200 && response.status < 300) return jsonOf(response, what) as T;
    throw errorOf(response, what, this.fieldManager);
  }

  private expect(response: ApiResponse, verb: string, resource: Resource): LiveResource {
    const what = `${verb} ${titleOf(resource)}`;
    if (response.status >= 200 && response.status < 300) return jsonOf(response, what) as LiveResource;
    throw errorOf(response, what, this.fieldManager, resource);
  }
}

/** Of a resource that is not there, the API server says its name; of a path that it does not know, nothing. */
function isAboutKind({ body }: ApiResponse): boolean {
  try {
    return (JSON.parse(body) as Status).details?.name === undefined;
  } catch {
    return true;
  }
}

interface ManagedFields {
  readonly manager?: string;
  readonly subresource?: string;
  readonly fieldsV1?: object;
}

/** Runs `work` for each item, several at a time; the results are in the order of the items. */
export async function each<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = [];
  const queue = [...items.entries()];
  const worker = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) results[next[0]] = await work(next[1]);
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, items.length) }, worker));
  return results;
}

interface Status {
  readonly message?: string;
  readonly reason?: string;
  readonly details?: { readonly name?: string; readonly causes?: readonly ApiCause[] };
}

function errorOf({ status, body }: ApiResponse, what: string, fieldManager: string, resource?: Resource): ApiError {
  let parsed: Status = {};
  try {
    parsed = JSON.parse(body) as Status;
  } catch {
    // A proxy in between may answer with a page; its status has to do.
  }
  const message = parsed.message ?? `HTTP ${String(status)}`;
  const causes = parsed.details?.causes ?? [];
  if (status === 409 && causes.some(({ reason }) => reason === "FieldManagerConflict")) {
    const owned = causes.map(({ field = "", message: by = "" }) => `${field} (${by})`).join(", ");
    const fix = conflictFix(causes, resource, fieldManager);
    return new ApiError(`Cannot ${what}: another manager owns ${owned}.`, status, causes, fix);
  }
  const fix =
    status === 401
      ? "Log in again: the API server does not take these credentials (kubectl auth whoami)."
      : status === 403
        ? "hopgate render --rbac prints the role that is needed; for what an earlier file had, of that file."
        : status === 404 && what.startsWith("apply")
          ? missingFix(message)
          : message.includes("must be unique for each listener")
            ? "Another listener of that Gateway has the port: write port: for the hop, with one that is free."
            : undefined;
  return new ApiError(
    `Cannot ${what}: ${message.trim()}${message.trim().endsWith(".") ? "" : "."}`,
    status,
    causes,
    fix,
  );
}

/** @throws ApiError if it is none: something in between answered, such as a page to log in */
function jsonOf({ status, body }: ApiResponse, what: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    throw new ApiError(`Cannot ${what}: the answer is no JSON, so it is not the API server's.`, status, []);
  }
}

/** The API server says so of one who wrote a field, and did not apply it. */
const WRITTEN = " using ";

function conflictFix(causes: readonly ApiCause[], resource: Resource | undefined, fieldManager: string): string {
  const isWritten = causes.some(({ message = "" }) => message.includes(WRITTEN));
  return isWritten && resource !== undefined
    ? `Somebody changed what hopgate made (as with kubectl edit or patch). To take this one back, with the file and the image that are deployed, and then run this again: hopgate render --only '${titleOf(resource)}' | kubectl apply --server-side --force-conflicts --field-manager=${fieldManager} -f -`
    : "Whoever manages these fields would undo it, or be undone. Let that manager give them up (kubectl apply --server-side --field-manager=THAT of the resource without them), or leave the resource to it.";
}

function missingFix(message: string): string {
  const namespace = /^namespaces "([^"]+)" not found/.exec(message)?.[1];
  return namespace === undefined
    ? "The cluster does not know its kind: hopgate doctor says what is missing."
    : `Create it: kubectl create namespace ${namespace}`;
}
