import type { CloudRunBackend } from "../../config/model.js";
import { hostOfOrigin } from "../../config/host-name.js";

/** What a Cloud Run URL says about its service; what it does not say is left to the reader. */
export interface CloudRunService {
  readonly name: string | undefined;
  readonly region: string | undefined;
}

/** `SERVICE-PROJECTNUMBER.REGION.run.app`, the form that Google calls deterministic. */
const DETERMINISTIC = /^(?<name>[a-z](?:[a-z0-9-]*[a-z0-9])?)-[0-9]{6,}\.(?<region>[a-z0-9-]+)\.run\.app$/;
/** `SERVICE-HASH-RR.a.run.app`. */
const HASHED = /^(?<name>[a-z](?:[a-z0-9-]*[a-z0-9])?)-[a-z0-9]{6,12}-[a-z]{2,3}\.a\.run\.app$/;

export function cloudRunService({ url, region }: CloudRunBackend): CloudRunService {
  const host = hostOfOrigin(url);
  const groups = (DETERMINISTIC.exec(host) ?? HASHED.exec(host))?.groups;
  return { name: groups?.["name"], region: region ?? groups?.["region"] };
}
