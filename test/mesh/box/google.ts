import type { CloudRunService } from "../../../shim/local/cloud-run-access.js";
import { type CloudRun, startCloudRun } from "../../../shim/local/cloud-run.js";
import { type JwksServer, startJwks } from "../../../shim/local/jwks.js";
import { createKeySet, type KeySet } from "../../../shim/local/keys.js";
import { type MetadataServer, startMetadataServer } from "../../../shim/local/metadata-server.js";
import type { TlsIdentity } from "../../../shim/local/server.js";
import type { Outside } from "./outside.js";

/** Whom the metadata server's tokens are for: the Google service account of every Pod. */
export const CALLER = "hopgate@mesh-box.iam.gserviceaccount.com";

/** Stand-ins for what proxies talk to at Google, where production has it. */
export interface Google {
  readonly keys: KeySet;
  /** At `http://metadata.google.internal`. */
  readonly metadata: MetadataServer;
  /** At `https://www.googleapis.com/oauth2/v3/certs`. */
  readonly jwks: JwksServer;
}

export async function startGoogle(outside: Outside): Promise<Google> {
  const keys = await createKeySet();
  const host = "www.googleapis.com";
  const tls = await outside.ca.issue({ dnsNames: [host] });
  return {
    keys,
    metadata: await outside.publish(
      ["metadata.google.internal"],
      80,
      await startMetadataServer({ keys, email: CALLER }),
    ),
    jwks: await outside.publish([host], 443, await startJwks({ keys: keys.jwks, tls })),
  };
}

/** Cloud Run services, by host, at `https://HOST`. `tls` is what the front end shows in the place of the right certificate. */
export async function deployToCloudRun(
  outside: Outside,
  { keys }: Pick<Google, "keys">,
  services: Readonly<Record<string, CloudRunService>>,
  tls?: TlsIdentity,
): Promise<CloudRun> {
  const hosts = Object.keys(services);
  const identity = tls ?? (await outside.ca.issue({ dnsNames: hosts }));
  return outside.publish(hosts, 443, await startCloudRun({ services, keys: keys.jwks, tls: identity }));
}
