import { GATEWAY_NAME_LABEL } from "../config/mesh-of.js";
import { othersFields, patchWithout, textOf } from "../plan/others-fields.js";
import { pluralOf } from "../render/istio/api-path.js";
import { fieldManagerOf, metadataOf } from "../render/istio/labels.js";
import { type Resource, titleOf } from "../render/istio/resource.js";
import { type Check, type Finding, type Remark, whenRead } from "./check.js";
import { addsTokens, appliesTo, forLivePlugins, type PluginView, viewOf } from "./plugin-view.js";
import type { ClusterSeen } from "./seen.js";

/** What a plugin without a priority has, and ours. */
const LOWEST_PRIORITY = -(2 ** 31);

/** What brings filters into proxies: ours, what was made of it by hand, and other filters beside it. */
export const PLUGIN_CHECKS: readonly Check<ClusterSeen>[] = [
  {
    code: "HG0401",
    level: "error",
    title: "waypoints and Gateway API gateways are named by targetRefs",
    why: "Istio ignores a selector there: the filter does not run, and nothing says so.",
    find: forEach(({ matchLabels, targets, config, title }, { mesh }) => {
      const hop = mesh.hops.get(config?.hop ?? "");
      const isForGateway = hop?.gateway !== undefined || matchLabels?.[GATEWAY_NAME_LABEL] !== undefined;
      if (targets.length > 0 || !isForGateway) return [];
      const reason = matchLabels === undefined ? "it names no targetRefs" : "it has a selector, and no targetRefs";
      return [{ about: title, reason, fix: "write targetRefs: with the Gateway; hopgate deploy does" }];
    }),
  },
  {
    code: "HG0402",
    level: "error",
    title: "plugins name Gateways of their own namespace",
    why: "A plugin on a ServiceEntry or in another namespace is ignored; one on a Service behind a waypoint of another namespace keeps the waypoint of Istio 1.30 from starting.",
    find: forEach(({ targets, title, namespace }) =>
      targets
        .filter((target) => target.kind !== "Gateway" || (target.namespace ?? namespace) !== namespace)
        .map(({ kind = "", name = "", namespace: other }) => ({
          about: title,
          reason: `it targets ${kind} ${other === undefined ? "" : `${other}/`}${name}`,
          fix: "name the Gateway of the waypoint, in the waypoint's namespace",
        })),
    ),
  },
  {
    code: "HG0403",
    level: "error",
    title: "the filter runs behind Istio's own policies",
    why: "In an earlier phase, RequestAuthentication and AuthorizationPolicy see the host and the token that the filter set, not the caller's.",
    find: forEach(({ phase, title }) =>
      phase === undefined || phase === "UNSPECIFIED_PHASE"
        ? []
        : [{ about: title, reason: `its phase is ${phase}`, fix: "leave phase out" }],
    ),
  },
  {
    code: "HG0404",
    level: "error",
    title: "no failure lets requests past the filter",
    why: "With FAIL_OPEN a trap, or a module that cannot be fetched, is a way around authentication.",
    find: forEach((plugin) =>
      plugin.failStrategy === "FAIL_OPEN" && (plugin.config?.validators !== undefined || addsTokens(plugin))
        ? [{ about: plugin.title, reason: "its failStrategy is FAIL_OPEN", fix: "write failStrategy: FAIL_RELOAD" }]
        : [],
    ),
  },
  {
    code: "HG0405",
    level: "warning",
    title: "a failed VM comes back by itself",
    why: "With FAIL_CLOSE, which is what Istio takes where nothing is said, a worker whose VM failed answers 503 until the proxy ends.",
    find: forEach(({ failStrategy = "FAIL_CLOSE", title }) =>
      failStrategy === "FAIL_CLOSE"
        ? [{ about: title, reason: "its failStrategy is FAIL_CLOSE", fix: "write failStrategy: FAIL_RELOAD" }]
        : [],
    ),
  },
  {
    code: "HG0406",
    level: "error",
    title: "each hop has the filter once",
    why: "A request would be routed, counted and given tokens twice.",
    find: twice,
  },
  {
    code: "HG0407",
    level: "error",
    title: "one hop of a path adds the token",
    why: "The token of the first hop reaches the second as the caller's, and is taken away or refused there.",
    find: twoTokens,
  },
  {
    code: "HG0419",
    level: "error",
    title: "plugins have no fields but hopgate's",
    why: "Every field says where and how the filter runs; one that somebody added stays when hopgate deploys.",
    find: (seen) => forLivePlugins(seen, (rendered, found) => ofOthers(seen, rendered, found)),
  },
  {
    code: "HG0408",
    level: "warning",
    title: "no other filter runs behind one that adds tokens",
    why: "What runs behind it sees the token.",
    find: behind,
  },
];

function ofOthers({ mesh }: ClusterSeen, rendered: Resource, found: Resource): readonly Finding[] {
  const fields = othersFields(found, rendered, fieldManagerOf(mesh));
  if (fields.length === 0) return [];
  const { name, namespace } = rendered.metadata;
  const patch = patchWithout(fields).replaceAll("'", "'\\''");
  const fix = `kubectl patch ${pluralOf(rendered)} ${name} --namespace ${namespace} --type merge --patch '${patch}'`;
  return [{ about: titleOf(rendered), reason: `it has ${fields.map(textOf).join(", ")}`, fix }];
}

/** Judges each plugin of this filter, ours and others', in the namespaces of the hops. */
function forEach(judge: (plugin: PluginView, seen: ClusterSeen) => readonly Finding[]): Check<ClusterSeen>["find"] {
  return (seen) =>
    [...seen.plugins].flatMap(([namespace, read]) =>
      whenRead(`plugins of ${namespace}`, read, (plugins) =>
        plugins
          .map(viewOf)
          .filter(({ config }) => config !== undefined)
          .flatMap((plugin) => judge(plugin, seen)),
      ),
    );
}

function forEachHop(
  { mesh, plugins }: ClusterSeen,
  judge: (hop: Parameters<typeof appliesTo>[1], applied: readonly PluginView[]) => readonly Finding[],
): readonly Remark[] {
  return [...mesh.hops.values()].flatMap((hop) =>
    whenRead(`plugins of ${hop.namespace}`, plugins.get(hop.namespace), (list) =>
      judge(
        hop,
        list.map(viewOf).filter((plugin) => appliesTo(plugin, hop)),
      ),
    ),
  );
}

function twice(seen: ClusterSeen): readonly Remark[] {
  return forEachHop(seen, (hop, applied) => {
    const filters = applied.filter(({ config }) => config !== undefined);
    if (filters.length < 2) return [];
    const own = metadataOf(seen.mesh, hop.namespace, hop, hop.name).name;
    const others = filters.filter(({ title }) => !isOwn(title, hop.namespace, own, seen));
    return others.map(({ title }) => ({
      about: title,
      reason: `it brings the filter into the proxies of hop ${hop.name} too`,
      fix: "remove it, or change what it selects",
    }));
  });
}

/** Of ours there may be one of each API for a moment: what the other brings goes when the deployment ends. */
function isOwn(title: string, namespace: string, name: string, { api }: ClusterSeen): boolean {
  return title === `${api === "wasmplugin" ? "WasmPlugin" : "TrafficExtension"} ${namespace}/${name}`;
}

/** Within one file this is refused; here, of another mesh's hops beside ours. */
function twoTokens(seen: ClusterSeen): readonly Remark[] {
  const all = [...seen.plugins].flatMap(([namespace, read]) => whenRead(`plugins of ${namespace}`, read, () => []));
  const plugins = [...seen.plugins.values()].flatMap((read) => ("value" in read ? read.value.map(viewOf) : []));
  const own = plugins.filter(({ mesh }) => mesh === seen.mesh.name);
  const others = plugins.filter((plugin) => plugin.mesh !== seen.mesh.name && addsTokens(plugin));
  const pairs = others.flatMap((other) =>
    own
      .filter(({ config }) => (config?.match === "service") !== (other.config?.match === "service"))
      .flatMap((ours) =>
        audiencesOf(ours)
          .filter((audience) => audiencesOf(other).includes(audience))
          .map((audience) => ({
            about: other.title,
            reason: `it adds a token for ${audience}, and so does ${ours.title}`,
            fix: "let one file have both hops, and write through: with the waypoint; or take the token from one of them",
          })),
      ),
  );
  return [...all, ...pairs];
}

function audiencesOf({ config }: PluginView): readonly string[] {
  return Object.values(config?.backends ?? {}).flatMap(({ token }) => token?.audience ?? []);
}

function behind(seen: ClusterSeen): readonly Remark[] {
  return forEachHop(seen, (_hop, applied) => {
    if (!applied.some(addsTokens)) return [];
    return applied
      .filter(({ config, phase }) => config === undefined && (phase === undefined || phase === "UNSPECIFIED_PHASE"))
      .filter(({ priority = LOWEST_PRIORITY }) => priority <= LOWEST_PRIORITY)
      .map(({ title }) => ({
        about: title,
        reason: "it has neither phase nor priority, so its age decides whether it runs behind",
        fix: "give it a priority, such as 0, or a phase",
      }));
  });
}
