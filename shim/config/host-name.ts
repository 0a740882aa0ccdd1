/** Host names as HTTP and Kubernetes know them (RFC 1123, section 2.1; RFC 1035, section 2.3.4). */

/** Labels of `letters`, digits and inner hyphens, joined by dots. A last label of digits alone would end an IPv4 address. */
function namePattern(letters: string, end: string): string {
  const label = `[${letters}0-9](?:[${letters}0-9-]{0,61}[${letters}0-9])?`;
  return `(?:${label}\\.)*(?![0-9]+${end}$)${label}${end}$`;
}

const ANY_CASE = namePattern("A-Za-z", "\\.?");

export const HOST_NAME = new RegExp(`^${ANY_CASE}`);
export const HOST_NAME_OR_WILDCARD = new RegExp(`^(?:\\*\\.)?${ANY_CASE}`);
export const HTTPS_ORIGIN = new RegExp(`^https://${namePattern("a-z", "")}`);

/** Of a name in text, with the dot that may stand behind. */
export const HOST_NAME_MAX_LENGTH = 253;

/** The form in which names are compared: lower case, without the dot that may stand behind. */
export function normalHost(host: string): string {
  const lower = host.toLowerCase();
  return lower.endsWith(".") ? lower.slice(0, -1) : lower;
}

/** The host of an `https://HOST` origin. */
export function hostOfOrigin(origin: string): string {
  return origin.slice("https://".length);
}
