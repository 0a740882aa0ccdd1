import type { Backend, Hop, Mesh, Route } from "../config/model.js";
import { standInKind } from "./endpoints.js";

/** One request that shows something, and what its answer must be. */
export interface Demonstration {
  readonly title: string;
  readonly host: string;
  readonly backend: string;
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  /** The audience of the ID token that the service must have seen; undefined: no token is expected. */
  readonly audience: string | undefined;
  readonly isStream: boolean;
  /** The real service behind it, if it is no stand-in. */
  readonly replacement?: URL | undefined;
}

/** At most this many routes are shown; the others are only listed. */
const MAX_ROUTES = 8;

/**
 * Requests that show what each route of the mesh does: one for each route, in the form that the stand-in of its backend
 * understands, and a streaming one for the first chat service.
 *
 * `replaced` names the backends behind which a real service answers: those are only asked for their answer, not for what
 * the stand-in would have reported.
 */
export function demonstrationsFor(
  mesh: Mesh,
  replaced: ReadonlyMap<string, URL>,
  chatModel: string,
): readonly Demonstration[] {
  const demonstrations: Demonstration[] = [];
  for (const route of mesh.routes.slice(0, MAX_ROUTES)) {
    const shown = soleBackend(mesh, route);
    const host = exampleHost(route);
    if (host === undefined) continue;
    if (shown === undefined) {
      demonstrations.push(ofSplit(route, host));
      continue;
    }
    const streamed = demonstrations.some(({ isStream }) => isStream);
    const replacement = replaced.get(shown.name);
    const own = forBackend(mesh, shown, host, replacement !== undefined, chatModel, !streamed);
    demonstrations.push(...own.map((demonstration) => ({ ...demonstration, replacement })));
  }
  return demonstrations;
}

/** Which arm answers is not known beforehand, so this asks for what all stand-ins have. */
function ofSplit({ arms }: Route, host: string): Demonstration {
  const backend = arms.map(({ backend: name, weight }) => `${name} ${weight} %`).join(", ");
  const common = { method: "GET", path: "/healthz", headers: {}, body: undefined, audience: undefined } as const;
  return { title: "a route that is split", host, backend, ...common, isStream: false };
}

/** A host that the route matches. */
export function exampleHost(route: Route): string | undefined {
  return route.hosts[0]?.replace(/^\*\./, "demo.");
}

/** The backend of a route without a split; which arm a split takes is not known beforehand. */
export function soleBackend(mesh: Mesh, route: Route): Backend | undefined {
  const [arm, ...others] = route.arms.filter(({ weight }) => weight > 0);
  return arm !== undefined && others.length === 0 ? mesh.backends.get(arm.backend) : undefined;
}

/** The hop that adds the ID token to requests for `backend`, in words. */
export function injectorOf(mesh: Mesh, backend: Backend): string | undefined {
  if (backend.kind !== "cloudRun" || mesh.identity.mode === "off") return undefined;
  const waypoint: Hop | undefined = backend.through === undefined ? undefined : mesh.hops.get(backend.through);
  return waypoint === undefined ? "the gateway" : `the waypoint ${waypoint.name}`;
}

function forBackend(
  mesh: Mesh,
  backend: Backend,
  host: string,
  isReplaced: boolean,
  chatModel: string,
  withStream: boolean,
): readonly Demonstration[] {
  const common = { host, backend: backend.name, audience: undefined, isStream: false };
  switch (standInKind(backend)) {
    case "vectorSearch":
      return [
        {
          ...common,
          title: "a vector search in the cluster",
          ...post("/collections/docs/points/search", { vector: [0.1, 0.2, 0.3, 0.4], limit: 3 }),
        },
      ];
    case "chat": {
      const messages = [{ role: "user", content: "Which hop is slow?" }];
      const ask = post("/v1/chat/completions", { model: chatModel, messages });
      const stream = post("/v1/chat/completions", { model: chatModel, messages, stream: true });
      return [
        { ...common, title: "a chat completion in the cluster", ...ask },
        ...(withStream ? [{ ...common, title: "the same, streamed token by token", ...stream, isStream: true }] : []),
      ];
    }
    case "agent": {
      const injector = injectorOf(mesh, backend);
      const audience =
        backend.kind === "cloudRun" && injector !== undefined && !isReplaced ? backend.audience : undefined;
      const title =
        injector === undefined ? "an agent on Cloud Run" : `an agent on Cloud Run, ID token added by ${injector}`;
      return [{ ...common, title, method: "GET", path: "/", headers: {}, body: undefined, audience }];
    }
  }
}

function post(path: string, body: object): Pick<Demonstration, "method" | "path" | "headers" | "body"> {
  return { method: "POST", path, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}
