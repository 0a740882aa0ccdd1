import { carriersOf, credentialsFor } from "../config/credential.js";
import type { Backend, Hop, Mesh, Route, Validator } from "../config/model.js";
import { checksOn } from "../config/checks.js";
import { type Caller, entranceOf, isChoosy, validatorsOn } from "./callers.js";
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
  /** Who checks callers on the way. */
  readonly validators: readonly Validator[];
  readonly caller: Caller;
  /** What a hop must answer instead of the service. */
  readonly refusal: { readonly status: number; readonly code: string } | undefined;
  /** The ID tokens that the service must have seen, the caller's own included; undefined: it is not asked. */
  readonly tokens: ExpectedTokens | undefined;
  readonly isStream: boolean;
  /** The real service behind it, if it is no stand-in. */
  readonly replacement?: URL | undefined;
}

interface ExpectedTokens {
  /** Of the token that a hop of ours adds. */
  readonly audience: string;
  /** Of the caller's own, where it goes on to the service. */
  readonly callerAudience: string | undefined;
}

/** At most this many routes are shown; the others are only listed. */
const MAX_ROUTES = 8;

/**
 * Requests that show what each route of the mesh does: one for each route, in the form that the stand-in of its backend
 * understands, and a streaming one for the first chat service. Where callers are checked, also callers that are not let in.
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
    const validators = validatorsOn(mesh, route);
    const common = { host, validators, caller: "allowed", refusal: undefined, isStream: false } as const;
    const streamed = demonstrations.some(({ isStream }) => isStream);
    const replacement = replaced.get(shown?.name ?? "");
    const own =
      shown === undefined
        ? [ofSplit(common, route)]
        : forBackend(common, mesh, shown, replacement !== undefined, chatModel, !streamed);
    const [first] = own;
    const refused = first === undefined ? [] : refusalsOf(first);
    demonstrations.push(...[...own, ...refused].map((demonstration) => ({ ...demonstration, replacement })));
  }
  return demonstrations;
}

/** The same request from callers that the validators do not let in. */
function refusalsOf(allowed: Demonstration): readonly Demonstration[] {
  const { validators, host } = allowed;
  const refused = { ...allowed, tokens: undefined, isStream: false };
  const anonymous = {
    ...refused,
    title: `a caller without a token at ${host}`,
    caller: "anonymous",
    refusal: { status: 401, code: "token_missing" },
  } as const;
  const stranger = {
    ...refused,
    title: `a caller that is on no list at ${host}`,
    caller: "stranger",
    refusal: { status: 403, code: "caller_not_allowed" },
  } as const;
  return [...(validators.length > 0 ? [anonymous] : []), ...(isChoosy(validators) ? [stranger] : [])];
}

/** What all requests to one host have in common. */
type Common = Pick<Demonstration, "host" | "validators" | "caller" | "refusal" | "isStream">;

/** Which arm answers is not known beforehand, so this asks for what all stand-ins have. */
function ofSplit(common: Common, { arms }: Route): Demonstration {
  const backend = arms.map(({ backend: name, weight }) => `${name} ${weight} %`).join(", ");
  const request = { method: "GET", path: "/healthz", headers: {}, body: undefined } as const;
  return { ...common, ...request, title: "a route that is split", backend, tokens: undefined };
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

/** The hops that check callers of a route, in words. */
export function checkersOf(mesh: Mesh, route: Route): readonly string[] {
  const hops = checksOn(mesh, entranceOf(mesh), route).map(({ hop }) => hop);
  return [...new Set(hops)].map((hop) => (hop.kind === "gateway" ? "the gateway" : `the waypoint ${hop.name}`));
}

function forBackend(
  base: Common,
  mesh: Mesh,
  backend: Backend,
  isReplaced: boolean,
  chatModel: string,
  withStream: boolean,
): readonly Demonstration[] {
  const common = { ...base, backend: backend.name, tokens: undefined };
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
      const tokens =
        backend.kind === "cloudRun" && injector !== undefined && !isReplaced
          ? { audience: backend.audience, callerAudience: forwardedAudience(base.validators) }
          : undefined;
      const title =
        injector === undefined ? "an agent on Cloud Run" : `an agent on Cloud Run, ID token added by ${injector}`;
      return [{ ...common, title, method: "GET", path: "/", headers: {}, body: undefined, tokens }];
    }
  }
}

/** Of the caller's token in `authorization`, which stand-ins report, where no hop takes it away. */
function forwardedAudience(validators: readonly Validator[]): string | undefined {
  const carriers = carriersOf(validators);
  const takesAway = validators.some(({ forward }, index) => !forward && carriers[index] === "authorization");
  return takesAway ? undefined : credentialsFor(validators)?.find(({ header }) => header === "authorization")?.audience;
}

function post(path: string, body: object): Pick<Demonstration, "method" | "path" | "headers" | "body"> {
  return { method: "POST", path, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}
