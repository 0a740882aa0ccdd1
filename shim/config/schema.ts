import { z } from "zod";
import { HOST_NAME, HOST_NAME_MAX_LENGTH, HOST_NAME_OR_WILDCARD, HTTPS_ORIGIN } from "./host-name.js";

/**
 * hopgate.yaml as users write it: which fields there are, of which kind, and their defaults. What fields mean
 * for one another is in the rules (`rules-*.ts`). The published JSON Schema is generated from here.
 *
 * Every check's error reads `NOUN: WHAT TO WRITE`; `schema-findings.ts` takes it apart.
 */

const TRUE_OR_FALSE = "true or false: write true or false";

/** What the filter takes at most. */
const MAX_BYPASSES = 64;
const BYPASSES = `a list of at most ${MAX_BYPASSES} paths: write [{path: /healthz/ready}]`;

function text(pattern: RegExp, error: string, maxLength?: number): z.ZodString {
  const checked = z.string({ error }).regex(pattern, { error });
  return maxLength === undefined ? checked : checked.max(maxLength, { error });
}

function wholeNumber(least: number, most: number, unit = ""): z.ZodNumber {
  const error = `valid here: write a whole number${unit} from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
}

function oneOf<const T extends readonly [string, ...string[]]>(values: T): z.ZodEnum<{ [K in T[number]]: K }> {
  return z.enum(values, {
    error: `valid here: write ${values.slice(0, -1).join(", ")} or ${values.at(-1)}`,
  });
}

function listOf<T extends z.ZodType>(element: T, noun: string): z.ZodArray<T> {
  const error = `a list of ${noun} with at least one entry: write [ENTRY, ...]`;
  return z.array(element, { error }).min(1, { error });
}

function mapOf<T extends z.ZodType>(value: T, noun: string): z.ZodRecord<z.ZodString, T> {
  return z.record(name, value, { error: `a map of ${noun}: write NAME: {...} for each` });
}

function fields<T extends z.ZodRawShape>(shape: T): z.ZodObject<T, z.core.$strict> {
  return z.strictObject(shape, { error: `a map: write one with the fields ${Object.keys(shape).join(", ")}` });
}

const name = text(/^[a-z0-9-]{1,63}$/, 'a name: write 1 to 63 characters of a-z, 0-9 and "-"');
const kubernetesName = text(
  /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
  'a name in Kubernetes: write 1 to 63 characters of a-z, 0-9 and "-", with no "-" at either end',
);
const hostName = text(
  HOST_NAME,
  "a host name: write the name alone, such as kb.example.internal, without scheme, port or path",
  HOST_NAME_MAX_LENGTH,
);
const hostNameOrWildcard = text(
  HOST_NAME_OR_WILDCARD,
  "a host name: write the name alone, such as kb.example.internal or *.example.internal, without scheme, port or path",
  HOST_NAME_MAX_LENGTH,
);
const headerName = text(
  /^[A-Za-z0-9._-]{1,128}$/,
  'the name of a header: write 1 to 128 letters, digits, "-", "_" and ".", such as x-session-id',
);
const urlPath = text(/^\/[!"$->@-~]{0,1023}$/, "a path: write it from the first / on, without query and fragment");
const audience = text(
  /^[!-~]{1,255}$/,
  "an audience: write 1 to 255 printable ASCII characters without spaces, such as https://kb.example.internal",
);
const validatorName = name.describe("Name of a validator of this file.");
const image = text(
  /^(?:localhost|[a-z0-9.-]+\.[a-z0-9.-]+|[a-z0-9.-]+:[0-9]+)(?::[0-9]{1,5})?(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)+(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$/,
  "an image: write REGISTRY/REPOSITORY@sha256:DIGEST, as hopgate push prints it",
  512,
);
const caller = text(
  /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\/[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)?$/,
  "a caller: write NAMESPACE, or NAMESPACE/SERVICEACCOUNT",
);

const kubernetes = fields({
  service: kubernetesName.describe("Name of the Service."),
  namespace: kubernetesName.describe("Namespace of the Service."),
  port: wholeNumber(1, 65535).describe("Port of the Service."),
}).describe("An always-on service of the cluster.");

const cloudRun = fields({
  url: text(
    HTTPS_ORIGIN,
    "the origin of a Cloud Run service: write https:// and its host in lower case, such as https://kb-abc123-uc.a.run.app, without port, path or a / at the end",
    "https://".length + HOST_NAME_MAX_LENGTH,
  ).describe("The service's URL: https, the host and nothing else."),
  via: oneOf(["gcpBackend", "serviceEntry", "loadBalancer"]).describe(
    "How requests leave the mesh: by a ServiceEntry for the service's own host (`gcpBackend` too, with a GCPBackend beside it where the cluster has that kind), or by an internal load balancer.",
  ),
  host: hostName.describe("Host name of the load balancer. Only with `via: loadBalancer`, which needs it.").optional(),
  audience: audience
    .describe(
      "The `aud` of the ID token. Defaults to `url`. Cloud Run accepts its own URL and the custom audiences of the service; every host that is not under run.app needs one.",
    )
    .optional(),
  region: kubernetesName.describe("Region of the service, such as us-central1.").optional(),
}).describe("A Cloud Run service. Requests to it carry an ID token, which the hop adds.");

const backend = fields({
  kubernetes: kubernetes.optional(),
  cloudRun: cloudRun.optional(),
  through: name
    .describe(
      "Name of the waypoint hop in front of this backend. That waypoint adds the ID token; the hops before it do not.",
    )
    .optional(),
}).meta({
  description: "Something that answers requests: exactly one of `kubernetes` and `cloudRun`.",
  oneOf: [{ required: ["kubernetes"] }, { required: ["cloudRun"] }],
});

const validator = fields({
  issuers: listOf(audience, "issuers").describe("Accepted `iss` claims.").default(["https://accounts.google.com"]),
  audiences: listOf(audience, "audiences").describe("Accepted `aud` claims."),
  emails: listOf(
    text(
      /^(?:\*|[!-?A-~]{1,190}@[A-Za-z0-9.-]{1,253})$/,
      'an e-mail address: write the caller\'s address, or "*" alone to allow any caller',
    ),
    "e-mail addresses",
  ).describe('Accepted callers, by their verified `email` claim. `["*"]` allows any caller with a valid token.'),
  algorithm: oneOf(["RS256", "ES256"]).describe("Algorithm of the signature.").default("RS256"),
  header: headerName
    .describe("Header with the token. Without it: x-serverless-authorization if present, else authorization.")
    .optional(),
  forward: z.boolean({ error: TRUE_OR_FALSE }).describe("Hand the caller's token on to the backend.").default(true),
  clockSkewSec: wholeNumber(0, 600, " of seconds")
    .describe("How far the clocks of issuer and hop may differ, in seconds.")
    .default(60),
  maxLifetimeSec: wholeNumber(60, 86400, " of seconds")
    .describe("The longest accepted time between `iat` and `exp`, in seconds.")
    .default(3660),
  jwks: fields({
    host: hostName.describe("Host of the issuer's key set, on port 443.").default("www.googleapis.com"),
    path: urlPath.describe("Path of the key set.").default("/oauth2/v3/certs"),
    cacheSec: wholeNumber(1, 86400, " of seconds").describe("How long a key set is fresh, in seconds.").default(600),
    maxStaleSec: wholeNumber(0, 604800, " of seconds")
      .describe("How long the last good key set is used beyond that while the host is down, in seconds.")
      .default(3600),
    cooldownSec: wholeNumber(1, 3600, " of seconds")
      .describe("The least time between two fetches for unknown key ids, in seconds.")
      .default(30),
    timeoutMs: wholeNumber(1, 60000, " of milliseconds")
      .describe("How long a fetch may take, in milliseconds.")
      .default(2000),
  })
    .describe("Where the public keys of the issuer come from. Defaults to Google's.")
    .prefault({}),
}).describe("What the ID token of a caller must say.");

const route = fields({
  hosts: listOf(hostNameOrWildcard, "host names").describe(
    "Host names of this route. `*.x` covers every name that ends in `.x`, never `x` itself.",
  ),
  to: name.describe("Name of the backend that answers.").optional(),
  split: mapOf(wholeNumber(1, 100), "backends and their percent")
    .describe("Backends that answer, each with its share in percent. The shares sum to 100.")
    .optional(),
  sticky: headerName
    .describe("Requests with the same value of this header go to the same backend of a split.")
    .optional(),
  validate: validatorName.describe("Name of the validator that callers of this route must satisfy.").optional(),
  open: text(
    /^(?=[\s\S]*\p{L})(?:\P{Cc}|\n){1,500}$/u,
    'a reason: write in words why callers need not be checked here, such as "callers are checked by AuthorizationPolicy kb"',
  )
    .describe("Why callers need not be checked here, in words. Instead of `validate`.")
    .optional(),
}).meta({
  description: "Host names and what answers for them: exactly one of `to` and `split`.",
  oneOf: [{ required: ["to"] }, { required: ["split"] }],
});

const gateway = fields({
  namespace: kubernetesName.describe("Namespace of the gateway's Pods."),
  selector: z
    .record(
      text(
        /^(?:[a-z0-9.-]{1,253}\/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/,
        "the key of a label: write one as Kubernetes has it, such as istio",
      ),
      text(
        /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/,
        "the value of a label: write at most 63 characters, such as ingressgateway",
      ),
      { error: "a map of labels: write {istio: ingressgateway}" },
    )
    .describe("Labels of the gateway's Pods, for a gateway that was installed with Istio.")
    .optional(),
  name: kubernetesName
    .describe("Name of the Gateway resource, for a gateway of the Gateway API. Instead of `selector`.")
    .optional(),
  tls: z
    .boolean({ error: TRUE_OR_FALSE })
    .describe("Whether the gateway terminates TLS. Without, it speaks plain HTTP.")
    .default(true),
  port: wholeNumber(1, 65535).describe("Port that callers use. Defaults to 443, without TLS to 80.").optional(),
  secret: kubernetesName
    .describe(
      "Name of the Secret with the gateway's certificate, in its namespace. Defaults to the mesh's name and -tls.",
    )
    .optional(),
}).describe(
  "An ingress gateway: exactly one of `selector` (Istio's own) and `name` (Gateway API). It gets every route.",
);

const waypoint = fields({
  namespace: kubernetesName.describe("Namespace of the waypoint."),
  name: kubernetesName.describe("Name of its Gateway resource."),
}).describe("An ambient waypoint. It gets a route for each backend that says `through` it.");

const bypass = fields({
  path: urlPath.describe("The exact path, without the query."),
  hosts: listOf(hostName, "host names").describe("Only for these hosts. Without it: for every host.").optional(),
}).describe("Requests that the hop leaves alone: not routed, not validated, not timed.");

const hop = fields({
  gateway: gateway.optional(),
  waypoint: waypoint.optional(),
  edge: z
    .boolean({ error: TRUE_OR_FALSE })
    .describe("Callers outside reach this hop: it removes every x-hopgate-* header that they send.")
    .default(false),
  validate: validatorName
    .describe("Name of the validator that every request here must satisfy, matched by a route or not.")
    .optional(),
  unmatched: oneOf(["pass", "reject"])
    .describe("What becomes of requests that no route matches: `pass` leaves them alone, `reject` answers 404.")
    .default("pass"),
  bypass: z
    .array(bypass, { error: BYPASSES })
    .max(MAX_BYPASSES, { error: BYPASSES })
    .describe("Paths that the hop leaves alone, such as health checks.")
    .default([]),
  callers: listOf(caller, "callers")
    .describe(
      "Who may use a waypoint that adds ID tokens: namespaces, or service accounts as NAMESPACE/NAME. Defaults to the namespaces of the gateways in front and its own, unless it has `validate`.",
    )
    .optional(),
}).meta({
  description: "A proxy that runs the filter: exactly one of `gateway` and `waypoint`.",
  oneOf: [{ required: ["gateway"] }, { required: ["waypoint"] }],
});

const identity = fields({
  mode: oneOf(["metadata", "impersonate", "off"])
    .describe(
      "Where ID tokens come from: the metadata server (for the proxy's own service account), the IAM Credentials API (for `serviceAccount`), or nowhere.",
    )
    .default("metadata"),
  serviceAccount: text(
    /^[a-z0-9.-]{1,63}@[a-z0-9.-]{1,190}\.gserviceaccount\.com$/,
    "the address of a service account: write NAME@PROJECT.iam.gserviceaccount.com",
  )
    .describe("The service account whose tokens are used. Only with `mode: impersonate`, which needs it.")
    .optional(),
  timeoutMs: wholeNumber(1, 60000, " of milliseconds")
    .describe("How long a fetch may take, and a request wait for it, in milliseconds.")
    .default(2000),
  refreshBeforeSec: wholeNumber(1, 3000, " of seconds")
    .describe(
      "How long before its end a token is replaced, in seconds. The metadata server hands out the same token until 300 remain.",
    )
    .default(240),
  maxWaiters: wholeNumber(1, 100000)
    .describe("How many requests may wait for a token in one worker. More are refused at once.")
    .default(1000),
}).describe("How hops come by the ID tokens that they add.");

const timing = fields({
  expose: oneOf(["never", "always", "trace"])
    .describe(
      "Who sees Server-Timing: nobody, every caller, or callers that send the header x-hopgate-trace with `key`.",
    )
    .default("never"),
  key: text(
    /^[!-~](?:[ -~]{0,254}[!-~])?$/,
    "a key: write 1 to 256 printable ASCII characters, with no space at either end",
  )
    .describe("What x-hopgate-trace must say. A secret: it shows callers the inside of the mesh.")
    .optional(),
}).describe("Who sees where the time of a request went. Metrics are always recorded.");

export const meshFile = fields({
  name: name.describe("Name of the mesh, used in the names of the resources."),
  backends: mapOf(backend, "backends").describe("What answers requests, by name.").default({}),
  validators: mapOf(validator, "validators").describe("Which callers are let in, by name.").default({}),
  routes: z
    .array(route, { error: "a list of routes: write [{hosts: [HOST], to: BACKEND}]" })
    .describe("Which backend answers for which host names.")
    .default([]),
  hops: mapOf(hop, "hops").describe("The proxies that run the filter, by name. At least one."),
  identity: identity.prefault({}),
  timing: timing.prefault({}),
  image: image.describe("The filter's image in an OCI registry, as `hopgate push` prints it.").optional(),
  imagePullSecret: kubernetesName
    .describe("Name of a Secret of type kubernetes.io/dockerconfigjson in each hop's namespace, for the image.")
    .optional(),
  revisionNamespace: kubernetesName
    .describe(
      "Where `hopgate deploy` keeps its revisions; the namespace of the first hop unless given. It must not change.",
    )
    .optional(),
}).describe("AI traffic of a mesh: what answers, who may call, and the proxies in between.");

/** hopgate.yaml with its defaults filled in. */
export type MeshFile = z.output<typeof meshFile>;
