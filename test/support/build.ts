import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";

/** Builds what is not there. After a change of the sources, building is up to whoever runs the tests: `npm test` does. */
export function setup(): void {
  buildUnless("build", ["build/hopgate.wasm", "build/shim/main.js"]);
  buildUnless(
    "build:peers",
    ["empty", "callbacks", "host-calls"].map((name) => `build/bench/${name}.wasm`),
  );
}

function buildUnless(script: string, outputs: readonly string[]): void {
  if (outputs.every((path) => existsSync(path))) return;
  execFileSync("npm", ["run", "--silent", script], { stdio: ["ignore", "inherit", "inherit"] });
}
