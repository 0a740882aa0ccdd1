import type { Backend } from "../config/model.js";
import { startAgent } from "./agent.js";
import { type ChatOptions, startChat } from "./chat.js";
import type { CloudRunService } from "./cloud-run-access.js";
import { type CloudRun, startCloudRun } from "./cloud-run.js";
import type { KeySet } from "./keys.js";
import type { LocalServer, TlsIdentity } from "./server.js";
import { startVectorSearch } from "./vector-search.js";

/** What answers for a backend: which requests make sense to it follows from this. */
export type StandInKind = "chat" | "vectorSearch" | "agent";

/** Port of Qdrant's REST interface: a service with it is taken for a vector database. */
const VECTOR_PORT = 6333;

export function standInKind(backend: Backend): StandInKind {
  if (backend.kind === "cloudRun") return "agent";
  return backend.port === VECTOR_PORT ? "vectorSearch" : "chat";
}

export interface StandInOptions {
  readonly backends: readonly Backend[];
  readonly keys: KeySet;
  /** Certificate of Cloud Run's front end: must hold the host of every Cloud Run backend. */
  readonly tls: TlsIdentity;
  /** Email of the identity that the local metadata server hands out. */
  readonly caller: string;
  readonly chat?: ChatOptions | undefined;
  /** Gets every server as soon as it runs, so that none is left if a later one fails. */
  opened<T extends LocalServer>(server: T): T;
}

export interface StandIns {
  /** Port of what answers for each backend of the cluster, by name. */
  readonly ports: ReadonlyMap<string, number>;
  /** The front end of all Cloud Run services. */
  readonly cloudRun: CloudRun;
}

/**
 * Starts a stand-in for every backend: services of the cluster in plain text, those of Cloud Run behind its front end,
 * which lets `caller` in and nobody else.
 */
export async function startStandIns(options: StandInOptions): Promise<StandIns> {
  const { backends, keys, tls, caller, chat, opened } = options;
  const ports = new Map<string, number>();
  const services: Record<string, CloudRunService> = {};
  for (const backend of backends) {
    const server = opened(await startStandIn(backend, chat));
    if (backend.kind === "kubernetes") ports.set(backend.name, server.port);
    else services[backend.host] = { audiences: [backend.audience], invokers: [caller], container: server.origin };
  }
  return { ports, cloudRun: opened(await startCloudRun({ services, keys: () => keys.jwks(), tls })) };
}

function startStandIn(backend: Backend, chat: ChatOptions | undefined): Promise<LocalServer> {
  switch (standInKind(backend)) {
    case "chat":
      return startChat(chat);
    case "vectorSearch":
      return startVectorSearch();
    case "agent":
      return startAgent();
  }
}
