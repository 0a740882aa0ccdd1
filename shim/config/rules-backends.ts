import { type DraftBackend, entriesOf, type Rule } from "./draft.js";
import { type Path, type Report } from "./finding.js";
import { hostOfOrigin, normalHost } from "./host-name.js";

/** A backend is one thing, and a Cloud Run service has an audience that Cloud Run accepts. */
export const backendsAreWhole: Rule = (file, report) => {
  for (const [name, backend] of entriesOf(file.backends)) {
    const path = ["backends", name];
    if (backend.kubernetes === undefined && backend.cloudRun === undefined) {
      const fix = "write kubernetes: {service, namespace, port} or cloudRun: {url, via}";
      report(path, "this backend is neither a service of the cluster nor one on Cloud Run", fix);
    }
    if (backend.kubernetes !== undefined && backend.cloudRun !== undefined) {
      report(path, "this backend has both kubernetes and cloudRun", "keep one, and make a second backend of the other");
    }
    if (backend.cloudRun !== undefined) checkCloudRun(backend.cloudRun, [...path, "cloudRun"], report);
  }
};

function checkCloudRun(cloudRun: NonNullable<DraftBackend["cloudRun"]>, path: Path, report: Report): void {
  const { url, via, host, audience } = cloudRun;
  if (via === "loadBalancer") {
    if (host === undefined) {
      report([...path, "host"], "`via: loadBalancer` needs the host name of the load balancer", "write host: NAME");
    }
    if (audience === undefined) {
      report(
        [...path, "audience"],
        "`via: loadBalancer` needs an audience: Cloud Run answers 401 to a custom host without a custom audience",
        "write audience: URL with one of the service's custom audiences (gcloud run services update --add-custom-audiences)",
      );
    }
  } else if (via !== undefined && host !== undefined) {
    const fix = "leave it out, or write via: loadBalancer";
    report([...path, "host"], `\`host\` is the load balancer's, and requests leave via ${via}`, fix);
  } else if (url !== undefined && audience === undefined && !url.endsWith(".run.app")) {
    report(
      [...path, "audience"],
      "this host is not under run.app: Cloud Run answers 401 to a custom host without a custom audience",
      "write audience: URL with one of the service's custom audiences (gcloud run services update --add-custom-audiences)",
    );
  }
}

/**
 * Exactly one hop of a path adds the token. Istio binds a service, not a backend, to a waypoint. Two backends with one service would both pass that waypoint:
 * it could not tell them apart, and would add a token to requests that have the token of the hop before.
 */
export const servicesAreBoundOnce: Rule = (file, report) => {
  const first = new Map<string, { name: string; bound: boolean }>();
  for (const [name, backend] of entriesOf(file.backends)) {
    const host = serviceHost(backend);
    if (host === undefined) continue;
    const bound = backend.through !== undefined;
    const earlier = first.get(host);
    if (earlier === undefined) {
      first.set(host, { name, bound });
    } else if (bound || earlier.bound) {
      const message = `a waypoint cannot tell two backends of one service apart, and ${host} is also backend ${earlier.name}`;
      const fix = "keep one of the two backends, or leave `through` out of both";
      report(["backends", name], message, fix, ["backends", earlier.name]);
    }
  }
};

function serviceHost({ kubernetes, cloudRun }: DraftBackend): string | undefined {
  if (kubernetes?.service !== undefined && kubernetes.namespace !== undefined) {
    return `${kubernetes.service}.${kubernetes.namespace}.svc.cluster.local`;
  }
  if (cloudRun?.host !== undefined) return normalHost(cloudRun.host);
  return cloudRun?.url === undefined ? undefined : hostOfOrigin(cloudRun.url);
}
