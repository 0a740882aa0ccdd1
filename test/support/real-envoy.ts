import { locateEnvoy } from "../../shim/envoy/locate.js";

/** Path of the Envoy that the tests run, or undefined with the reason printed: then they are skipped. */
export async function realEnvoy(): Promise<string | undefined> {
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  try {
    return (await locateEnvoy({ env: process.env, install: true, notify: say })).path;
  } catch (absent) {
    say(`Skipped, for there is no Envoy: ${String(absent)}`);
    return undefined;
  }
}
