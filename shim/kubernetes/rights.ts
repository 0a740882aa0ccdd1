import type { MissingRights } from "../doctor/seen.js";
import type { Resource } from "../render/istio/resource.js";
import { ApiError, each, type Objects } from "./objects.js";

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

interface Right {
  readonly namespace: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  readonly name: string | undefined;
  readonly verb: string;
}

/** Of what these roles grant, what whoever asks may not do. Asked of the API server (SelfSubjectAccessReview). */
export async function missingRights(roles: readonly Resource[], objects: Objects): Promise<MissingRights> {
  const rights = roles.filter(({ kind }) => kind === "Role").flatMap(rightsOf);
  const answers = await each(rights, async (right) => ((await isAllowed(right, objects)) ? [] : [right]));
  const missing = answers.flat();
  const namespaces = [...new Set(missing.map(({ namespace }) => namespace))];
  return {
    user: missing.length === 0 ? undefined : await userOf(objects),
    rights: new Map(
      namespaces.map((namespace) => [namespace, textsOf(missing.filter((right) => right.namespace === namespace))]),
    ),
  };
}

/** Who asks; undefined: the API server is too old to say (before 1.28). */
async function userOf(objects: Objects): Promise<string | undefined> {
  const body = JSON.stringify({ apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" });
  const path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
  try {
    const { status } = await objects.request<{ readonly status: { readonly userInfo: { readonly username: string } } }>(
      { method: "POST", path, body },
      "ask who you are",
    );
    return status.userInfo.username;
  } catch (error) {
    if (error instanceof ApiError) return undefined;
    throw error;
  }
}

function rightsOf(role: Resource): readonly Right[] {
  const { namespace } = role.metadata;
  return (role["rules"] as unknown as readonly Rule[]).flatMap(({ apiGroups, resources, resourceNames, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((both) => {
        const [resource = "", subresource = ""] = both.split("/");
        // One name stands for all: whoever may one Secret of the ten may the others.
        const name = resourceNames?.[0];
        return verbs.map((verb) => ({ namespace, group, resource, subresource, name, verb }));
      }),
    ),
  );
}

async function isAllowed(
  { namespace, group, resource, subresource, name, verb }: Right,
  objects: Objects,
): Promise<boolean> {
  const resourceAttributes = {
    namespace,
    group,
    resource,
    verb,
    ...(subresource !== "" && { subresource }),
    ...(name !== undefined && { name }),
  };
  const body = JSON.stringify({
    apiVersion: "authorization.k8s.io/v1",
    kind: "SelfSubjectAccessReview",
    spec: { resourceAttributes },
  });
  const path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
  const { status } = await objects.request<{ readonly status: { readonly allowed: boolean } }>(
    { method: "POST", path, body },
    "ask what you may do",
  );
  return status.allowed;
}

/** `get, patch wasmplugins.extensions.istio.io`, one for each resource. */
function textsOf(rights: readonly Right[]): readonly string[] {
  const verbs = new Map<string, string[]>();
  for (const right of rights) {
    const what = whatOf(right);
    verbs.set(what, [...(verbs.get(what) ?? []), right.verb]);
  }
  return [...verbs].map(([what, all]) => `${all.join(", ")} ${what}`);
}

function whatOf({ group, resource, subresource, name }: Right): string {
  const kind = `${resource}${group === "" ? "" : `.${group}`}`;
  return `${kind}${subresource === "" ? "" : `/${subresource}`}${name === undefined ? "" : ` ${name}`}`;
}
