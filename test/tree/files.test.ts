import { describe, expect, it } from "vitest";

import { filesIn, matches, read } from "./sources.js";

const MAX_LINES = 400;

const show = ({ place, name }: { place: string; name: string }): string => `${place} ${name}`;

describe("every file", () => {
  /** What a person wrote, or reads. */
  const all = filesIn(["."]).filter((path) => path !== "package-lock.json" && path !== "LICENSE");

  it(`of code has at most ${String(MAX_LINES)} lines`, () => {
    const code = filesIn(["bench", "filter", "shim"]);
    const long = code
      .map((path) => ({ path, lines: read(path).split("\n").length - 1 }))
      .filter(({ lines }) => lines > MAX_LINES);
    expect(long).toEqual([]);
  });

  it("can be read on any machine: no absolute path of one", () => {
    expect(all.flatMap((path) => matches(path, /(?<![\w.])\/(work|root|home\/\w+|Users\/\w+)\//)).map(show)).toEqual(
      [],
    );
  });

  it("leaves the choice of the package registry to its user", () => {
    const hosts = /npmjs\.(org|com)|yarnpkg\.com|pypi\.org|pythonhosted\.org|proxy\.golang\.org|crates\.io|maven\.org/;
    expect(all.flatMap((path) => matches(path, hosts)).map(show)).toEqual([]);
  });
});

describe("package.json", () => {
  const { version, dependencies, devDependencies } = JSON.parse(read("package.json")) as {
    version: string;
    dependencies: Record<string, string>;
    devDependencies: Record<string, string>;
  };

  it("pins each dependency to one version", () => {
    const loose = Object.entries({ ...dependencies, ...devDependencies }).filter(
      ([, wanted]) => !/^\d+\.\d+\.\d+$/.test(wanted),
    );
    expect(loose).toEqual([]);
  });

  it("has the version of its lock file, which names no registry", () => {
    const lock = read("package-lock.json");
    expect((JSON.parse(lock) as { version: string }).version).toBe(version);
    expect(lock).not.toContain('"resolved"');
  });
});
