/** Compiles the guests that the emulator is tested with. */
import { readFileSync } from "node:fs";
import asc from "assemblyscript/asc";
import { Emulator, type ConfigureOptions, type EmulatorOptions } from "../../../shim/emulator/emulator.js";
import type { Headers } from "../../../shim/emulator/pairs.js";

/** Compiles AssemblyScript from memory. The runtime never frees, and nothing but the used imports is there. */
export async function compileGuest(source: string): Promise<Uint8Array> {
  let binary: Uint8Array | undefined;
  const messages: string[] = [];
  const { error } = await asc.main(
    ["guest.ts", "--outFile", "guest.wasm", "--runtime", "stub", "--use", "abort=", "--exportStart", "_initialize"],
    {
      readFile: (name) => (name === "guest.ts" ? source : null),
      writeFile: (name, contents) => {
        if (name.endsWith(".wasm") && typeof contents !== "string") binary = contents;
      },
      listFiles: () => [],
      stderr: { write: (text: string | Uint8Array) => void messages.push(String(text)) },
    },
  );
  if (error !== null || binary === undefined) throw new Error(`the guest does not compile: ${messages.join("")}`);
  return binary;
}

/** The guest that does what its configuration says: see script-guest.as. Compiled while the tests are loaded. */
export const scriptGuest = await compileGuest(
  ["script-host.as", "script-guest.as"].map((file) => readFileSync(new URL(file, import.meta.url), "utf8")).join("\n"),
);

export const GET: Headers = [
  [":method", "GET"],
  [":path", "/"],
  [":authority", "a.example"],
  [":scheme", "http"],
];
export const OK: Headers = [[":status", "200"]];

/** A proxy with the script guest, configured with these lines; what it logged so far is gone. */
export async function scripted(
  script: string,
  options: Partial<EmulatorOptions> = {},
  configure: Partial<ConfigureOptions> = {},
): Promise<Emulator> {
  const proxy = await Emulator.start({ module: scriptGuest, ...options });
  proxy.configure({ config: lines(script), ...configure });
  proxy.logs.length = 0;
  return proxy;
}

/** Script lines without their indentation. */
function lines(script: string): string {
  return script
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .join("\n");
}

/** What the guests of a VM logged, by default worker 0; the log is then empty. */
export function logged(proxy: Emulator, vm = "worker 0"): string[] {
  const messages = proxy.logs.filter((line) => line.vm === vm).map((line) => line.message);
  proxy.logs.length = 0;
  return messages;
}
