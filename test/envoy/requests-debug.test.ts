import { it } from "vitest";
import { readFile } from "node:fs/promises"; import { appendFileSync } from "node:fs";
import { startEcho } from "../support/echo.js";
import { RawConnection } from "../support/raw-http.js";
import { startStandalone } from "./standalone-debug.js";
it("x", async () => {
  const echo = await startEcho();
  for (const unmatched of ["pass", "reject"] as const) {
  const hop = await startStandalone({ envoyPath: process.env["ENVOY_PATH"] ?? "", config: { hop: "ingress", edge: true, unmatched, routes: [{ hosts: ["a.b"], to: [{ backend: "a", weight: 100 }] }], backends: { a: {} } }, services: { a: echo } });
  
  const c = await RawConnection.open(hop.port);
  c.write(["a.b","a.c", "a.b"].map((h) => `GET / HTTP/1.1\r\nHost: ${h}\r\n\r\n`).join(""));
  try { for (let i = 0; i < 3; i++) { const r = await Promise.race([c.response(), new Promise<never>((_, n) => setTimeout(() => n(new Error("slow")), 3000))]); appendFileSync("/tmp/hg-pipe.log", `>> ${r.status} ${JSON.stringify(r.headers)}\n`); } } catch (e) { appendFileSync("/tmp/hg-pipe.log", `>> ${String(e)}\n`); }
  appendFileSync("/tmp/hg-pipe.log", (await readFile(hop.envoy.logPath, "utf8")).split("\n").filter((l) => /http|conn/.test(l)).slice(-70).map((l) => "LL"+l.slice(30, 260)).join("\n"));
  await hop.close(); }
  await echo.close();
});
