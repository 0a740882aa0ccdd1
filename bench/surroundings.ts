import { type Keeper, openKeeper } from "../shim/envoy/keeper.js";
import { startJwks } from "../shim/local/jwks.js";
import { createKeySet, type KeySet } from "../shim/local/keys.js";
import { type MetadataServer, startMetadataServer } from "../shim/local/metadata-server.js";
import { serviceConfig, type Upstreams } from "./envoy-config.js";
import type { Callers } from "./plugin-configurations.js";
import { startGrpcService, startStreamService } from "./services.js";
import { portOf, startBenchEnvoy } from "./subject.js";

/** What the tokens say that callers send. */
export const CALLERS: Callers = {
  issuer: "https://accounts.google.com",
  audience: "https://llm.bench.internal",
  email: "bench@local.iam.gserviceaccount.com",
};

/** Longer than any run. */
const LIFE_SEC = 86_400;

/** What stands around the measured Envoy. */
export interface Surroundings {
  readonly keeper: Keeper;
  readonly keys: KeySet;
  readonly metadata: MetadataServer;
  readonly upstreams: Upstreams;
  close(): Promise<void>;
}

/** Starts the services, Google's stand-ins, and the keeper of the Envoys. */
export async function startSurroundings(envoyPath: string): Promise<Surroundings> {
  const keys = await createKeySet();
  const servers = await Promise.all([
    startMetadataServer({ keys, email: CALLERS.email }),
    startJwks({ keys: keys.jwks }),
    startStreamService(),
    startGrpcService(),
  ]);
  const [metadata, jwks, stream, grpc] = servers;
  const keeper = await openKeeper();
  const close = async (): Promise<void> => {
    await keeper.close();
    await Promise.all(servers.map((server) => server.close()));
  };
  try {
    const service = await startBenchEnvoy({ keeper, envoyPath, name: "service", config: serviceConfig(), workers: 1 });
    const upstreams = {
      service: portOf(service, "service"),
      stream: stream.port,
      grpc: grpc.port,
      metadata: metadata.port,
      jwks: jwks.port,
    };
    return { keeper, keys, metadata, upstreams, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A token as callers send it, different for each `id`. */
export function callerToken(keys: KeySet, id: number): Promise<string> {
  const iat = Math.floor(Date.now() / 1000);
  return keys.sign({
    iss: CALLERS.issuer,
    aud: CALLERS.audience,
    azp: "100000000000000000001",
    sub: "100000000000000000001",
    email: CALLERS.email,
    email_verified: true,
    iat,
    exp: iat + LIFE_SEC,
    jti: String(id),
  });
}
