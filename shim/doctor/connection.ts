import type { Check } from "./check.js";

export interface ConnectionSeen {
  readonly context: string;
  /** Why it did not answer; undefined: it did. */
  readonly failure: string | undefined;
}

export const CONNECTION_CHECKS: readonly Check<ConnectionSeen>[] = [
  {
    code: "HG0301",
    level: "error",
    title: "the API server answers",
    why: "Without it nothing can be said about the cluster, and nothing deployed.",
    find: ({ context, failure }) =>
      failure === undefined
        ? []
        : [{ about: context, reason: failure, fix: "look whether kubectl version answers with the same --context" }],
  },
];
