import type { Backend, Hop, Mesh } from "../../config/model.js";
import { pluginConfigFor } from "../plugin-config-for.js";
import { isCloudRun } from "./backends.js";
import { cloudRunService } from "./cloud-run-service.js";
import { podLabels } from "./destination-rule.js";
import { STAT_TAGS_ANNOTATION } from "./gateway.js";

/**
 * What has to be done outside of the mesh's own resources, as lines for a shell: the service account of each hop that adds
 * tokens, its right to call each service, and the services closed to everybody else. Printed, never run.
 */
export function googleCloudScript(mesh: Mesh): string {
  const injecting = [...mesh.hops.values()].flatMap((hop) => {
    const backends = injectedBackends(mesh, hop);
    return backends.length === 0 ? [] : [{ hop, backends }];
  });
  const lines = [
    "# What hopgate does not do for you. Read it, set PROJECT, and run what is not done yet.",
    'PROJECT="$(gcloud config get-value project)"',
    ...injecting.flatMap(({ hop, backends }) => identityLines(mesh, hop, backends)),
    ...lockDownLines(injecting.flatMap(({ backends }) => backends)),
    ...[...mesh.hops.values()].flatMap((hop) => statTagLines(hop)),
  ];
  return `${lines.join("\n")}\n`;
}

function injectedBackends(mesh: Mesh, hop: Hop): readonly Backend[] {
  const { backends } = pluginConfigFor(mesh, hop.name);
  return [...mesh.backends.values()].filter(({ name }) => backends[name]?.token !== undefined);
}

function identityLines(mesh: Mesh, hop: Hop, backends: readonly Backend[]): readonly string[] {
  const account = `${mesh.name}-${hop.name}`.slice(0, 30).replace(/-+$/, "");
  const member = mesh.identity.serviceAccount ?? `${account}@$PROJECT.iam.gserviceaccount.com`;
  return [
    "",
    `# ${hop.name}: the identity with which it calls ${backends.map(({ name }) => name).join(", ")}.`,
    kubernetesAccount(hop),
    ...(mesh.identity.mode === "impersonate"
      ? impersonationLines(hop, account, member)
      : workloadIdentityLines(hop, account, member)),
    ...backends.filter(isCloudRun).map((backend) => {
      const { name = "SERVICE", region = "REGION" } = cloudRunService(backend);
      return `gcloud run services add-iam-policy-binding ${name} --project "$PROJECT" --region ${region} --role roles/run.invoker --member "serviceAccount:${member}"`;
    }),
  ];
}

function workloadIdentityLines(hop: Hop, account: string, member: string): readonly string[] {
  return [
    `gcloud iam service-accounts create ${account} --project "$PROJECT"`,
    `gcloud iam service-accounts add-iam-policy-binding "${member}" --project "$PROJECT" --role roles/iam.workloadIdentityUser --member "serviceAccount:$PROJECT.svc.id.goog[${hop.namespace}/$KSA]"`,
    `kubectl annotate serviceaccount --namespace ${hop.namespace} "$KSA" "iam.gke.io/gcp-service-account=${member}"`,
  ];
}

/** The proxies keep an account of their own, which may mint tokens of the other. */
function impersonationLines(hop: Hop, account: string, member: string): readonly string[] {
  const own = `${account}@$PROJECT.iam.gserviceaccount.com`;
  return [
    ...workloadIdentityLines(hop, account, own),
    `gcloud iam service-accounts add-iam-policy-binding "${member}" --role roles/iam.serviceAccountOpenIdTokenCreator --member "serviceAccount:${own}"`,
  ];
}

/** Istio names the account of a waypoint after its Gateway, that of a Gateway API gateway with its class behind. */
function kubernetesAccount(hop: Hop): string {
  if (hop.kind === "waypoint") return `KSA=${hop.gateway}`;
  if (hop.gateway !== undefined) return `KSA=${hop.gateway}-istio`;
  return `KSA="$(kubectl get pods --namespace ${hop.namespace} --selector ${selectorText(hop)} --output jsonpath='{.items[0].spec.serviceAccountName}')"`;
}

function lockDownLines(backends: readonly Backend[]): readonly string[] {
  const services = new Map(backends.filter(isCloudRun).map((backend) => [backend.url, backend]));
  if (services.size === 0) return [];
  return [
    "",
    "# The services: only from inside the project's networks, and only with a token.",
    ...[...services.values()].flatMap((backend) => {
      const { name = "SERVICE", region = "REGION" } = cloudRunService(backend);
      const service = `${name} --project "$PROJECT" --region ${region}`;
      const ingress = backend.via === "loadBalancer" ? "internal-and-cloud-load-balancing" : "internal";
      const isCustom = backend.audience !== backend.url;
      return [
        `gcloud run services update ${service} --ingress ${ingress}`,
        ...(isCustom
          ? [`gcloud run services update ${service} --add-custom-audiences ${quoted(backend.audience)}`]
          : []),
      ];
    }),
  ];
}

/** The Pods of such a gateway belong to a Deployment that we do not know; those of the Gateway API get the annotation from us. */
function statTagLines(hop: Hop): readonly string[] {
  if (hop.gateway !== undefined) return [];
  const annotations = JSON.stringify({ spec: { template: { metadata: { annotations: STAT_TAGS_ANNOTATION } } } });
  return [
    "",
    `# ${hop.name}: labels for the filter's metrics. Its Pods are replaced.`,
    `kubectl patch deployment --namespace ${hop.namespace} "$(kubectl get deployments --namespace ${hop.namespace} --selector ${selectorText(hop)} --output jsonpath='{.items[0].metadata.name}')" --patch '${annotations}'`,
  ];
}

function selectorText(hop: Hop): string {
  return Object.entries(podLabels(hop))
    .map(([label, value]) => `${label}=${value}`)
    .join(",");
}

/** An audience may have any printable character. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
