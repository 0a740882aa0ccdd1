import { describe, expect, it } from "vitest";
import { hostOfAuthority, matchHost, nearestPattern } from "../../../shim/explain/host-match.js";

const PATTERNS = ["llm.example.internal", "*.eu.example.internal", "*.example.internal", "*.kb.example.org"];

describe("the host of an authority", () => {
  it.each([
    ["A.example", "a.example"],
    ["a.example:8443", "a.example"],
    ["a.example.:80", "a.example"],
    ["[::1]:80", "::1"],
    ["", ""],
  ])("%j is %j", (authority, host) => {
    expect(hostOfAuthority(authority)).toBe(host);
  });
});

describe("a host", () => {
  it.each([
    ["llm.example.internal", "exact", "llm.example.internal"],
    ["kb.example.internal", "wildcard", "*.example.internal"],
    ["a.b.eu.example.internal", "wildcard", "*.eu.example.internal"],
    ["eu.example.internal", "wildcard", "*.example.internal"],
    ["kb.example.org", "none", null],
    ["akb.example.org", "none", null],
    [".kb.example.org", "none", null],
    ["", "none", null],
  ])("%j matches: %s %s", (host, type, pattern) => {
    expect(matchHost(host, PATTERNS)).toEqual({ type, pattern });
    expect(matchHost(host, PATTERNS.toReversed())).toEqual({ type, pattern });
  });
});

describe("the nearest pattern", () => {
  it.each([
    ["lmm.example.internal", "llm.example.internal"],
    ["kb.example.org", "*.kb.example.org"],
    ["a.kv.example.org", "*.kb.example.org"],
    ["something.else.entirely", null],
  ])("of %j is %j", (host, pattern) => {
    expect(nearestPattern(host, ["llm.example.internal", "*.kb.example.org"])).toBe(pattern);
  });
});
