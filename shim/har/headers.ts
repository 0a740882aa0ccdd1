/** Headers that may be passed on to others. */

import { shownUrl } from "../output/text.js";
import type { HarHeader } from "./har.js";

/** Words in the names of headers that carry credentials, those of vendors and of one's own services included. */
const SECRET_NAME =
  /auth|token|secret|key|cookie|session|sid|credential|passw|pwd|pin|otp|code|signature|assertion|jwt|saml|x-hopgate-trace|x-forwarded-client-cert/i;
/** A credential under another name: with its scheme (RFC 9110, section 11.4), or a JWT. */
const SECRET_VALUE = /^(?:basic|bearer|digest|negotiate|token|api-?key|aws4-hmac-sha256)\s|\beyJ[\w-]{8,}\./i;
/** Headers that are a URL as a whole, which may also be relative. */
const URLS: ReadonlySet<string> = new Set(["location", "content-location", "referer", "origin"]);
/** Userinfo of a URL somewhere in a value, such as that of Link and Refresh. */
const USERINFO = /\/\/[^\s/"<>]*@/g;
/** A query or fragment, likewise. Of one character it is no secret but a boolean of RFC 9651: `?1`. */
const QUERY = /[?#][^\s"<>]{2,}/g;

/** Without the headers that may carry a credential, by name or by value; URLs without userinfo and queries. */
export function shareableHeaders(headers: readonly (readonly [name: string, value: string])[]): readonly HarHeader[] {
  return headers
    .filter(([name, value]) => !SECRET_NAME.test(name) && !SECRET_VALUE.test(value))
    .map(([name, value]) => ({ name, value: shareableValue(name, value) }));
}

function shareableValue(name: string, value: string): string {
  if (URLS.has(name.toLowerCase())) return shownUrl(value);
  return value.replace(USERINFO, "//").replace(QUERY, "");
}
