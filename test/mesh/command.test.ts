import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { eventually } from "../support/local-mesh.js";
import { meshPrograms } from "../support/mesh-box.js";
import type { State } from "./box/state.js";

const programs = await meshPrograms();

const COMMAND = "build/test/mesh/box/main.js";
/** What gives everybody the rights that a box needs, without the machine's own network. */
const NAMESPACES = ["unshare", "--user", "--map-root-user", "--mount", "--net"];

describe.skipIf(programs === undefined)(
  "npm run mesh",
  () => {
    /** Of the test's own: all that a box leaves would lie here. */
    let temporary: string;
    let command: ChildProcess | undefined;

    beforeEach(async () => {
      temporary = await mkdtemp(join(tmpdir(), "mesh-"));
    });

    afterEach(async () => {
      command?.kill("SIGKILL");
      await rm(temporary, { recursive: true, force: true, maxRetries: 10 });
    });

    const run = async (...args: string[]): Promise<{ code: number | null; stdout: string }> => {
      const child = spawn(process.execPath, [COMMAND, ...args], {
        env: { ...process.env, TMPDIR: temporary },
        stdio: ["ignore", "pipe", "ignore"],
      });
      const [stdout] = await Promise.all([text(child.stdout), once(child, "close")]);
      return { code: child.exitCode, stdout };
    };

    const up = async (...wrapper: string[]): Promise<{ child: ChildProcess; state: State }> => {
      const words = [...wrapper, process.execPath, COMMAND, "up"];
      const child = spawn(words[0] ?? "", words.slice(1), {
        env: { ...process.env, TMPDIR: temporary },
        stdio: ["ignore", "ignore", "pipe"],
      });
      command = child;
      const complaint = text(child.stderr);
      const state = await eventually(async () => {
        if (child.exitCode !== null) throw new Error(await complaint);
        const { boxes } = JSON.parse((await run("status", "-o", "json")).stdout) as { boxes: State[] };
        return boxes[0];
      }, 120_000);
      return { child, state };
    };

    const nothingLeft = async (): Promise<void> => {
      await eventually(() => (processesWith(temporary).length === 0 ? true : undefined));
      expect(readdirSync(temporary)).toEqual([]);
    };

    it("says what is where, and ends everything when it is told to", async () => {
      const { child, state } = await up();
      const address = addressOf(state);
      expect(machineAddresses()).toContain(address);
      expect(existsSync(state.kubeconfig)).toBe(true);
      expect(state.proxies.map(({ kind }) => kind)).toEqual(["gateway", "gatewayApi", "waypoint"]);
      const ended = once(child, "exit");
      expect((await run("down")).code).toBe(0);
      expect(await ended).toEqual([0, null]);
      await nothingLeft();
      expect(machineAddresses()).not.toContain(address);
      expect(await run("status")).toEqual({ code: 0, stdout: "No mesh in a box runs here.\n" });
    });

    it("leaves nothing where it is killed", async () => {
      const { child, state } = await up();
      child.kill("SIGKILL");
      await nothingLeft();
      expect(machineAddresses()).not.toContain(addressOf(state));
    });

    it("runs without being root, in namespaces of its own", async () => {
      const { child } = await up(...NAMESPACES);
      const ended = once(child, "exit");
      child.kill("SIGINT");
      expect(await ended).toEqual([0, null]);
      await nothingLeft();
    });
  },
  180_000,
);

function addressOf({ registry }: State): string {
  return registry.replace(/:\d+$/, "");
}

function machineAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list = []) => list.map(({ address }) => address));
}

/** Processes that were started with this TMPDIR. */
function processesWith(temporary: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return (
        /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(`TMPDIR=${temporary}`)
      );
    } catch {
      return false; // it has just ended
    }
  });
}
