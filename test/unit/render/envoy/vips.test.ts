import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { virtualIps } from "../../../../shim/render/envoy/vips.js";
import { cloudRun, kubernetes, meshOf } from "./sample.js";

describe("virtual IPs", () => {
  it("are distinct, and in 240.240.0.0/16", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.stringMatching(/^[a-z]{1,8}$/), { maxLength: 200 }), (names) => {
        const vips = virtualIps(
          meshOf(
            names.map((name) => kubernetes(name)),
            [],
          ),
        );
        expect(new Set(vips.values()).size).toBe(names.length);
        for (const vip of vips.values()) expect(vip).toMatch(/^240\.240\.\d{1,3}\.\d{1,3}$/);
      }),
    );
  });

  it("stay when a service is added or the file is put in another order", () => {
    const before = virtualIps(meshOf([kubernetes("b"), cloudRun("c")], []));
    const after = virtualIps(meshOf([cloudRun("c"), kubernetes("a"), kubernetes("b")], []));
    for (const [host, vip] of before) expect(after.get(host)).toBe(vip);
  });

  it("do not depend on the order of the file where hashes collide", () => {
    // Of 2000 names some thirty pairs have one 16-bit hash.
    const backends = Array.from({ length: 2000 }, (_, index) => kubernetes(`service-${index}`));
    const vips = virtualIps(meshOf(backends, []));
    expect(new Set(vips.values()).size).toBe(2000);
    expect(new Map(virtualIps(meshOf(backends.reverse(), [])))).toEqual(vips);
  });

  it("are one for a service with two ports", () => {
    const ports = [kubernetes("a"), kubernetes("a", { name: "a-metrics", port: 9090 })];
    expect(virtualIps(meshOf(ports, [])).size).toBe(1);
  });
});
