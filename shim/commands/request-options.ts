/** What describes a request on the command line, in curl's words. Messages never repeat a value: it may be a credential. */

import { readFileSync } from "node:fs";

import { errorCode, UsageError } from "../errors.js";

export type Header = readonly [name: string, value: string];

const NAME = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
const HEADER = new RegExp(`^(${NAME}):[ \\t]*([^\\0\\r\\n]*?)[ \\t]*$`);
const METHOD = new RegExp(`^${NAME}$`);

/** `-H 'name: value'`, or `-H @FILE` with one on each line, so that a credential need not stand on a command line. Names in lower case. */
export function parseHeaders(texts: readonly string[]): readonly Header[] {
  return texts.flatMap((text, index) => {
    if (text.startsWith("@")) return headersOf(text.slice(1));
    const header = parseHeader(text);
    if (header !== undefined) return [header];
    throw new UsageError(`The header of -H number ${index + 1} is none.`, "Write it as -H 'name: value'.");
  });
}

function parseHeader(text: string): Header | undefined {
  const [, name, value] = HEADER.exec(text) ?? [];
  return name === undefined || value === undefined ? undefined : [name.toLowerCase(), value];
}

function headersOf(file: string): readonly Header[] {
  const lines = readLines(file);
  return lines.flatMap((line, index) => {
    if (line.trim() === "") return [];
    const header = parseHeader(line);
    if (header !== undefined) return [header];
    throw new UsageError(`Line ${index + 1} of ${file} is no header.`, "Write one as name: value on each line.");
  });
}

function readLines(file: string): readonly string[] {
  try {
    return readFileSync(file, "utf8").split(/\r?\n/);
  } catch (cause) {
    throw new UsageError(
      `-H @${file} cannot be read (${errorCode(cause)}).`,
      "Name a file with a header on each line.",
    );
  }
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
