/**
 * The filter, built so that it counts where it has been: Binaryen's pass `log-execution` calls a function at each entry of a function,
 * loop and return, and that function counts in memory in front of the module's own.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import binaryen from "assemblyscript/binaryen";

import type { Emulator } from "../../shim/emulator/emulator.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Counters of one byte. There are a few thousand places; what is beyond is counted from the front again. */
const PLACES = 8_192;
const LOG = "log_execution";

export function instrumentedFilter(): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "hopgate-fuzz-"));
  try {
    const path = join(folder, "filter.wasm");
    const plain = ["--optimizeLevel", "0", "--shrinkLevel", "0", "--memoryBase", String(PLACES), "--outFile", path];
    const asc = join(ROOT, "node_modules", "assemblyscript", "bin", "asc.js");
    execFileSync(process.execPath, [asc, "--config", "asconfig.json", ...plain], { cwd: ROOT, stdio: "inherit" });
    return instrument(readFileSync(path));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function instrument(wasm: Uint8Array): Uint8Array {
  const module = binaryen.readBinary(wasm);
  module.setFeatures(binaryen.Features.All);
  module.runPasses(["log-execution"]);
  module.removeFunction(LOG);
  const place = (): number => module.i32.and(module.local.get(0, binaryen.i32), module.i32.const(PLACES - 1));
  const one = module.i32.add(module.i32.load8_u(0, 0, place()), module.i32.const(1));
  module.addFunction(
    LOG,
    binaryen.createType([binaryen.i32]),
    binaryen.none,
    [],
    module.i32.store8(0, 0, place(), one),
  );
  return module.emitBinary();
}

/** Which places inputs have reached, and about how often each in one run. */
export class Coverage {
  /** A bit for each order of magnitude. */
  private readonly seen = new Uint8Array(PLACES);

  /** Forgets what was counted before an input is run. */
  static clear(proxy: Emulator): void {
    proxy.vm(0).memory.view(0, PLACES)?.fill(0);
  }

  /** Whether the run since `clear` has been where none was before. */
  take(proxy: Emulator): boolean {
    const counters = proxy.vm(0).memory.view(0, PLACES) ?? Buffer.alloc(0);
    let isNew = false;
    for (const [place, count] of counters.entries()) {
      if (count === 0) continue;
      const bit = 1 << Math.min(31 - Math.clz32(count), 7);
      if (((this.seen[place] ?? 0) & bit) === 0) {
        this.seen[place] = (this.seen[place] ?? 0) | bit;
        isNew = true;
      }
    }
    return isNew;
  }

  get places(): number {
    return this.seen.reduce((sum, bits) => sum + (bits === 0 ? 0 : 1), 0);
  }
}
