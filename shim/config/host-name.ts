/** Host names as HTTP and Kubernetes know them (RFC 1123, section 2.1; RFC 1035, section 2.3.1). */

const LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?";

/** Labels joined by dots, at most one dot behind; a last label of digits alone would be an IPv4 address. */
const NAME = `(?:${LABEL}\\.)*(?![0-9]+\\.?$)${LABEL}\\.?`;

export const HOST_NAME = new RegExp(`^${NAME}$`);
export const HOST_NAME_OR_WILDCARD = new RegExp(`^(?:\\*\\.)?${NAME}$`);
export const HTTPS_ORIGIN = new RegExp(`^https://${NAME.replaceAll("A-Z", "").replace(/\\\.\?$/, "")}$`);

/** The longest name (RFC 1035, section 2.3.4: 253 in text), and the dot that may stand behind it. */
export const HOST_NAME_MAX_LENGTH = 254;

/** The form in which names are compared: lower case, without the dot that may stand behind. */
export function normalHost(host: string): string {
  const lower = host.toLowerCase();
  return lower.endsWith(".") ? lower.slice(0, -1) : lower;
}

/** The host of an `https://HOST` origin. */
export function hostOfOrigin(origin: string): string {
  return origin.slice("https://".length);
}

/** The name under which Istio knows a Service. */
export function kubernetesHost(service: string, namespace: string): string {
  return `${service}.${namespace}.svc.cluster.local`;
}
