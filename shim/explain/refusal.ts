/** What the filter refuses, as a problem of the hopgate.yaml that its configuration was rendered from. */

import type { Problem } from "../config/config-error.js";
import { type Path, renderPath } from "../config/finding.js";
import type { Hop } from "../config/model.js";
import type { YamlSource } from "../config/yaml-source.js";

/** Fields of the plugin configuration that hopgate.yaml has under the hop. */
const OF_THE_HOP: ReadonlySet<string | number | undefined> = new Set(["bypass", "edge", "unmatched", "validate"]);
/** Fields that both have at the top, in the same order. A waypoint's routes are rendered from the backends. */
const OF_THE_FILE: ReadonlySet<string | number | undefined> = new Set(["backends", "identity", "timing", "validators"]);

/** `reason` is the filter's line, such as `routes[0].hosts[1]: is listed twice`. */
export function refusalProblem(file: string, source: YamlSource, hop: Hop, reason: string): Problem {
  const steps = existing(source.value, pathIn(hop, reason));
  const path = steps.length === 0 ? ["hops", hop.name] : steps;
  return {
    file,
    ...source.placeOf(path, "key"),
    path: renderPath(path),
    message: `the filter of hop ${hop.name} refuses its configuration: ${reason}`,
    fix: "change it or leave it out: a proxy that starts with a refused configuration answers 500 to all",
  };
}

/** Where in hopgate.yaml the filter's path leads, as deep as the two are the same; the hop where they are not. */
function pathIn(hop: Hop, reason: string): Path {
  const steps = stepsOf(reason);
  const [first] = steps;
  if (OF_THE_HOP.has(first)) return ["hops", hop.name, ...steps.slice(0, 1)];
  if (OF_THE_FILE.has(first) || (first === "routes" && hop.kind === "gateway")) return steps;
  return ["hops", hop.name];
}

/** The part of the path that the file has. */
function existing(value: unknown, path: Path): Path {
  const [step, ...rest] = path;
  if (step === undefined || typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return [];
  return [step, ...existing((value as Record<string | number, unknown>)[step], rest)];
}

/** `routes[0].hosts[1]: ...` as `routes`, 0, `hosts`, 1. */
function stepsOf(reason: string): Path {
  const [path = ""] = reason.split(":", 1);
  if (!/^[\w.[\]-]+$/.test(path)) return [];
  return path
    .split(/[.[\]]+/)
    .filter((step) => step !== "")
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step));
}
