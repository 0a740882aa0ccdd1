import { describe, expect, it } from "vitest";
import type { CloudRunBackend } from "../../../../shim/config/model.js";
import { cloudRunService } from "../../../../shim/render/istio/cloud-run-service.js";
import { googleCloudScript } from "../../../../shim/render/istio/google-cloud.js";
import { sample } from "./sample.js";

describe("the lines for Google Cloud", () => {
  it("give each hop that adds tokens the right to call its own services, and no other", () => {
    const invokers = googleCloudScript(sample()).match(/^gcloud run services add-iam.*$/gm);
    expect(invokers).toEqual([
      'gcloud run services add-iam-policy-binding kb --project "$PROJECT" --region REGION --role roles/run.invoker --member "serviceAccount:shop-ingress@$PROJECT.iam.gserviceaccount.com"',
      'gcloud run services add-iam-policy-binding reports --project "$PROJECT" --region REGION --role roles/run.invoker --member "serviceAccount:shop-agents@$PROJECT.iam.gserviceaccount.com"',
    ]);
  });

  it("close each service to the outside once", () => {
    const script = googleCloudScript(sample());
    expect(script.match(/^gcloud run services update \S+/gm)).toEqual([
      "gcloud run services update kb",
      "gcloud run services update reports",
    ]);
  });

  it("quote what may have any character", () => {
    const backends =
      '\n  x: { cloudRun: { url: https://x-abc123-uc.a.run.app, via: serviceEntry, audience: "a\'$(touch${IFS}x)" } }';
    const routes = "[{ hosts: [x.example.internal], to: x, open: a test }]";
    expect(googleCloudScript(sample({ backends, routes }))).toContain(
      `--add-custom-audiences 'a'\\''$(touch\${IFS}x)'`,
    );
  });
});

describe("a Cloud Run URL", () => {
  it.each([
    ["https://kb-abc123-uc.a.run.app", "kb", undefined],
    ["https://my-kb-2k5xq7w3za-ew.a.run.app", "my-kb", undefined],
    ["https://my-kb-123456789012.us-central1.run.app", "my-kb", "us-central1"],
    ["https://kb.example.com", undefined, undefined],
  ])("%s says which service it is, as far as it does", (url, name, region) => {
    expect(cloudRunService({ url } as CloudRunBackend)).toEqual({ name, region });
  });
});
