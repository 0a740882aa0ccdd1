import { expect, test } from "vitest";
import { sinceDue, targetText } from "../../../bench/vegeta.js";

test("a request that was sent late was slow from when it was due, and one without an answer counts as none", () => {
  const row = (sequence: number, sentUs: number, latencyUs: number, status = 200) => ({
    sequence,
    sentUs,
    latencyUs,
    status,
  });
  // Every millisecond; the third is sent half a millisecond late.
  const { latencies_us, unanswered } = sinceDue(
    [row(1, 1000, 100), row(0, 0, 100), row(2, 2500, 100), row(3, 3000, 100, 0)],
    1000,
  );
  expect([...latencies_us]).toEqual([100, 100, 600]);
  expect(unanswered).toBe(1);
});

test("it is given the host as it takes it: else the filter would see two", () => {
  expect(targetText(8080, "llm.example", { accept: "*/*" })).toBe(
    "GET http://127.0.0.1:8080/v1/models\nHost: llm.example\naccept: */*\n\n",
  );
});
