/** An explanation for the terminal: the request, the way it takes, and a section for each hop. */

import { type Paint, colours } from "../output/colours.js";
import { type Io, unicode } from "../output/io.js";
import { table } from "../output/table.js";
import { printable } from "../output/text.js";
import { ASCII, UNICODE } from "../trace/bar.js";
import type { HopExplanation } from "./hop.js";
import type { Explanation } from "./path.js";

/** Lines joined by newlines. */
export function drawExplanation(explanation: Explanation, io: Io): string {
  const paint = colours(io);
  const { method, url, hops } = explanation;
  const heading = [
    paint("bold", printable(`${method} ${url}`)),
    wayOf(explanation, unicode(io) ? UNICODE.arrow : ASCII.arrow),
    ...callerOf(explanation),
  ];
  return [heading.join("\n"), ...hops.map((hop) => drawHop(hop, paint))].join("\n\n");
}

/** `client → ingress → agents → backend reports` */
function wayOf({ hops, backend, reply }: Explanation, arrow: string): string {
  const end = backend !== null ? [`backend ${backend}`] : reply === null ? ["no backend of this file"] : [];
  const way = ["client", ...hops.map(({ hop }) => hop), ...end].join(` ${arrow} `);
  return reply === null ? way : `${way}, which answers ${replyOf(reply)}`;
}

/** Why a token is refused before anybody looks at its signature. */
const BEFORE_SIGNATURE: ReadonlySet<string> = new Set([
  "token_missing",
  "token_malformed",
  "token_algorithm",
  "token_signature_removed",
]);

/** What the answer goes by, where callers are checked. */
function callerOf({ caller, reply }: Explanation): readonly string[] {
  if (caller === null) return [];
  if (caller.token === "given") {
    if (reply !== null && BEFORE_SIGNATURE.has(reply.code ?? "")) return [];
    return ["as if the signature of its token held: checking that takes the issuer's keys, and nothing is sent"];
  }
  const { without_token: refusal } = caller;
  const otherwise = refusal === null ? "" : `; without a token, ${refusal.hop} answers ${replyOf(refusal)}`;
  return [`for a caller with a token that all who check it accept${otherwise}`];
}

function drawHop(hop: HopExplanation, paint: Paint): string {
  const rows: (readonly [string, string])[] = [[hop.match.by === "service" ? "service" : "host", matchOf(hop)]];
  const add = (label: string, text: string | null): void => void (text !== null && rows.push([label, text]));
  add("backend", backendOf(hop));
  add("callers", callersOf(hop));
  add("accepts", acceptedOf(hop));
  add("token", tokenOf(hop));
  add("removes", hop.removed_headers.length === 0 ? null : hop.removed_headers.join(", "));
  add(
    "sets",
    hop.set_headers.length === 0 ? null : hop.set_headers.map(({ name, value }) => `${name}: ${value}`).join(", "),
  );
  add("cluster", hop.cluster);
  add("authority", hop.rewritten_authority === null ? null : `rewritten to ${hop.rewritten_authority}`);
  add(
    "answers",
    hop.reply === null ? null : `${replyOf(hop.reply)}${hop.reply.detail === null ? "" : `: ${hop.reply.detail}`}`,
  );
  const title = `${hop.hop} (${hop.kind}${hop.edge ? ", edge" : ""})`;
  const cells = rows.map(([label, text]) => [`  ${label}`, printable(text)]);
  return [paint("bold", title), table(cells)].join("\n");
}

function matchOf({ match, outcome }: HopExplanation): string {
  if (outcome === "bypassed") return `${match.name}, but the path is bypassed`;
  switch (match.type) {
    case "exact":
      return `${match.name}, an exact match`;
    case "wildcard":
      return `${match.name}, under ${match.pattern ?? ""}`;
    case "none": {
      const nearest = match.nearest === null ? "" : `; did you mean ${match.nearest}?`;
      return `${match.name === "" ? "an empty name" : match.name}, which no route matches${nearest}`;
    }
  }
}

const NO_BACKEND = "none: the filter lets it pass; unless a route that is not hopgate's takes it, Envoy answers 404";

function backendOf(hop: HopExplanation): string | null {
  if (hop.outcome === "passed" || hop.outcome === "bypassed") return NO_BACKEND;
  if (hop.backend === null) return null;
  if (hop.arms.length === 1) return hop.backend;
  const share = hop.arms.find(({ backend }) => backend === hop.backend)?.share_percent ?? 0;
  const split = hop.arms.map(({ backend, share_percent }) => `${backend} ${share_percent} %`).join(", ");
  return `${hop.backend}, ${share} % of this route (${split}); ${decisionOf(hop)}`;
}

function decisionOf({ chosen_by, sticky }: HopExplanation): string {
  switch (chosen_by) {
    case "sticky":
      return `${sticky ?? ""} decides: requests with this value stay here`;
    case "request_id":
      return "x-request-id decides, of which a gateway makes a new one for callers from outside";
    case "each_request":
      return `each request is drawn anew, by its x-request-id${sticky === null ? "" : `, unless it sends ${sticky}`}`;
    case "only_arm":
    case null:
      return "the others get nothing";
  }
}

function callersOf({ validators, open, backend }: HopExplanation): string | null {
  if (validators.length > 0)
    return validators.map(({ name, of }) => `checked by ${name}, as the ${of} says`).join("; ");
  if (open !== null) return `not checked: ${open}`;
  return backend === null ? null : "not checked";
}

function acceptedOf({ validators }: HopExplanation): string | null {
  const accepted = validators.map(({ header, audiences, emails }) => {
    const who = emails.includes("*") ? "anybody" : anyOf(emails);
    return `${who}, with a token for ${anyOf(audiences)} in ${header ?? "authorization"}`;
  });
  return accepted.length === 0 ? null : accepted.join("; and ");
}

/** The first few, so that it stays a line. */
function anyOf(texts: readonly string[]): string {
  const shown = texts.slice(0, MOST_SHOWN).join(" or ");
  return texts.length > MOST_SHOWN ? `${shown} or ${texts.length - MOST_SHOWN} more` : shown;
}

const MOST_SHOWN = 3;

function tokenOf({ token, no_token_because }: HopExplanation): string | null {
  if (token !== null) return `for ${token.audience}, in ${token.header}`;
  return no_token_because === null ? null : `none: ${no_token_because}`;
}

function replyOf({ status, code }: { readonly status: number; readonly code: string | null }): string {
  return code === null ? String(status) : `${status} ${code}`;
}
