import { test } from "vitest";
import { guest } from "../../support/compile-guest.js";
test("x", async () => { for (const n of ["script","probe"]) { const t=Date.now(); console.log(n, (await guest(n)).length, Date.now()-t); } }, 60000);
