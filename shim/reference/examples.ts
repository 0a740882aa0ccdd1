import { parseMesh } from "../config/parse.js";
import { parsePinnedImage } from "../render/image.js";
import { commentOn } from "../render/istio/another.js";
import { inOrder, meshResources } from "../render/istio/resources.js";
import { yamlText } from "../render/yaml.js";

/** The folders of manifests/examples/ whose resources.yaml is rendered from the hopgate.yaml beside it. */
export const RENDERED_EXAMPLES = ["ingress-gateway", "waypoint"] as const;

/** resources.yaml of a hopgate.yaml that names its image. */
export function renderedExample(text: string, fileName: string): string {
  const mesh = parseMesh(text, fileName);
  const resources = meshResources(mesh, { image: parsePinnedImage(mesh.image ?? ""), api: "wasmplugin" });
  return `# Generated from hopgate.yaml by \`npm run generate\`. Put your image in both.\n${yamlText(inOrder(resources), commentOn(mesh))}`;
}
