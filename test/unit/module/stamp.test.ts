import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { Emulator } from "../../../shim/emulator/emulator.js";
import { stamped, stampOf } from "../../../shim/module/stamp.js";
import { hopgate, pluginConfig } from "../../support/filter.js";

const blankOf = (stamp: string): Buffer => {
  const blank = Buffer.from(hopgate);
  blank.write("0".repeat(16), blank.indexOf(stamp));
  return blank;
};

describe("the stamp of the module", () => {
  const stamp = stampOf(hopgate) ?? "";

  it("is the beginning of the module's SHA-256 before it was stamped", () => {
    expect(stamp).toMatch(/^[0-9a-f]{16}$/);
    expect(stamp).toBe(createHash("sha256").update(blankOf(stamp)).digest("hex").slice(0, 16));
    expect(stamped(blankOf(stamp)).equals(hopgate)).toBe(true);
  });

  it("is what the running filter reports", async () => {
    const proxy = await Emulator.start({ module: hopgate });
    proxy.configure({ config: JSON.stringify(pluginConfig()) });
    proxy.advance(20);
    expect(Object.keys(proxy.metrics().gauges).join()).toContain(`module=.=${stamp};.;`);
  });

  it("is none where any other byte was changed, where it is missing, or where it is blank", () => {
    const changed = Buffer.from(hopgate);
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
    expect(stampOf(changed)).toBeUndefined();
    expect(stampOf(blankOf(stamp))).toBeUndefined();
    expect(stampOf(Buffer.from("no module"))).toBeUndefined();
    expect(() => stamped(Buffer.from("no module"))).toThrow();
  });
});
