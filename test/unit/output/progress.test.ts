import { expect, it } from "vitest";
import { progress } from "../../../shim/output/progress.js";
import { fakeIo } from "./fake-io.js";

it("replaces its line on a terminal, and removes it in the end", () => {
  const { io, written } = fakeIo({ isTTY: true, columns: 20 });
  const line = progress(io);
  line.step("starting the ingress gateway");
  line.step("ready");
  line.done();
  expect(written).toEqual(["\r\u001b[2Kstarting the ing...", "\r\u001b[2Kready", "\r\u001b[2K"]);
});

it("writes nothing where stderr is no terminal", () => {
  const { io, written } = fakeIo();
  const line = progress(io);
  line.step("starting");
  line.done();
  expect(written).toEqual([]);
});
