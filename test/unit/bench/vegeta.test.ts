import { expect, test } from "vitest";
import { sinceDue, targetText } from "../../../bench/vegeta.js";

test("a request that was sent late was slow from when it was due, and one without an answer counts as none", () => {
  const row = (sequence: number, sentUs: number, latencyUs: number, status = 200) => ({
    sequence,
    sentUs,
    latencyUs,
    status,
  });
  // Every 100 ms; the second is of the time that does not count, and the fourth is sent half a millisecond late.
  const { latencies_us, unanswered } = sinceDue(
    [row(1, 100_000, 9000), row(2, 200_000, 100), row(0, 0, 9000), row(3, 300_500, 100), row(4, 400_000, 100, 0)],
    10,
    400,
  );
  expect([...latencies_us]).toEqual([100, 600]);
  // The fifth, and the sixth, which was due and never sent.
  expect(unanswered).toBe(2);
});

test("it is given the host as it takes it: else the filter would see two", () => {
  expect(targetText(8080, "llm.example", { accept: "*/*" })).toBe(
    "GET http://127.0.0.1:8080/v1/models\nHost: llm.example\naccept: */*\n\n",
  );
});
