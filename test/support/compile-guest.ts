/**
 * Compiles small guests against the binding, with the options of asconfig.json but those that optimise: what they do is the
 * compiler's business, and they take several times as long as all the rest.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const CACHE = join(ROOT, "node_modules", ".cache", "hopgate", "guests");

/** Where a guest's text is thought to be: its imports of the binding begin with ../../../filter/host/. */
const ENTRY = "test/support/guests/guest.ts";

const OPTIMISATION = new Set(["optimizeLevel", "shrinkLevel", "converge"]);

interface AscConfig {
  readonly options: Readonly<Record<string, string | number | boolean | readonly string[]>>;
}

/** Where the module of a guest in AssemblyScript is: compiled once for each state of its text and of what it is built on. */
async function compileGuest(source: string): Promise<string> {
  const flags = ascFlags();
  const cached = join(CACHE, `${fingerprint(source, flags)}.wasm`);
  if (!existsSync(cached)) store(cached, await compile(source, flags));
  return cached;
}

/** The file with the module of test/support/guests/NAME.as. */
export function guestPath(name: string): Promise<string> {
  return compileGuest(readFileSync(new URL(`guests/${name}.as`, import.meta.url), "utf8"));
}

/** The module of test/support/guests/NAME.as. */
export async function guest(name: string): Promise<Uint8Array> {
  return readFileSync(await guestPath(name));
}

async function compile(source: string, flags: readonly string[]): Promise<Uint8Array> {
  let module: Uint8Array | undefined;
  const { error, stderr } = await asc.main([ENTRY, "--outFile", "guest.wasm", ...flags], {
    readFile: (name) => (name === ENTRY ? source : read(name)),
    writeFile: (name, contents) => {
      if (name.endsWith(".wasm") && typeof contents !== "string") module = contents;
    },
    listFiles: () => [],
  });
  if (error !== null || module === undefined) throw new Error(`the guest does not compile: ${stderr.toString()}`);
  return module;
}

/** asc looks in several places for an import; null is "not here". By itself it would build the filter, too. */
function read(name: string): string | null {
  if (name.endsWith("asconfig.json")) return null;
  try {
    return readFileSync(join(ROOT, name), "utf8");
  } catch {
    return null;
  }
}

function ascFlags(): string[] {
  const config = JSON.parse(readFileSync(join(ROOT, "asconfig.json"), "utf8")) as AscConfig;
  return Object.entries(config.options).flatMap(([name, value]) => {
    if (OPTIMISATION.has(name)) return [];
    if (typeof value === "boolean") return value ? [`--${name}`] : [];
    return [`--${name}`, Array.isArray(value) ? value.join(",") : String(value)];
  });
}

function fingerprint(source: string, flags: readonly string[]): string {
  const hash = createHash("sha256").update(asc.version).update(flags.join("\0")).update(source);
  const folders = source.includes("filter/index") ? ["filter/host", "filter"] : ["filter/host"];
  for (const folder of folders) {
    for (const file of readdirSync(join(ROOT, folder)).sort()) {
      if (file.endsWith(".ts")) hash.update(file).update(readFileSync(join(ROOT, folder, file)));
    }
  }
  hash.update(readFileSync(join(ROOT, "asconfig.literals.js")));
  return hash.digest("hex").slice(0, 32);
}

/** Written beside and renamed: test files run at the same time. */
function store(path: string, module: Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  const fresh = `${path}.${process.pid}`;
  writeFileSync(fresh, module);
  renameSync(fresh, path);
}
