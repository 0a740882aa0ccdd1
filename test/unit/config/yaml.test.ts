import { describe, expect, test } from "vitest";
import { parseMesh } from "../../../shim/config/parse.js";
import { edited, refusal, unmark } from "./problems.js";

const ANYWHERE = "check the indentation, the quotes and the brackets here and in the line above";
const EMPTY =
  "the file is empty; write one with the fields name, backends, validators, routes, hops, identity, timing, image, imagePullSecret, revisionNamespace";

describe("text that is no YAML of ours is refused where it goes wrong:", () => {
  test.each([
    ["nothing", "§", EMPTY],
    ["comments only", "§# to do\n", EMPTY],
    ["a document marker only", "---§\n", EMPTY],
    [
      "a word",
      "§hopgate",
      '"hopgate" is not a map; write one with the fields name, backends, validators, routes, hops, identity, timing, image, imagePullSecret, revisionNamespace',
    ],
    [
      "a list",
      "§- name: a",
      "a list is not a map; write one with the fields name, backends, validators, routes, hops, identity, timing, image, imagePullSecret, revisionNamespace",
    ],
    [
      "two documents",
      "name: a\n§---\nname: b\n",
      "a second YAML document starts here; keep one of the two in a file, without a line ---",
    ],
    [
      "a tab for indentation",
      "name: a\nhops:\n§\ta: 1\n",
      "this is not YAML: tabs are not allowed as indentation; indent with spaces",
    ],
    [
      "a colon in plain text",
      "name: §a: b\n",
      'this is not YAML: nested mappings are not allowed in compact mappings; indent the fields of a map alike, and quote a value that has ": " in it',
    ],
    [
      "an open quote",
      "name: 'a§",
      "this is not YAML: missing closing 'quote; add what is missing, such as a closing quote, a comma or a colon",
    ],
    [
      "an open bracket",
      "hops: [a§",
      `this is not YAML: flow sequence in block collection must be sufficiently indented and end with a ]; ${ANYWHERE}`,
    ],
    [
      "a reserved character",
      "name: §@a",
      "this is not YAML: plain value cannot start with reserved character @; put the value in quotes",
    ],
    ["a tag", "name: §!secret a", "this is not YAML: unresolved tag; remove the tag (the word that starts with !)"],
    [
      "binary data",
      "name: §!!binary aGk=",
      "this is not YAML: unresolved tag; remove the tag (the word that starts with !)",
    ],
    [
      "an unknown directive",
      "§%HOPGATE 1\n---\nname: a",
      "this is not YAML: unknown directive %HOPGATE; remove the line that starts with %",
    ],
    ["a key twice", "name: a\n§name: b", 'name: "name" is already in line 1; keep one of the two'],
    [
      "a key that is a number",
      "hops: { §1: {} }",
      "hops: a key here is not a name; write a name, in quotes if it is a number",
    ],
    [
      "a key that is a list",
      "hops: { §[a]: {} }",
      "hops: a key here is not a name; write a name, in quotes if it is a number",
    ],
    [
      "a key that objects have of their own",
      "hops: { §__proto__: {} }",
      "hops: a key here is not a name; write a name, in quotes if it is a number",
    ],
    [
      "an alias of nothing",
      "name: §*a",
      "name: no anchor &a stands before this alias; write the value here, or &a before the value that is meant, above this line",
    ],
    [
      "an alias of what it is in",
      "hops: &a { b: §*a }",
      "hops.b: the alias *a is part of what it stands for; write the value out",
    ],
    [
      "more aliases than a file needs",
      `a: &a 1\nb: [${"*a, ".repeat(100)}§*a, *a]`,
      "b[100]: more than 100 aliases; write the values out",
    ],
    [
      "lists in lists without end",
      `${"[".repeat(32)}§${"[".repeat(100_000)}`,
      "maps and lists are nested more than 32 deep; write it as the example does, 8 deep at most",
    ],
    [
      "maps in maps without end",
      `${"? ".repeat(32)}§${"? ".repeat(100_000)}`,
      "maps and lists are nested more than 32 deep; write it as the example does, 8 deep at most",
    ],
  ])("%s", (_, marked, said) => {
    const { text, place } = unmark(marked);
    expect(refusal(text).message).toBe(`${place}: ${said}`);
  });
});

test("says only the first few of the errors that one slip of grammar causes", () => {
  expect(refusal("&a ".repeat(1000)).problems.length).toBe(5);
});

test("a thousand million laughs cost nothing", () => {
  const levels = Array.from({ length: 9 }, (_, n) => `l${n + 1}: &l${n + 1} [${Array(9).fill(`*l${n}`).join(", ")}]`);
  const { problems } = refusal(["l0: &l0 ha", ...levels].join("\n"));
  expect(problems.map(({ path }) => path)).toContain("l9");
});

describe("an alias", () => {
  const text = edited(
    "to: kb, validate: google }",
    "to: kb, open: &why the gateway listens on loopback only }\n  - { hosts: [x.internal], to: kb, open: *why }",
  );

  test("stands for the value of its anchor", () => {
    const { routes } = parseMesh(text, "hopgate.yaml");
    expect(routes[3]?.open).toBe("the gateway listens on loopback only");
  });

  test("is pointed at where it is written", () => {
    const marked = edited("port: 80", "port: &port 80")
      .replace("port: 6333", "port: 6333, prt: *port")
      .replace("change-me", "§*port");
    expect(refusal(unmark(marked).text).message).toContain(`${unmark(marked).place}: timing.key:`);
  });

  test("leads to what is wrong inside its value", () => {
    const marked = edited("timing: {", "identity: &times { §timeoutMs: 5 }\ntiming: *times\n#{");
    const { text, place } = unmark(marked);
    expect(refusal(text).message).toContain(`${place}: timing.timeoutMs: unknown field`);
  });
});

test("counts columns from the start of the line whatever ends the lines", () => {
  const { text, place } = unmark("name: a\n\nhops:\n  ingress: { §x: 1 }\n");
  expect(refusal(text.replaceAll("\n", "\r\n")).message).toContain(`${place}: hops.ingress.x:`);
});
