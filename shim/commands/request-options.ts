/** What describes a request on the command line, in curl's words. Messages never repeat a value: it may be a credential. */

import { UsageError } from "../errors.js";

export type Header = readonly [name: string, value: string];

const NAME = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
const HEADER = new RegExp(`^(${NAME}):[ \\t]*([^\\0\\r\\n]*?)[ \\t]*$`);
const METHOD = new RegExp(`^${NAME}$`);

/** `-H 'name: value'`, each. Names in lower case. */
export function parseHeaders(texts: readonly string[]): readonly Header[] {
  return texts.map((text, index) => {
    const [, name, value] = HEADER.exec(text) ?? [];
    if (name !== undefined && value !== undefined) return [name.toLowerCase(), value] as const;
    throw new UsageError(`The header of -H number ${index + 1} is none.`, "Write it as -H 'name: value'.");
  });
}

/** `-X METHOD` (RFC 9110, section 9.1: case matters). */
export function parseMethod(text: string): string {
  if (METHOD.test(text)) return text;
  throw new UsageError("The method of -X is none.", "Write a word such as GET or POST.");
}

/** `--resolve HOST:PORT:ADDRESS`: where to connect for `url`. An IPv6 address may stand in brackets. */
export function parseResolve(text: string, url: URL): { readonly host: string; readonly port: number } {
  const [, host, port, address] = /^(\[[^\]]+\]|[^:]+):(\d{1,5}):(?:\[([^\]]+)\]|.+)$/.exec(text) ?? [];
  if (host === undefined || port === undefined) {
    throw new UsageError(
      `--resolve ${JSON.stringify(text)} is not HOST:PORT:ADDRESS.`,
      "Write it as llm.example.internal:443:127.0.0.1.",
    );
  }
  const wanted = Number(url.port || (url.protocol === "https:" ? 443 : 80));
  if (host.toLowerCase() !== url.hostname || Number(port) !== wanted) {
    throw new UsageError(
      `--resolve is for ${host}:${port}, and the URL asks for ${url.hostname}:${wanted}.`,
      "Make the two the same.",
    );
  }
  return { host: address ?? text.slice(host.length + port.length + 2), port: wanted };
}
