import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { cacheRoot, type Env } from "../shim/envoy/install.js";
import { packagePath } from "../shim/package-root.js";

const run = promisify(execFile);
const TARGET = "wasm32-wasip1";
const BUILD_TIMEOUT_MS = 600_000;

/** The Rust peer, compiled; or why it is not. */
export type RustPeer = { readonly path: string; readonly compiler: string } | { readonly why: string };

/**
 * Builds the Rust peer with the cargo that is on PATH, in hopgate's cache. Cargo is told by its own variables which compiler and linker to
 * take. A second build of the same sources is a matter of moments.
 */
export async function buildRustPeer(env: Env): Promise<RustPeer> {
  const folder = join(cacheRoot(env), "rust-peer");
  try {
    // Cargo writes beside the sources, and takes those for unchanged whose times are.
    await cp(packagePath("bench", "peers", "rust"), folder, { recursive: true, preserveTimestamps: true });
    const rustc = env["RUSTC"] || "rustc";
    const { stdout } = await run(rustc, ["--version"], { env });
    const { stdout: libraries } = await run(rustc, ["--print", "target-libdir", "--target", TARGET], { env });
    // Cargo would find out too, but only when it has compiled what the host needs. It can build the library itself (`-Z build-std`).
    if (!existsSync(libraries.trim()) && env["CARGO_UNSTABLE_BUILD_STD"] === undefined) {
      return { why: `this Rust cannot compile for WebAssembly: rustup target add ${TARGET}` };
    }
    const built = join(folder, "target");
    const args = ["build", "--release", "--target", TARGET, "--target-dir", built];
    // The peer is what its Cargo.toml says, whatever the user has set for their own programs.
    const { RUSTFLAGS: _, ...rest } = env;
    await run("cargo", args, { cwd: folder, timeout: BUILD_TIMEOUT_MS, env: rest });
    const path = join(built, TARGET, "release", "hopgate_rust_peer.wasm");
    return existsSync(path) ? { path, compiler: stdout.trim() } : { why: `cargo build has not made ${path}` };
  } catch (error) {
    return { why: reasonOf(error) };
  }
}

function reasonOf(error: unknown): string {
  const { code, stderr = "" } = error as NodeJS.ErrnoException & { readonly stderr?: string };
  if (code === "ENOENT") return "there is no cargo (https://rustup.rs)";
  const line = stderr.split("\n").find((text) => text.startsWith("error")) ?? stderr.trim().split("\n").at(-1);
  return `cargo build: ${line || String(error)}`;
}
