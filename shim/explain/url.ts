import { UsageError } from "../errors.js";
import { shownUrl } from "../output/text.js";

/** The URL of a request to a mesh. Throws UsageError if it is none, or is neither `http:` nor `https:`. */
export function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "https:" || url?.protocol === "http:") return url;
  throw new UsageError(`"${shownUrl(text)}" is no URL of a request.`, "Write it as https://HOST/PATH.");
}
