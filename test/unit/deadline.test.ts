import { describe, expect, it, vi } from "vitest";
import { deadline } from "../../shim/deadline.js";

describe("a deadline", () => {
  it("aborts when its time is up", () => {
    vi.useFakeTimers();
    const signal = deadline(new AbortController().signal, 1000);
    vi.advanceTimersByTime(999);
    expect(signal.aborted).toBe(false);
    vi.advanceTimersByTime(1);
    expect(signal.reason).toMatchObject({ name: "TimeoutError" });
    vi.useRealTimers();
  });

  it("follows its parent, with the parent's reason, before and after", () => {
    const parent = new AbortController();
    const signal = deadline(parent.signal, 1000);
    parent.abort("interrupted");
    expect([signal.aborted, signal.reason]).toEqual([true, "interrupted"]);
    expect(deadline(parent.signal, 1000).reason).toBe("interrupted");
  });
});
