import { Document, type Node } from "yaml";

import type { Json } from "./envoy/json.js";

/**
 * YAML documents, in the order given. Text that YAML 1.1 would take for something else (on, no, y, n, 1e3, 12:30) is quoted:
 * kubectl and its libraries read YAML 1.1. A comment stands in front of its document.
 */
export function yamlText<T extends Json>(
  values: readonly T[],
  commentOn: (value: T) => string | undefined = () => undefined,
): string {
  const documents = values.map((value) => {
    const document = new Document<Node>(value, {
      version: "1.2",
      compat: "yaml-1.1",
      aliasDuplicateObjects: false,
    });
    const comment = commentOn(value);
    if (comment !== undefined && document.contents !== null) document.contents.commentBefore = ` ${comment}`;
    return document.toString({ lineWidth: 0 });
  });
  return documents.join("---\n");
}
