import { cloudRunService } from "../render/istio/cloud-run-service.js";
import type { CloudRunBackend } from "../config/model.js";
import { type AnswerSeen, answererOf, cloudRunBackends } from "./answer-seen.js";
import type { Check } from "./check.js";

/** The answers of Google's front end, which says nothing of what was wrong, and the commands that do. */
export const CLOUD_RUN_ANSWER_CHECKS: readonly Check<AnswerSeen>[] = [
  check("HG0809", 401, {
    title: "Cloud Run takes the token's audience",
    why: "Google's front end refused the token: its audience is neither the service's URL nor one of its custom audiences, or it is not Google's.",
    reason: ({ audience, url }) =>
      audience === url
        ? `the token that hops add is for ${audience}, so the URL is not the service's, or the caller's own token got there`
        : `the token that hops add is for ${audience}, which has to be a custom audience of the service`,
    commands: (service, { audience }) => [
      `gcloud run services describe ${service} --format 'value(status.url, metadata.annotations["run.googleapis.com/custom-audiences"])'`,
      `gcloud run services update ${service} --add-custom-audiences ${quoted(audience)}`,
    ],
  }),
  check("HG0810", 403, {
    title: "the hop's service account may invoke the service",
    why: "Google's front end took the token, and its account has not roles/run.invoker; or the request came without a token.",
    reason: () => "look whether the account of the hop that adds the token is bound",
    commands: (service) => [
      `gcloud run services get-iam-policy ${service}`,
      `gcloud run services add-iam-policy-binding ${service} --role roles/run.invoker --member serviceAccount:ACCOUNT`,
    ],
  }),
  check("HG0811", 404, {
    title: "the service takes requests from where the hop is",
    why: "Google's front end answers 404 to requests that the service's ingress setting keeps out, and for services that are not there.",
    reason: ({ via }) =>
      via === "loadBalancer"
        ? "ingress has to be internal-and-cloud-load-balancing, and the load balancer to lead to the service"
        : "with ingress internal, requests have to come from the project's own networks, through Private Google Access",
    commands: (service) => [
      `gcloud run services describe ${service} --format 'value(metadata.annotations["run.googleapis.com/ingress"])'`,
    ],
  }),
];

interface Explained {
  readonly title: string;
  readonly why: string;
  readonly reason: (backend: CloudRunBackend) => string;
  readonly commands: (service: string, backend: CloudRunBackend) => readonly string[];
}

function check(code: string, status: number, { title, why, reason, commands }: Explained): Check<AnswerSeen> {
  return {
    code,
    level: "error",
    title,
    why,
    find: (seen) => {
      if (seen.status !== status || answererOf(seen) !== "cloudRun") return [];
      const about = seen.host;
      const backends = cloudRunBackends(seen);
      if (backends.length === 0)
        return [
          {
            about,
            reason: "the file leads this host to no service of Cloud Run",
            fix: "hopgate diff shows whether another file is deployed",
          },
        ];
      return backends.map((backend) => {
        const { name = "SERVICE", region = "REGION" } = cloudRunService(backend);
        const lines = commands(`${name} --region ${region}`, backend);
        return {
          about,
          reason: `backend ${backend.name}: ${reason(backend)}`,
          fix: `check with:\n${lines.join("\n")}`,
        };
      });
    },
  };
}

/** An audience may have any printable character. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
