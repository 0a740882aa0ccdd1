import { expect, test } from "vitest";
import { GET, OK, logged, scripted } from "./guest.js";

test("a stream sees create, headers both ways, log, done and delete", async () => {
  const proxy = await scripted("request_headers pairs 0\nresponse_headers set 2 x-a 1");
  const s = proxy.stream({ headers: GET });
  expect(s.action).toBe("continue");
  const r = s.respond(OK);
  expect(r?.headers).toEqual([[":status", "200"], ["x-a", "1"]]);
  expect(logged(proxy)).toEqual([]);
});
