import { takeAddresses } from "../mesh/box/addresses.js";
import { locatePrograms, type Programs } from "../mesh/box/box.js";
import { run } from "../mesh/box/command.js";

/** What the tests of the mesh in a box run, or undefined with the reason printed: then they are skipped. */
export async function meshPrograms(): Promise<Programs | undefined> {
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  try {
    const programs = await locatePrograms({ env: process.env, notify: say });
    // As root everything can be had, elsewhere neither addresses nor mounts.
    await (await takeAddresses(programs.binaries.path("loopback"))).release();
    await run("unshare", ["--mount", "true"]);
    return programs;
  } catch (absent) {
    say(`Skipped, for there is no mesh in a box: ${String(absent)}`);
    return undefined;
  }
}
