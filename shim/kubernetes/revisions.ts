import { randomBytes } from "node:crypto";

import type { Mesh } from "../config/model.js";
import { Failure } from "../errors.js";
import { decodeRevision, encodeRevision, leastNeeded, type Revision } from "../plan/revision.js";
import { apiPath } from "../render/istio/api-path.js";
import { labelsOf } from "../render/istio/labels.js";
import type { Resource } from "../render/istio/resource.js";
import { revisionNames, revisionNamespace } from "../render/istio/revision-names.js";
import { ApiError, each, type Objects } from "./objects.js";

/** What a Secret of ours is of; any other of its name is somebody's. */
const TYPE = "hopgate/revision";
/** How often whoever deploys says that they are at it. */
const BEAT_MS = 2000;
/** Whoever has not said so for this long is not. */
const SILENT_MS = 5000;

/** A Secret in which a revision is, or may be kept. */
interface Place {
  readonly name: string;
  /** Its resourceVersion; undefined: it is not there. */
  version: string | undefined;
  revision: Revision | undefined;
}

/** The revisions of a mesh, in ten Secrets. */
export class Revisions {
  /** Without those that are somebody else's. */
  private places: readonly Place[] | undefined;
  /** Reads and writes come one after the other: what is written goes by the version that was read. */
  private last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly mesh: Mesh,
    private readonly objects: Objects,
  ) {}

  /** All that are kept. */
  async list(): Promise<readonly Revision[]> {
    const places = await this.inTurn(() => this.read());
    return places.flatMap(({ revision }) => revision ?? []);
  }

  /**
   * Writes a revision into its place, over what was there when it was last read or written; a new one into a free place, or into that
   * of the one which is needed least.
   * @throws Failure if somebody else has written there since
   */
  async write(revision: Revision): Promise<void> {
    await this.inTurn(async () => {
      const place = placeFor(revision, this.places ?? (await this.read()));
      try {
        place.version = await this.put(place, revision);
      } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 409) throw error;
        // Of a write whose answer was lost only the version is not known.
        const now = placeFor(revision, await this.read());
        if (now.revision?.number !== revision.number || now.revision.startedAt !== revision.startedAt)
          throw somebodyElse(this.mesh, error);
        now.version = await this.put(now, revision);
        now.revision = revision;
        return;
      }
      place.revision = revision;
    });
  }

  /** Says again and again that somebody is at `revision`. Returns what ends that. */
  beat(revision: Revision): () => Promise<void> {
    let beats = 0;
    let isUnderWay = false;
    const beat = async (): Promise<void> => {
      if (isUnderWay) return;
      isUnderWay = true;
      // That it cannot be said is told by whatever else cannot be done.
      await this.write({ ...revision, beats: ++beats }).catch(() => undefined);
      isUnderWay = false;
    };
    const timer = setInterval(() => void beat(), BEAT_MS);
    timer.unref();
    return async () => {
      clearInterval(timer);
      await this.last;
    };
  }

  /** Whether whoever began `revision` is at it. `pause` is the time between two looks. */
  async isAlive({ number, beats }: Revision, pause: () => Promise<void>): Promise<boolean> {
    const endMs = performance.now() + SILENT_MS;
    for (let isLast = false; !isLast;) {
      await pause();
      // A look that has begun late enough is the last, however long it takes.
      isLast = performance.now() >= endMs;
      const now = (await this.list()).find((revision) => revision.number === number);
      if (now?.beats !== beats || now?.state !== "pending") return true;
    }
    return false;
  }

  /** Removes every revision. */
  async clear(): Promise<void> {
    await this.inTurn(async () => {
      const places = await this.read();
      const taken = places.filter(({ version }) => version !== undefined);
      await each(taken, ({ name }) => this.objects.delete(this.secret(name, {})));
      this.places = undefined;
    });
  }

  private async read(): Promise<readonly Place[]> {
    const places = await each(revisionNames(this.mesh), async (name): Promise<Place | undefined> => {
      const secret = await this.objects.get(this.secret(name, {}));
      if (secret === undefined) return { name, version: undefined, revision: undefined };
      if (secret["type"] !== TYPE) return undefined;
      const data = secret["data"] as { readonly revision?: string } | undefined;
      const text = Buffer.from(data?.revision ?? "", "base64").toString("latin1");
      return { name, version: secret.metadata["resourceVersion"] as string, revision: decodeRevision(text) };
    });
    this.places = places.filter((place) => place !== undefined);
    return this.places;
  }

  /** Returns its new version. @throws ApiError with 409 if it is another by now */
  private async put({ name, version }: Place, revision: Revision): Promise<string> {
    const data = { revision: Buffer.from(encodeRevision(revision), "latin1").toString("base64") };
    const secret = this.secret(name, { data, type: TYPE }, version);
    const written = await this.objects.request<Resource>(
      version === undefined
        ? // As a manager of its own: of two that create it at the same time, one is in conflict.
          {
            method: "PATCH",
            path: apiPath(secret),
            query: { fieldManager: `hopgate-${randomBytes(8).toString("hex")}` },
            contentType: "application/apply-patch+yaml",
            body: JSON.stringify(secret),
          }
        : { method: "PUT", path: apiPath(secret), body: JSON.stringify(secret) },
      `write revision ${String(revision.number)}`,
    );
    return written.metadata["resourceVersion"] as string;
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.last.then(work, work);
    this.last = result.catch(() => undefined);
    return result;
  }

  private secret(name: string, fields: { type?: string; data?: { revision: string } }, version?: string): Resource {
    return {
      apiVersion: "v1",
      kind: "Secret",
      metadata: {
        name,
        namespace: revisionNamespace(this.mesh),
        labels: labelsOf(this.mesh, undefined),
        ...(version !== undefined && { resourceVersion: version }),
      },
      ...(fields.type !== undefined && { type: fields.type }),
      ...(fields.data !== undefined && { data: fields.data }),
    };
  }
}

export function somebodyElse({ name }: Mesh, cause?: unknown): Failure {
  const fix = "Wait until it has ended, and run this again.";
  return new Failure(`Somebody else is deploying ${name} to this cluster.`, { fix, cause });
}

/** @throws Failure if all places are somebody else's */
function placeFor({ number }: Revision, places: readonly Place[]): Place {
  const known = places.flatMap(({ revision }) => revision ?? []);
  const least = leastNeeded(known);
  const place =
    places.find(({ revision }) => revision?.number === number) ??
    // One that cannot be read may be of a later version of hopgate.
    places.find(({ version }) => version === undefined) ??
    places.find(({ revision }) => revision !== undefined && revision === least);
  if (place !== undefined) return place;
  throw new Failure("There is no place for a revision: all Secrets of their names are somebody else's.");
}
