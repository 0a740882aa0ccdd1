import { expect, it } from "vitest";

import { allChecks, GROUPS } from "../../../shim/doctor/checks.js";

const checks = allChecks();

it("every check has a code of its own, in a group that has a name", () => {
  const codes = checks.map(({ code }) => code);
  expect(new Set(codes).size).toBe(codes.length);
  expect(codes).toEqual([...codes].sort());
  for (const code of codes) {
    expect(code).toMatch(/^HG\d{4}$/);
    expect(GROUPS.map(({ prefix }) => prefix)).toContain(code.slice(0, 4));
  }
});

it("every check says in a sentence what holds, and what follows where it does not", () => {
  for (const { code, title, why } of checks) {
    expect(title, code).not.toMatch(/\.$/);
    expect(why, code).toMatch(/\.$/);
    expect(why, code).not.toContain("\n");
  }
});
