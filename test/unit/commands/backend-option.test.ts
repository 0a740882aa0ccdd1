import { expect, it } from "vitest";
import { parseBackends } from "../../../shim/commands/backend-option.js";
import { hopgate } from "./support.js";

it("reads a URL for each name", () => {
  expect(parseBackends(["llm=http://localhost:11434", "kb=https://kb.example"])).toEqual(
    new Map([
      ["llm", new URL("http://localhost:11434")],
      ["kb", new URL("https://kb.example")],
    ]),
  );
});

it.each([
  { values: ["llm"], words: "Write NAME=URL" },
  { values: ["llm=user:S3CRET@"], words: "must begin with http:// or https://" },
  { values: ["https://user:S3CRET@h/?a=b"], words: "Write NAME=URL" },
  { values: ["llm=ftp://user:S3CRET@127.0.0.1"], words: "must begin with http:// or https://" },
  { values: ["llm=https://user:S3CRET@host"], words: "credentials in a URL would be dropped; " },
  { values: ["llm=https:S3CRET@host"], words: "credentials in a URL would be dropped; " },
  { values: ["llm=https://host/v1?key=S3CRET"], words: "no path" },
  { values: ["llm=https://host/#S3CRET"], words: "no path" },
  { values: ["llm=http://a.example", "llm=http://b.example"], words: "llm is given twice" },
])("refuses --backend $values, and shows no credential", async ({ values, words }) => {
  const { code, stdout, stderr } = await hopgate("up", ...values.flatMap((value) => ["--backend", value]));
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toContain(words);
  expect(stderr).not.toContain("S3CRET");
});
