import { meshJsonSchema } from "../config/json-schema.js";
import { run } from "../run.js";
import { checkReference } from "./checks.js";
import { configurationReference } from "./configuration.js";
import { errorReference } from "./errors.js";

/** The commands in the order of `hopgate --help`. */
export const COMMANDS = [
  "up",
  "envoy which",
  "envoy install",
  "init",
  "check",
  "explain",
  "trace",
  "bench",
  "render",
  "build",
  "push",
  "diff",
  "deploy",
  "status",
  "history",
  "rollback",
  "uninstall",
  "doctor",
  "completion",
] as const;

/** manifests/reference.md. `errorsSource` is the text of filter/errors.ts. */
export async function reference(errorsSource: string): Promise<string> {
  const commands = [];
  for (const command of COMMANDS) {
    commands.push(`### hopgate ${command}\n\n\`\`\`text\n${(await help(command.split(" "))).trim()}\n\`\`\``);
  }
  return `# Reference

Generated from the sources by \`npm run generate\`; do not edit.

## Commands

${commands.join("\n\n")}

Every command exits with 0 if it did what was asked, 1 if something failed, 2 if the input has to be mended, and 130 if it was interrupted; \`hopgate up\`, once it is up, ends
with the result of its demonstrations.

## hopgate.yaml

\`NAME\` stands for a name that you choose, \`[]\` for each entry of a list.

${configurationReference(meshJsonSchema())}

## Answers of the filter

\`application/problem+json\` (RFC 9457) with the code in \`code\` and in the header \`x-hopgate-error\`; for gRPC requests a status with
the same code in \`x-hopgate-error\`. The access log has it in \`%FILTER_STATE(wasm.hopgate_error:PLAIN)%\`, and as \`hopgate_CODE\` in
\`%RESPONSE_CODE_DETAILS%\`. A 401 says \`www-authenticate: Bearer\`, with \`error="invalid_token"\` where there was a token.

${errorReference(errorsSource)}

## Checks of hopgate doctor

What \`hopgate doctor\` looks at, and \`hopgate deploy\` before it changes anything. An error makes both exit with 1; \`--skip-checks\` leaves checks out.

${checkReference()}

## Metrics of the filter

In \`/stats/prometheus\` of each proxy, as \`hopgate_...{hop="ingress",backend="kb",result="ok"}\`. On a proxy of Istio's this needs
\`extraStatTags: [hop, backend, result, config, module]\`; without it, the labels are part of the name. Histograms are in microseconds.

| metric | labels | is |
| --- | --- | --- |
| \`hopgate_requests\` | hop, backend, result | requests that ended. \`result\`: \`ok\` (forwarded and answered, whatever the status), \`aborted\` (ended before an answer), or a code from above. \`backend\` is \`_unmatched\` where no route matched |
| \`hopgate_total_us\` | hop, backend | request headers in to response headers out |
| \`hopgate_upstream_us\` | hop, backend | forwarded to first response header |
| \`hopgate_wait_us\` | hop, backend | held for a token, or for the keys to check one; only requests that were |
| \`hopgate_self_us\` | hop, backend | total less upstream and wait: what the hop itself cost |
| \`hopgate_stream_us\` | hop, backend | request headers in to the end of the stream |
| \`hopgate_token_fetches\` | hop, result | fetches of tokens, by how they ended: \`ok\`, \`bad_token\` (not for this audience, expired, no token at all), \`audience_refused\` (404), \`bad_status\` (a refused connection and a time-out too), \`reset\`, \`not_a_metadata_server\`, \`cluster_missing\` or \`no_endpoint\`; with \`mode: impersonate\` also \`access_token_refused\` (404), \`bad_access_token\`, and of the IAM Credentials API \`iam_permission_denied\` (403), \`iam_account_unknown\` (404), \`iam_unauthenticated\` (401), \`iam_bad_status\`, \`iam_reset\`, \`iam_cluster_missing\` or \`iam_no_endpoint\` |
| \`hopgate_token_waits\` | hop, result | requests that were held: \`released\` or \`refused\` |
| \`hopgate_validations\` | hop, result | tokens of callers that were checked: \`ok\`, or the code of the refusal |
| \`hopgate_key_fetches\` | hop, result | fetches of key sets, by how they ended: \`ok\`, \`cluster_missing\`, \`no_endpoint\`, \`reset\`, \`bad_status\`, \`too_large\` or \`bad_key_set\` |
| \`hopgate_config\` | hop, config, module | gauge: VMs (workers and the main thread) that run the configuration with this fingerprint, in the build with this name |
| \`hopgate_config_timestamp_seconds\` | hop, config, module | gauge: when a VM last began with it, as Unix time |
| \`hopgate_request_error_timestamp_seconds\` | hop, result | gauge: when a request last ended with this code, as Unix time; likewise \`hopgate_token_fetch_error_timestamp_seconds\` and \`hopgate_key_fetch_error_timestamp_seconds\` of fetches that failed |

## Headers of the filter

| header | direction | says |
| --- | --- | --- |
| \`x-hopgate-backend\` | to the service | the backend that the filter chose; every hop removes what a caller says here |
| \`x-hopgate-caller\` | to the service | the verified e-mail address of the caller, where the last hop checks callers; every hop removes what a caller says here |
| \`x-hopgate-path\` | to the service | the hops that the request has passed, at most eight |
| \`x-hopgate-trace\` | from the client | \`timing.key\`: the answer then has \`Server-Timing\` |
| \`x-hopgate-timing\` | between hops | the time of the hops behind, in the syntax of \`Server-Timing\`; an edge removes it |
| \`x-hopgate-error\` | to the client | the code of an answer of the filter's own |
| \`server-timing\` | to the client | \`HOP;dur\`, \`HOP-upstream;dur\` and \`HOP-wait;dur\` in milliseconds, innermost hop first, in a header of its own behind the service's |

## Environment

| variable | is |
| --- | --- |
| \`ENVOY_PATH\` | the Envoy to run, as \`--envoy-path\` |
| \`HOPGATE_CACHE\` | where Envoy is installed; else \`$XDG_CACHE_HOME/hopgate\`, else \`~/.cache/hopgate\` |
| \`TMPDIR\` | where the files of a running local mesh are; they go when it ends |
| \`FUNC_E_DATA_HOME\` | where func-e has its Envoys, for \`--func-e\` |
| \`NO_COLOR\`, \`FORCE_COLOR\` | colours off, or on |
`;
}

async function help(command: readonly string[]): Promise<string> {
  let text = "";
  const stdout = { write: (part: string) => (text += part), columns: 100 };
  await run([...command, "--help"], { stdout, stderr: stdout, env: {} }, new AbortController().signal);
  return text;
}
