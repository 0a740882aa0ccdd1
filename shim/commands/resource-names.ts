import { type Resource, titleOf } from "../render/istio/resource.js";

const MOST = 10;

/** The names of resources in one line: ten, and how many more there are. */
export function namesOf(resources: readonly Resource[]): string {
  const names = resources.map(titleOf).sort();
  const more = names.length - MOST;
  return [...names.slice(0, MOST), ...(more > 0 ? [`and ${String(more)} more`] : [])].join(", ");
}

/** `1 resource`, `2 resources`. */
export function counted(count: number, noun: string): string {
  return `${String(count)} ${noun}${count === 1 ? "" : "s"}`;
}
