/** Headers that may be passed on to others. */

import { shownUrl } from "../output/text.js";
import type { HarHeader } from "./har.js";

/** Words in the names of headers that carry credentials, those of vendors and of one's own services included. */
const SECRET_NAME =
  /auth|token|secret|key|cookie|session|credential|passw|signature|assertion|jwt|saml|x-hopgate-trace|x-forwarded-client-cert/i;
/** A credential under another name: with its scheme (RFC 9110, section 11.4), or a JWT. */
const SECRET_VALUE = /^(?:basic|bearer|digest|negotiate|aws4-hmac-sha256)\s|\beyJ[\w-]{8,}\./i;
/** Their queries carry tokens. */
const URLS: ReadonlySet<string> = new Set(["location", "content-location", "referer", "origin"]);

/** Without the headers that may carry a credential, by name or by value; URLs without their queries. */
export function shareableHeaders(headers: readonly (readonly [name: string, value: string])[]): readonly HarHeader[] {
  return headers
    .filter(([name, value]) => !SECRET_NAME.test(name) && !SECRET_VALUE.test(value))
    .map(([name, value]) => ({ name, value: URLS.has(name.toLowerCase()) ? shownUrl(value) : value }));
}
