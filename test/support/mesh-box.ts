import { locatePrograms, type Programs } from "../mesh/box/box.js";

/** What the tests of the mesh in a box run, or undefined with the reason printed: then they are skipped. */
export async function meshPrograms(): Promise<Programs | undefined> {
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  try {
    return await locatePrograms({ env: process.env, notify: say });
  } catch (absent) {
    say(`Skipped, for there is no mesh in a box: ${String(absent)}`);
    return undefined;
  }
}
