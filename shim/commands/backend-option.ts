import { UsageError } from "../errors.js";
import { shownUrl } from "../output/text.js";

/** `--backend NAME=URL`, each: the origins to put in the place of backends. Throws UsageError; no message shows a credential. */
export function parseBackends(texts: readonly string[]): ReadonlyMap<string, URL> {
  const backends = new Map<string, URL>();
  for (const [index, text] of texts.entries()) {
    const [, name, address = ""] = /^([a-z0-9-]{1,63})=(.+)$/s.exec(text) ?? [];
    if (name === undefined || !URL.canParse(address)) {
      throw new UsageError(
        `--backend number ${String(index + 1)} is no name and URL.`,
        "Write NAME=URL, such as llm=http://localhost:11434.",
      );
    }
    const wrong = whatIsWrong(new URL(address));
    if (wrong !== undefined) throw new UsageError(`--backend ${name}=${shownUrl(address)}: ${wrong}`);
    if (backends.has(name)) {
      throw new UsageError(`--backend ${name} is given twice.`, "Give one URL for each backend.");
    }
    backends.set(name, new URL(address));
  }
  return backends;
}

function whatIsWrong(url: URL): string | undefined {
  if (url.protocol !== "http:" && url.protocol !== "https:") return "The URL must begin with http:// or https://.";
  if (url.username !== "" || url.password !== "") {
    return "credentials in a URL would be dropped; send them in a header of the request, such as authorization.";
  }
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "") {
    return "The URL must have no path, query or fragment: requests keep the path that the client sent.";
  }
  return undefined;
}
