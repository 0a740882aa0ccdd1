import { join } from "node:path";

import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * Five projects: `unit` runs without binaries, `envoy` with a real one (`npm test` runs these two), `tree` looks at the
 * sources themselves (a part of `npm run check`), and `mesh` and `mesh-load` run with a real Istio (`npm run test:mesh`).
 */

/** Where to write what was counted, one JSON file for each run of vitest; CI adds them up. */
const reports = process.env["HOPGATE_TEST_REPORTS"];

/** Sends requests all the time, and so runs beside nothing else. */
const LOAD = ["test/mesh/deploy-load.test.ts"];

/** Takes longer than any other file, so that it must not begin last. */
const LONGEST = "test/mesh/deploy-faults.test.ts";

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLongest = ({ moduleId }: TestSpecification): boolean => moduleId.endsWith(LONGEST);
    const sorted = await super.sort(files);
    return [...sorted.filter(isLongest), ...sorted.filter((file) => !isLongest(file))];
  }
}

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    reporters: ["default", ...(reports === undefined ? [] : ["json"])],
    outputFile: { json: join(reports ?? "", `${String(process.pid)}.json`) },
    globalSetup: "test/support/build.ts",
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts", "test/fuzz/**/*.test.ts"],
          // Only what hangs is to fail: on a busy machine tests that run at the same time take several times as long.
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: { name: "tree", include: ["test/tree/**/*.test.ts"], testTimeout: 60_000, sequence: { groupOrder: 0 } },
      },
      {
        extends: true,
        // One file at a time, and none beside the other tests: several Envoys at once starve each other of two cores.
        test: {
          name: "envoy",
          include: ["test/envoy/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        // Three files at a time: each has a box of its own, whose commands wait more than they compute.
        test: {
          name: "mesh",
          include: ["test/mesh/**/*.test.ts"],
          exclude: LOAD,
          maxWorkers: 3,
          testTimeout: 60_000,
          hookTimeout: 180_000,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: "mesh-load",
          include: LOAD,
          hookTimeout: 180_000,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
