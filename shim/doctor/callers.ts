import { meshNameOf } from "../render/istio/labels.js";
import { type Resource, titleOf } from "../render/istio/resource.js";
import type { PluginConfig } from "../render/plugin-config.js";
import { type Check, type Finding, type Remark, whenRead } from "./check.js";
import { viewOf } from "./plugin-view.js";
import type { ClusterSeen } from "./seen.js";

/** Who may use the identity of a waypoint. */
export const CALLER_CHECKS: readonly Check<ClusterSeen>[] = [
  {
    code: "HG0601",
    level: "error",
    title: "a waypoint that adds tokens lets in known callers only",
    why: "Whoever reaches the service in the mesh calls it with the waypoint's identity.",
    after: true,
    find: (seen) =>
      (seen.deployed?.resources ?? [])
        .map(viewOf)
        .filter(({ config }) => config !== undefined && isOpenWaypoint(config))
        .flatMap(({ config, namespace }) => unguarded(seen, namespace, config?.hop ?? "")),
  },
  {
    code: "HG0602",
    level: "error",
    title: "no other ServiceEntry has a host that goes through a waypoint",
    why: "Of two for one host Istio takes the older, and with it neither our AuthorizationPolicy nor our label: the waypoint is passed by, or adds its token for whoever asks.",
    find: ({ mesh, resources, serviceEntries }) =>
      whenRead("ServiceEntries", serviceEntries, ({ found: entries, elsewhere }) => {
        const bound = new Set(
          resources.filter((resource) => resource.kind === "ServiceEntry" && isBound(resource)).flatMap(hostsOf),
        );
        // Our own of before go when the deployment ends.
        const taken = entries
          .filter((entry) => meshNameOf(entry) !== mesh.name)
          .flatMap((entry) =>
            hostsOf(entry)
              .filter((host) => bound.has(host))
              .map((host) => ({
                about: titleOf(entry),
                reason: `it has the host ${host} too`,
                fix: "remove the host from it: whoever needs it there gets to it through the waypoint",
              })),
          );
        return bound.size === 0 || elsewhere === undefined ? taken : [...taken, elsewhere];
      }),
  },
];

/** Goes through a waypoint. */
function isBound({ metadata }: Resource): boolean {
  return "istio.io/use-waypoint" in ((metadata["labels"] ?? {}) as object);
}

function hostsOf({ spec }: Resource): readonly string[] {
  return (spec as { readonly hosts?: readonly string[] }).hosts ?? [];
}

/** Adds tokens, and checks no caller's. */
function isOpenWaypoint({ match, validate, backends }: PluginConfig): boolean {
  const hasTokens = Object.values(backends).some(({ token }) => token !== undefined);
  return match === "service" && validate === undefined && hasTokens;
}

function unguarded({ deployed, live }: ClusterSeen, namespace: string, hop: string): readonly Remark[] {
  const policies = (deployed?.resources ?? []).filter(
    ({ kind, metadata }) => kind === "AuthorizationPolicy" && metadata.namespace === namespace,
  );
  const fix = "run hopgate deploy again, or write validate: for the hop";
  if (policies.length === 0)
    return [{ about: `hop ${hop}`, reason: "it has neither an AuthorizationPolicy nor a validator", fix }];
  return policies.flatMap((policy) => {
    const about = titleOf(policy);
    return whenRead(about, live.get(about), (found): readonly Finding[] => {
      const reason = found === undefined ? "it is gone" : opennessOf(found);
      return reason === undefined ? [] : [{ about, reason, fix }];
    });
  });
}

interface PolicySpec {
  readonly action?: string;
  readonly rules?: readonly { readonly from?: readonly unknown[] }[];
}

/** Why it lets in everybody; undefined: it does not. */
function opennessOf(policy: Resource): string | undefined {
  const { action = "ALLOW", rules = [] } = (policy["spec"] ?? {}) as unknown as PolicySpec;
  if (action !== "ALLOW") return `its action is ${action}: who is not named is let in`;
  return rules.some(({ from = [] }) => from.length === 0) ? "a rule of it names no callers" : undefined;
}
