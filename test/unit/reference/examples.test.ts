import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { RENDERED_EXAMPLES, renderedExample } from "../../../shim/reference/examples.js";
import { hopgate, isFilterBuilt } from "../commands/support.js";

test.each(RENDERED_EXAMPLES)("the published resources of the example %s are what is rendered of it", (name) => {
  const folder = `manifests/examples/${name}`;
  const published = readFileSync(`${folder}/resources.yaml`, "utf8");
  const file = `${folder}/hopgate.yaml`;
  expect(published, "out of date: run npm run generate").toBe(renderedExample(readFileSync(file, "utf8"), file));
});

test.skipIf(!isFilterBuilt).each(RENDERED_EXAMPLES)(
  "the filter takes the example %s (needs build/hopgate.wasm)",
  async (name) => {
    expect((await hopgate("check", `manifests/examples/${name}/hopgate.yaml`)).code).toBe(0);
  },
);
