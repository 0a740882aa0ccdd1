import { X509Certificate } from "node:crypto";

import type { GatewayHop } from "../config/model.js";
import { type Resource, titleOf } from "../render/istio/resource.js";
import { type Check, type Finding, type Remark, whenRead } from "./check.js";
import type { ClusterSeen, SecretSeen } from "./seen.js";

/** The certificate of each gateway, and TLS and clusters towards Cloud Run and Google. */
export const TLS_CHECKS: readonly Check<ClusterSeen>[] = [
  {
    code: "HG0501",
    level: "error",
    title: "whoever gets a token has shown a certificate with his name",
    why: "With sni alone, or without TLS, the token goes to anybody who answers at the address.",
    find: (seen) => tokenHosts(seen).flatMap((one) => originations(seen, one)),
  },
  {
    code: "HG0502",
    level: "error",
    title: "each gateway has its certificate",
    why: "Without, the gateway does not open its port for TLS, and connections are refused.",
    find: (seen) =>
      gatewaysWithTls(seen).flatMap(({ hop, secret }) =>
        forSecret(seen, hop.namespace, secret, (found) =>
          found === undefined || (found.certificate !== undefined && found.hasKey)
            ? undefined
            : `it has no tls.crt and tls.key (type ${found.type})`,
        ),
      ),
  },
  {
    code: "HG0503",
    level: "warning",
    title: "the certificates of gateways are of their hosts, and valid",
    why: "Callers refuse the connection.",
    find: (seen) =>
      gatewaysWithTls(seen).flatMap(({ hop, secret }) => {
        const about = `Secret ${hop.namespace}/${secret}`;
        return whenRead(about, seen.secrets.get(`${hop.namespace}/${secret}`), (found) =>
          found?.certificate === undefined ? [] : faultsOf(about, found.certificate, seen),
        );
      }),
  },
  {
    code: "HG0504",
    level: "error",
    title: "proxies get the clusters of the metadata server and of key sets",
    why: "A waypoint has clusters of its own services alone, and so has a gateway with PILOT_FILTER_GATEWAY_CLUSTER_CONFIG: the filter could fetch neither tokens nor keys, and would answer 503.",
    after: true,
    find: clusters,
  },
  {
    code: "HG0505",
    level: "error",
    title: "the namespaces of hops have the imagePullSecret",
    why: "A proxy that cannot pull the module denies every request with 403.",
    find: pullSecrets,
  },
];

interface TlsSettings {
  readonly mode?: string;
  readonly sni?: string;
  readonly subjectAltNames?: readonly string[];
  readonly insecureSkipVerify?: boolean;
}

interface RuleSpec {
  readonly host?: string;
  readonly trafficPolicy?: {
    readonly tls?: TlsSettings;
    readonly portLevelSettings?: readonly { readonly tls?: TlsSettings }[];
  };
}

function specOf(rule: Resource): RuleSpec {
  return (rule["spec"] ?? {}) as unknown as RuleSpec;
}

/** Where tokens go, and keys come from, by the namespace whose proxies ask there. */
function tokenHosts({ resources }: ClusterSeen): readonly { readonly namespace: string; readonly host: string }[] {
  const rules = resources.filter(({ kind }) => kind === "DestinationRule");
  const hosts = rules.flatMap((rule) => {
    const { host, trafficPolicy } = specOf(rule);
    return host === undefined || trafficPolicy?.tls?.mode !== "SIMPLE"
      ? []
      : [{ namespace: rule.metadata.namespace, host }];
  });
  return [...new Map(hosts.map((one) => [`${one.namespace}/${one.host}`, one])).values()];
}

function originations(
  { destinationRules, deployed }: ClusterSeen,
  { namespace, host }: { readonly namespace: string; readonly host: string },
): readonly Remark[] {
  return whenRead(`DestinationRules of ${namespace}`, destinationRules.get(namespace), (rules) => {
    const own = rules.filter((rule) => specOf(rule).host === host);
    const isExpected = deployed?.resources.some(
      (rule) => rule.metadata.namespace === namespace && rule.kind === "DestinationRule" && specOf(rule).host === host,
    );
    if (own.length === 0 && isExpected === true)
      return [
        {
          about: `${host} in ${namespace}`,
          reason: "there is no DestinationRule for it",
          fix: "run hopgate deploy again",
        },
      ];
    return own.flatMap((rule) => {
      const about = titleOf(rule);
      const { trafficPolicy } = specOf(rule);
      const all = [trafficPolicy?.tls, ...(trafficPolicy?.portLevelSettings ?? []).flatMap(({ tls }) => tls ?? [])];
      return all.flatMap((tls) => {
        const reason = weakness(tls);
        const fix = `write tls: { mode: SIMPLE, sni: ${host}, subjectAltNames: [${host}] } there, or remove it: hopgate deploy brings a rule for this host`;
        return reason === undefined ? [] : [{ about, reason: `for ${host}, ${reason}`, fix }];
      });
    });
  });
}

function weakness(tls: TlsSettings | undefined): string | undefined {
  if (tls === undefined || tls.mode === "DISABLE") return "it speaks no TLS";
  if (tls.insecureSkipVerify === true) return "it checks no certificate (insecureSkipVerify)";
  if ((tls.subjectAltNames ?? []).length === 0) return "it has no subjectAltNames";
  return tls.sni === undefined || tls.sni === "" ? "it has no sni" : undefined;
}

function gatewaysWithTls({ mesh }: ClusterSeen): readonly { readonly hop: GatewayHop; readonly secret: string }[] {
  return [...mesh.hops.values()].flatMap((hop) =>
    hop.kind === "gateway" && hop.secret !== undefined && mesh.routes.length > 0 ? [{ hop, secret: hop.secret }] : [],
  );
}

function forSecret(
  { secrets }: ClusterSeen,
  namespace: string,
  name: string,
  fault: (found: SecretSeen | undefined) => string | undefined,
): readonly Remark[] {
  const about = `Secret ${namespace}/${name}`;
  return whenRead(about, secrets.get(`${namespace}/${name}`), (found): readonly Finding[] => {
    const reason = found === undefined ? "there is none" : fault(found);
    return reason === undefined ? [] : [{ about, reason, fix: "create it, or name another in the file" }];
  });
}

/** Who renews certificates by himself does it earlier than when so much of their life is left. */
const LAST_PART = 0.1;

function faultsOf(about: string, pem: string, { mesh, nowMs }: ClusterSeen): readonly Finding[] {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch {
    return [{ about, reason: "its tls.crt is no certificate", fix: "put the certificate there, in PEM" }];
  }
  const [startMs, endMs] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  const isLate = endMs - nowMs < (endMs - startMs) * LAST_PART;
  const end = `${endMs < nowMs ? "expired" : "expires"} at ${certificate.validTo}`;
  // Of a wildcard, whether it is good for what is below.
  const uncovered = mesh.routes
    .flatMap(({ hosts }) => hosts)
    .filter((host) => certificate.checkHost(host.replace(/^\*/, "any")) === undefined);
  return [
    ...(isLate ? [{ about, reason: `its certificate ${end}`, fix: "renew it" }] : []),
    ...(uncovered.length > 0
      ? [
          {
            about,
            reason: `its certificate is not for ${uncovered.join(", ")}`,
            fix: "have one issued for every host of the routes",
          },
        ]
      : []),
  ];
}

const REFERENCED_SERVICES = "envoyfilter.istio.io/referenced-services";

function clusters({ deployed, live }: ClusterSeen): readonly Remark[] {
  const filters = (deployed?.resources ?? []).filter(({ kind }) => kind === "EnvoyFilter");
  return filters.flatMap((filter) => {
    const about = titleOf(filter);
    const fix = "run hopgate deploy again";
    return whenRead(about, live.get(about), (found): readonly Finding[] => {
      if (found === undefined) return [{ about, reason: "it is gone", fix }];
      const names = servicesOf(found);
      const missing = servicesOf(filter).filter((name) => !names.includes(name));
      if (missing.length === 0) return [];
      // A space behind a comma is a part of the name.
      const reason = `its annotation ${REFERENCED_SERVICES} lacks ${missing.join(", ")}${names.some((name) => name !== name.trim()) ? ", for it has spaces" : ""}`;
      return [{ about, reason, fix }];
    });
  });
}

function servicesOf({ metadata }: Resource): readonly string[] {
  const annotations = (metadata["annotations"] ?? {}) as Readonly<Record<string, string>>;
  return (annotations[REFERENCED_SERVICES] ?? "").split(",");
}

function pullSecrets(seen: ClusterSeen): readonly Remark[] {
  const { imagePullSecret, hops } = seen.mesh;
  if (imagePullSecret === undefined) return [];
  const namespaces = new Set([...hops.values()].map(({ namespace }) => namespace));
  return [...namespaces].flatMap((namespace) =>
    forSecret(seen, namespace, imagePullSecret, (found) =>
      found === undefined || found.type === "kubernetes.io/dockerconfigjson"
        ? undefined
        : `its type is ${found.type}, not kubernetes.io/dockerconfigjson`,
    ),
  );
}
