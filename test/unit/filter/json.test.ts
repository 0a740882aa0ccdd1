/** The parser against JSONTestSuite (https://github.com/nst/JSONTestSuite), by way of the configuration. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { Emulator } from "../../../shim/emulator/emulator.js";
import { hopgate } from "../../support/filter.js";

const vectors = process.env["HOPGATE_VECTORS"] ?? fileURLToPath(new URL("../../../../shared/vectors", import.meta.url));
const folder = join(vectors, "JSONTestSuite", "test_parsing");
const files = existsSync(folder) ? readdirSync(folder).sort() : [];

/** What the filter says about a text that is not JSON, or not such that all readers agree on it. */
const NOT_JSON = /^configuration: (is empty|is not valid JSON|is nested deeper|has too many|has a duplicate|has text)/;
/** Names twice in one object are valid JSON and refused here. */
const DUPLICATES = new Set(["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"]);

if (files.length === 0) {
  test.skip(`JSONTestSuite is not at ${folder}; HOPGATE_VECTORS says where else`, () => undefined);
} else {
  test("the suite is whole", () => {
    expect(files.length).toBeGreaterThanOrEqual(318);
  });

  test.each(files)("%s", async (file) => {
    const proxy = await Emulator.start({ module: hopgate });
    expect(proxy.configure({ config: readFileSync(join(folder, file)) })).toEqual({ accepted: false });
    expect(proxy.traps).toEqual([]);
    expect(proxy.logs).toHaveLength(1);
    const reason = proxy.logs[0]?.message.replace("hopgate: configuration refused: ", "") ?? "";
    if (file.startsWith("n_") || DUPLICATES.has(file)) expect(reason).toMatch(NOT_JSON);
    else if (file.startsWith("y_")) expect(reason).not.toMatch(NOT_JSON);
  });
}
