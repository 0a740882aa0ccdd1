/** What the help of each command that talks to clusters shows behind its options. */

export const DEPLOY_EXAMPLES = `
Examples:
  $ hopgate deploy                             ./hopgate.yaml with its image: to the cluster of the current context
  $ hopgate deploy --dry-run server            what the API server and Istio would say to it
  $ hopgate deploy --context staging --context prod --timeout 120
  $ hopgate deploy -o json | jq '.clusters[].proxies[] | {pod, state}'
  $ hopgate deploy --skip-checks HG0411        although a service of the file is not there yet

First everything is checked: the file, the image, each hop's configuration by the filter in that image, what hopgate doctor can
know before, and every resource by the API server. Then routes are applied, and then the plugin, so that no request is lost. It is over when each proxy reports, in
its metrics, that all its workers run this configuration of this build; if one does not in time, or cannot be asked,
what was there before is brought back, and the exit code is 1. Run twice it changes nothing; after an interruption, run it again.`;

export const DIFF_EXAMPLES = `
Examples:
  $ hopgate diff                               ./hopgate.yaml against the cluster of the current context
  $ hopgate diff --context prod | less -R
  $ hopgate diff -o json | jq -r '.clusters[].diff'

The API server says what would come of it (a server-side dry run), so defaults and webhooks are in it. As with kubectl diff, the
exit code is 0 if nothing would change, 1 if something would, 2 if the input has to be mended, and 3 if it could not be found out.`;

export const STATUS_EXAMPLES = `
Examples:
  $ hopgate status                             exit 0 only if every proxy runs what is deployed, as it was deployed
  $ hopgate status --watch
  $ hopgate status -o json | jq '.[].hops[].proxies[] | select(.state != "loaded")'

loaded: every worker runs what is deployed. other: it runs another configuration or build. absent: it runs no filter of this hop.
unknown: it could not be asked, whatever it runs. Resources that somebody changed or removed since are named; where you may not ask
the API server for that, it is unknown, and the exit code is that of the proxies.`;

export const HISTORY_EXAMPLES = `
Examples:
  $ hopgate history                            the last ten revisions, newest first
  $ hopgate history -o json | jq '.[].revisions[] | select(.state == "failed") | {revision, reason}'

deployed: every proxy ran it. failed: it was undone. pending: it has not ended, or was interrupted; then hopgate deploy or hopgate
rollback goes on from there. In place is the newest that was deployed.`;

export const ROLLBACK_EXAMPLES = `
Examples:
  $ hopgate rollback                           the revision before the current; asks first
  $ hopgate rollback 7 -y                      revision 7; the last ten are kept in the cluster

It is deployed as any other, without losing a request, and gets a number of its own.`;

export const UNINSTALL_EXAMPLES = `
Examples:
  $ hopgate uninstall                          shows what it would remove, and asks
  $ hopgate uninstall --context staging -y
  $ hopgate uninstall -y -o json | jq '.clusters[] | {context, deleted, released}'

Plugins go first, then routes, then the rest and the revisions. What was there before hopgate (a waypoint, the labels of a
Service) stays, without what hopgate added.`;

export const DOCTOR_EXAMPLES = `
Examples:
  $ hopgate doctor                             ./hopgate.yaml, its image, and the cluster of the current context
  $ hopgate doctor --context staging --context prod -o json | jq '.clusters[].checks[] | select(.state == "failed")'
  $ hopgate doctor --image "$(hopgate push ghcr.io/me/hopgate)" --skip-checks HG0412
  $ hopgate doctor https://kb.ai-platform.example.internal/ -H @caller.headers     why is this answered with 401?

Each check has a code that stays (manifests/reference.md lists them), and a mark: it holds, a warning, an error, or it is not known.
What was not looked at says why: without a kubeconfig, everything about the cluster. Nothing is changed, and nothing more is needed
than the role that hopgate render --rbac prints; what that role does not show (Secrets) is not known. With a URL, one request is sent,
and its answer explained: who gave it, what of the caller's token is not as demanded, and which commands show what Google knows. The
token itself is never shown. The exit code is 0 if there is no error, 1 if there is one, and 2 if the input has to be mended.`;
