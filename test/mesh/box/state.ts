import { readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** What `up` leaves in its work dir for `status` and `down`; goes with it. */
export interface State {
  readonly pid: number;
  readonly work_dir: string;
  readonly started_at: string;
  readonly kubeconfig: string;
  readonly registry: string;
  readonly programs: string;
  readonly proxies: readonly {
    readonly kind: string;
    readonly name: string;
    readonly namespace: string;
    readonly url: string;
  }[];
}

export const STATE_FILE = "box.json";

/** The boxes that run on this machine, found by their work dirs. */
export function runningBoxes(): State[] {
  const root = resolve(tmpdir());
  return readdirSync(root)
    .filter((name) => name.startsWith("hopgate-"))
    .flatMap((name) => {
      try {
        return [JSON.parse(readFileSync(join(root, name, STATE_FILE), "utf8")) as State];
      } catch {
        return []; // something else's folder, or one that is just going away
      }
    })
    .filter(({ pid }) => isAlive(pid));
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
