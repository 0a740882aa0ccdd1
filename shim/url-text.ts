/** URLs in messages and archives: whoever wrote one may have put a secret into it. */

/**
 * A URL without userinfo, query and fragment, where secrets travel. What has no host by the WHATWG rules, which also
 * take `https:user:password@host`, is cut by its text: a mistyped URL holds the same secrets.
 */
export function withoutCredentials(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && url.host !== "") {
    url.username = url.password = url.search = url.hash = "";
    return url.href;
  }
  // Parsers of URLs drop tabs and line ends.
  const path = text
    .trim()
    .replace(/[\t\r\n]/g, "")
    .replace(/[?#].*$/s, "");
  if (/^\/(?![/\\])/.test(path)) return path;
  return path.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/is, "$1");
}
