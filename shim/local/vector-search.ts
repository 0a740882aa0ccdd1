/** A vector database with one small collection, in the form of Qdrant's REST interface. https://api.qdrant.tech */

import { z } from "zod";

import {
  RequestError,
  startBackend,
  unknownOperation,
  type Backend,
  type BackendOptions,
  type Exchange,
} from "./server-backend.js";

const COLLECTION = "docs";
const DIMENSIONS = 4;

/** Axes: routing, identity, time, cost. */
const POINTS = [
  { id: 1, vector: [0.9, 0.1, 0.1, 0.1], payload: { title: "One host name per AI capability" } },
  { id: 2, vector: [0.7, 0.2, 0.1, 0.6], payload: { title: "When an agent belongs on Cloud Run" } },
  { id: 3, vector: [0.1, 0.9, 0.1, 0.1], payload: { title: "ID tokens and their audiences" } },
  { id: 4, vector: [0.4, 0.8, 0.2, 0.1], payload: { title: "Which hop injects" } },
  { id: 5, vector: [0.1, 0.1, 0.9, 0.2], payload: { title: "Reading a waterfall of hops" } },
  { id: 6, vector: [0.2, 0.1, 0.7, 0.7], payload: { title: "What a cold start costs" } },
];

const searchRequest = z.object({
  vector: z.array(z.number()),
  limit: z.int().min(1).max(100),
  offset: z.int().min(0).nullish(),
  with_payload: z.boolean().nullish(),
  with_vector: z.boolean().nullish(),
  score_threshold: z.number().nullish(),
});

/**
 * Starts a vector search: `GET /collections`, `GET /collections/docs`, `POST /collections/docs/points/search` (cosine,
 * 4 dimensions), `GET /healthz`. @throws Failure if the port cannot be had.
 */
export function startVectorSearch(options: BackendOptions = {}): Promise<Backend> {
  return startBackend(options, async (exchange) => {
    const [, collection, rest = ""] = /^\/collections\/([^/]+)(\/points\/search)?$/.exec(exchange.url.pathname) ?? [];
    const operation = collection === undefined ? exchange.operation : `${exchange.request.method} ${rest}`;
    if (collection !== undefined && collection !== COLLECTION) {
      throw new RequestError(404, `Not found: Collection \`${collection}\` doesn't exist!`);
    }
    switch (operation) {
      case "GET /collections":
        return succeed(exchange, { collections: [{ name: COLLECTION }] });
      case "GET ":
        return succeed(exchange, { status: "green", points_count: POINTS.length, config: collectionConfig() });
      case "POST /points/search":
        return succeed(exchange, search(await exchange.body()));
      default:
        throw unknownOperation(exchange);
    }
  });
}

/** Qdrant's envelope; `time` in seconds. */
function succeed(exchange: Exchange, result: unknown): void {
  exchange.json(200, { result, status: "ok", time: exchange.elapsedMs / 1000 });
}

function collectionConfig(): Record<string, unknown> {
  return { params: { vectors: { size: DIMENSIONS, distance: "Cosine" } } };
}

/** The nearest points, best first; equal scores by id. */
function search(body: unknown): Record<string, unknown>[] {
  const parsed = searchRequest.safeParse(body);
  if (!parsed.success) throw new RequestError(400, z.prettifyError(parsed.error));
  const { vector, limit, offset, with_payload, with_vector, score_threshold } = parsed.data;
  if (vector.length !== DIMENSIONS) {
    const message = `Wrong input: Vector dimension error: expected dim: ${DIMENSIONS}, got ${vector.length}`;
    throw new RequestError(400, message);
  }
  const first = offset ?? 0;
  return POINTS.map((point) => ({ ...point, score: cosine(point.vector, vector) }))
    .filter(({ score }) => score >= (score_threshold ?? -1))
    .sort((one, other) => other.score - one.score || one.id - other.id)
    .slice(first, first + limit)
    .map(({ id, score, payload, vector: own }) => ({
      id,
      version: 0,
      score,
      ...(with_payload ? { payload } : {}),
      ...(with_vector ? { vector: own } : {}),
    }));
}

/** -1 to 1; 0 where a vector has no direction. */
function cosine(one: readonly number[], other: readonly number[]): number {
  const product = dot(one, other);
  const lengths = Math.sqrt(dot(one, one) * dot(other, other));
  return lengths === 0 ? 0 : product / lengths;
}

function dot(one: readonly number[], other: readonly number[]): number {
  return one.reduce((sum, value, index) => sum + value * (other[index] ?? 0), 0);
}
