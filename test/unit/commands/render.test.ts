import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse, parseAllDocuments } from "yaml";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MESH } from "./mesh.js";
import { type Folder, hopgate, hopgateJson, isFilterBuilt, temporaryFolder } from "./support.js";

const IMAGE = `registry.example.com/hopgate/filter@sha256:${"ab".repeat(32)}`;

let folder: Folder;
let file: string;

beforeAll(() => {
  folder = temporaryFolder();
  file = folder.write("hopgate.yaml", MESH.replace("via: serviceEntry } }", "via: gcpBackend } }"));
});
afterAll(() => folder.remove());

interface List {
  readonly kind: string;
  readonly items: readonly { readonly kind: string; readonly metadata: { readonly name: string } }[];
}

describe.skipIf(!isFilterBuilt)("hopgate render (needs build/hopgate.wasm)", () => {
  it("prints the same resources as YAML and as JSON, and nothing else on stdout", async () => {
    const { code, stdout } = await hopgate("render", "-c", file, "--image", IMAGE);
    expect(code).toBe(0);
    const { kind, items } = await hopgateJson<List>("render", "-c", file, "--image", IMAGE);
    expect(kind).toBe("List");
    expect(parseAllDocuments(stdout).map((document) => (document as { toJS(): unknown }).toJS())).toEqual(items);
  });

  it("says what cannot be seen in the resources, on stderr", async () => {
    const { stderr } = await hopgate("render", "-c", file, "--image", IMAGE);
    expect(stderr).toMatch(
      /note: kb: rendered as ServiceEntry\. hopgate deploy adds a GCPBackend where the cluster has that kind/,
    );
    expect(stderr).toContain("hopgate render --gcloud");
  });

  it("prints one resource alone, by the name that messages have for it", async () => {
    const { items: all } = await hopgateJson<List>("render", "-c", file, "--image", IMAGE);
    const plugin = all.find(({ kind }) => kind === "WasmPlugin");
    const title = `WasmPlugin istio-ingress/${plugin?.metadata.name ?? ""}`;
    const { items } = await hopgateJson<List>("render", "-c", file, "--image", IMAGE, "--only", title);
    expect(items).toEqual([plugin]);
    const none = await hopgate("render", "-c", file, "--image", IMAGE, "--only", "Gateway a/b");
    expect(none.code).toBe(2);
    expect(none.stderr).toContain(title);
  });

  it("takes the image of the file, and the option before it", async () => {
    const withImage = folder.write("image.yaml", `${MESH}image: ${IMAGE}\n`);
    expect((await hopgate("render", "-c", withImage)).stdout).toContain(`url: oci://${IMAGE}`);
    const other = IMAGE.replace("filter", "other");
    expect((await hopgate("render", "-c", withImage, "--image", other)).stdout).toContain(`url: oci://${other}`);
  });

  it.each([
    [[], "is not said"],
    [["--image", "registry.example.com/filter:latest"], "has no digest"],
  ])("exits 2 without an image that cannot change: %j", async (options, message) => {
    const { code, stdout, stderr } = await hopgate("render", "-c", file, ...options);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toContain(message);
  });

  it("writes a kustomization: a base, and an overlay for each kind of hop that is whole with it", async () => {
    const target = join(folder.path, "kustomize");
    const { stdout } = await hopgate("render", "-c", file, "--image", IMAGE, "--kustomize", target);
    expect(readdirSync(target, { recursive: true, encoding: "utf8" }).sort()).toEqual([
      "base",
      "base/kustomization.yaml",
      "base/resources.yaml",
      "overlays",
      "overlays/gateway",
      "overlays/gateway/kustomization.yaml",
      "overlays/gateway/resources.yaml",
      "overlays/waypoint",
      "overlays/waypoint/kustomization.yaml",
      "overlays/waypoint/resources.yaml",
    ]);
    expect(stdout.trim().split("\n")).toHaveLength(6);
    expect(parse(readFileSync(join(target, "overlays/gateway/kustomization.yaml"), "utf8"))).toMatchObject({
      resources: ["../../base", "resources.yaml"],
    });
    const names = (path: string): string[] =>
      parseAllDocuments(readFileSync(join(target, path), "utf8")).map((document) => {
        const { kind, metadata } = (document as unknown as { toJS(): List["items"][number] }).toJS();
        return `${kind} ${metadata.name}`;
      });
    const { items } = await hopgateJson<List>("render", "-c", file, "--image", IMAGE);
    const all = ["base/resources.yaml", "overlays/gateway/resources.yaml", "overlays/waypoint/resources.yaml"].flatMap(
      names,
    );
    expect(all.sort()).toEqual(items.map(({ kind, metadata }) => `${kind} ${metadata.name}`).sort());
  });

  it("prints the roles, or the lines for Google Cloud, instead", async () => {
    expect((await hopgate("render", "-c", file, "--image", IMAGE, "--rbac")).stdout).toMatch(/^apiVersion: rbac\./);
    expect((await hopgate("render", "-c", file, "--gcloud")).stdout).toContain("roles/run.invoker");
  });
});
