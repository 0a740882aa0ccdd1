/** Why a proxy gets no token or no keys: the label `result` of `hopgate_token_fetches` and `hopgate_key_fetches`. */

interface Meaning {
  readonly reason: string;
  readonly fix: string;
}

const NETWORK = "look whether the proxy's Pod reaches it: network policies, firewalls, Private Google Access";
const REFERENCED = "the EnvoyFilter of the hop brings it: run hopgate deploy again";
const WORKLOAD_IDENTITY =
  "give the proxy's Kubernetes service account a Google one: hopgate render --gcloud prints the lines";
const IMPERSONATION =
  "grant roles/iam.serviceAccountOpenIdTokenCreator on the account: hopgate render --gcloud prints the line";

const MEANINGS: Readonly<Record<string, Meaning>> = {
  audience_refused: { reason: "the metadata server has no identity for it (404)", fix: WORKLOAD_IDENTITY },
  access_token_refused: { reason: "the metadata server has no access token for it (404)", fix: WORKLOAD_IDENTITY },
  bad_access_token: { reason: "the metadata server answered with no access token", fix: WORKLOAD_IDENTITY },
  bad_token: { reason: "the answer was no token for the audience", fix: WORKLOAD_IDENTITY },
  bad_status: { reason: "refused, timed out, or an error of the server", fix: NETWORK },
  reset: { reason: "the connection was reset", fix: NETWORK },
  not_a_metadata_server: {
    reason: "who answered is not the metadata server",
    fix: "look where metadata.google.internal leads from the Pod: outside of Google Cloud there is none",
  },
  cluster_missing: { reason: "the proxy does not have the cluster", fix: REFERENCED },
  no_endpoint: { reason: "the cluster has no endpoint: its name was not resolved", fix: NETWORK },
  iam_permission_denied: { reason: "the IAM Credentials API says 403", fix: IMPERSONATION },
  iam_account_unknown: {
    reason: "the IAM Credentials API knows no such account (404)",
    fix: "correct identity.serviceAccount",
  },
  iam_unauthenticated: { reason: "the IAM Credentials API says 401", fix: WORKLOAD_IDENTITY },
  iam_bad_status: { reason: "the IAM Credentials API failed or timed out", fix: NETWORK },
  iam_reset: { reason: "the connection to the IAM Credentials API was reset", fix: NETWORK },
  iam_cluster_missing: { reason: "the proxy does not have the cluster of the IAM Credentials API", fix: REFERENCED },
  iam_no_endpoint: { reason: "iamcredentials.googleapis.com was not resolved", fix: NETWORK },
  too_large: { reason: "the key set is too large", fix: "look at what jwks.host and jwks.path lead to" },
  bad_key_set: { reason: "the answer was no key set", fix: "correct jwks.host and jwks.path of the validator" },
};

export function meaningOf(result: string): Meaning {
  return MEANINGS[result] ?? { reason: result, fix: "look at the proxy's log" };
}
