import { valueOf } from "./check.js";
import type { ClusterSeen } from "./seen.js";

export type Version = readonly [major: number, minor: number, patch: number];

/** `1.27` of a version whose patch is 0, else `1.27.3`. */
export function versionText([major, minor, patch]: Version): string {
  return `${String(major)}.${String(minor)}${patch === 0 ? "" : `.${String(patch)}`}`;
}

export function beforeVersion(version: Version, other: Version): boolean {
  const at = version.findIndex((part, index) => part !== other[index]);
  return at !== -1 && (version[at] ?? 0) < (other[at] ?? 0);
}

/** Of the images of Istio's proxies: `docker.io/istio/proxyv2:1.27.3-distroless`. */
const PROXY_IMAGE = /\/proxyv2:(\d+)\.(\d+)\.(\d+)/;

/** The version of each Pod of a hop that says one. istiod may be of another, but is not older for long. */
export function istioVersions({ pods }: ClusterSeen): readonly { readonly pod: string; readonly version: Version }[] {
  return [...pods.values()]
    .flatMap((read) => valueOf(read) ?? [])
    .flatMap(({ metadata, spec }) => {
      const images = (spec?.containers ?? []).map(({ image = "" }) => PROXY_IMAGE.exec(image));
      const [, major, minor, patch] = images.find((match) => match !== null) ?? [];
      if (major === undefined || minor === undefined || patch === undefined) return [];
      const version = [Number(major), Number(minor), Number(patch)] as const;
      return [{ pod: `Pod ${metadata.namespace}/${metadata.name}`, version }];
    });
}
