import { hostOfOrigin, normalHost } from "./host-name.js";
import type { Arm, Backend, GatewayHop, Hop, Mesh, Route, Validator } from "./model.js";
import type { MeshFile } from "./schema.js";

/** What the Pods of a Gateway API gateway are labelled with, its name. */
export const GATEWAY_NAME_LABEL = "gateway.networking.k8s.io/gateway-name";

/** The mesh of a file that obeys the schema and the rules. Host and header names are in lower case from here on. */
export function meshOf(file: MeshFile): Mesh {
  const { mode, serviceAccount, timeoutMs, refreshBeforeSec, maxWaiters } = file.identity;
  return {
    name: file.name,
    image: file.image,
    imagePullSecret: file.imagePullSecret,
    revisionNamespace: file.revisionNamespace,
    backends: mapOf(file.backends, backendOf),
    validators: mapOf(file.validators, validatorOf),
    routes: file.routes.map(routeOf),
    hops: mapOf(file.hops, (name, hop) => hopOf(name, hop, file.name)),
    identity: { mode, serviceAccount, timeoutMs, refreshBeforeSec, maxWaiters },
    timing: { expose: file.timing.expose, key: file.timing.key },
  };
}

function mapOf<From, To>(
  entries: Readonly<Record<string, From>>,
  convert: (name: string, from: From) => To,
): Map<string, To> {
  return new Map(Object.entries(entries).map(([name, from]) => [name, convert(name, from)]));
}

function backendOf(name: string, { kubernetes, cloudRun, through }: MeshFile["backends"][string]): Backend {
  if (kubernetes !== undefined) return { kind: "kubernetes", name, ...kubernetes, through };
  if (cloudRun === undefined) throw new Error(`backend ${name} is of no kind: the rules let it pass`);
  const { url, via, region } = cloudRun;
  const host = cloudRun.host === undefined ? hostOfOrigin(url) : normalHost(cloudRun.host);
  return { kind: "cloudRun", name, url, host, audience: cloudRun.audience ?? url, region, via, through };
}

function validatorOf(name: string, from: MeshFile["validators"][string]): Validator {
  return {
    ...from,
    name,
    header: from.header?.toLowerCase(),
    jwks: { ...from.jwks, host: normalHost(from.jwks.host) },
  };
}

function routeOf({ hosts, to, split, sticky, validate, open }: MeshFile["routes"][number]): Route {
  const whole: Arm[] = to === undefined ? [] : [{ backend: to, weight: 100 }];
  const shares: Arm[] = Object.entries(split ?? {}).map(([backend, weight]) => ({ backend, weight }));
  return {
    hosts: hosts.map(normalHost),
    arms: [...whole, ...shares],
    sticky: sticky?.toLowerCase(),
    validate,
    open: open?.replace(/\s+/g, " ").trim(),
  };
}

function hopOf(name: string, from: MeshFile["hops"][string], meshName: string): Hop {
  const { gateway, waypoint, edge, validate, unmatched, callers } = from;
  const bypass = from.bypass.map(({ path, hosts = [] }) => ({ path, hosts: hosts.map(normalHost) }));
  const common = { name, edge, validate, unmatched, bypass };
  if (gateway !== undefined) return { ...common, kind: "gateway", ...gatewayOf(gateway, meshName) };
  if (waypoint === undefined) throw new Error(`hop ${name} is of no kind: the rules let it pass`);
  return { ...common, kind: "waypoint", namespace: waypoint.namespace, gateway: waypoint.name, callers };
}

function gatewayOf(
  { namespace, selector, name, tls, port, secret }: NonNullable<MeshFile["hops"][string]["gateway"]>,
  meshName: string,
): Pick<GatewayHop, "namespace" | "selector" | "gateway" | "port" | "secret"> {
  return {
    namespace,
    selector: selector ?? { [GATEWAY_NAME_LABEL]: name ?? "" },
    gateway: name,
    port: port ?? (tls ? 443 : 80),
    secret: tls ? (secret ?? `${meshName}-tls`) : undefined,
  };
}
