import { describe, expect, it } from "vitest";

import { filesIn, importsOf, namesIn } from "./sources.js";

/** Each edge to the outside lies in one folder: elsewhere, nobody needs to know what is behind it. */

const TYPESCRIPT = [".ts"];

function imports(path: string, module: string): boolean {
  return importsOf(path).some((name) => name === module || name.startsWith(`${module}/`));
}

describe("in shim/", () => {
  for (const { module, home, what } of [
    { module: "node:child_process", home: ["shim/envoy/", "shim/oci/credentials"], what: "starts processes" },
    { module: "commander", home: ["shim/run.ts", "shim/run-"], what: "parses the command line" },
    { module: "zod", home: ["shim/config/", "shim/local/"], what: "validates with zod" },
    { module: "yaml", home: ["shim/config/", "shim/render/yaml"], what: "reads or writes YAML" },
    { module: "assemblyscript", home: ["shim/module/"], what: "compiles the filter" },
    { module: "@kubernetes/client-node", home: ["shim/kubernetes/"], what: "speaks to Kubernetes" },
    { module: "@peculiar/x509", home: ["shim/local/ca"], what: "issues certificates" },
    { module: "jose", home: ["shim/local/"], what: "signs and checks tokens" },
  ]) {
    it(`only ${home.join(" and ")} ${what}: ${module}`, () => {
      const isHome = (path: string): boolean => home.some((folder) => path.startsWith(folder));
      const importers = filesIn(["shim"], TYPESCRIPT).filter((path) => imports(path, module));
      expect(importers.filter(isHome)).not.toEqual([]);
      expect(importers.filter((path) => !isHome(path))).toEqual([]);
    });
  }

  it("only emulator/ runs WebAssembly", () => {
    const sightings = filesIn(["shim"], TYPESCRIPT).flatMap(namesIn);
    const places = sightings.filter(({ name }) => name === "WebAssembly").map(({ place }) => place);
    const home = (place: string): boolean => place.startsWith("shim/emulator/");
    expect(places.filter(home)).not.toEqual([]);
    expect(places.filter((place) => !home(place))).toEqual([]);
  });
});

describe("in filter/", () => {
  /** AssemblyScript's ways to memory and to the host. */
  const RAW = new Set(["changetype", "external", "heap", "load", "memory", "store", "unmanaged", "usize"]);

  it("only host/ holds raw pointers and imports of the host", () => {
    const sightings = filesIn(["filter"], TYPESCRIPT).flatMap(namesIn);
    const raw = sightings.filter(({ name }) => RAW.has(name)).map(({ name, place }) => `${place} ${name}`);
    const home = (place: string): boolean => place.startsWith("filter/host/");
    expect(raw.filter(home)).not.toEqual([]);
    expect(raw.filter((place) => !home(place))).toEqual([]);
  });

  it("only host/ imports what the host imports as they are", () => {
    const importers = filesIn(["filter"], TYPESCRIPT).filter((path) =>
      importsOf(path).some((name) => /(^|\/)abi$/.test(name)),
    );
    expect(importers.filter((path) => !path.startsWith("filter/host/"))).toEqual([]);
  });
});
