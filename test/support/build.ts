import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";

/** Builds where nothing was built. After a change of the sources, building is up to whoever runs the tests: `npm test` does. */
export function setup(): void {
  if (["build/hopgate.wasm", "build/shim/main.js"].every((path) => existsSync(path))) return;
  execFileSync("npm", ["run", "--silent", "build"], { stdio: ["ignore", "inherit", "inherit"] });
}
