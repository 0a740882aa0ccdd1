import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { meshJsonSchema } from "../../../shim/config/json-schema.js";

const PUBLISHED = "manifests/hopgate.schema.json";

test("the published JSON Schema is what the sources say", () => {
  const published = readFileSync(PUBLISHED, "utf8");
  expect(published, `${PUBLISHED} is out of date: run npm run generate`).toBe(meshJsonSchema());
});

test("names itself and its draft", () => {
  expect(JSON.parse(meshJsonSchema())).toMatchObject({
    $schema: "https://json-schema.org/draft/2020-12/schema",
    $id: "urn:hopgate:hopgate.schema.json",
    title: "hopgate.yaml",
  });
});

test("every field is described", () => {
  const missing: string[] = [];
  const visit = (schema: unknown, path: string): void => {
    if (typeof schema !== "object" || schema === null) return;
    for (const [key, value] of Object.entries(schema)) {
      if (key === "properties") {
        for (const [name, field] of Object.entries(value as Record<string, object>)) {
          if (!("description" in field)) missing.push(`${path}.${name}`);
          visit(field, `${path}.${name}`);
        }
      } else if (key === "additionalProperties" || key === "items") {
        visit(value, path);
      }
    }
  };
  visit(JSON.parse(meshJsonSchema()), "");
  expect(missing).toEqual([]);
});
