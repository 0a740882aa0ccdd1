import { examine } from "../doctor/check.js";
import { countsOf, drawFindings } from "../doctor/draw.js";
import { FILE_CHECKS } from "../doctor/file.js";
import { Failure } from "../errors.js";
import type { Cluster } from "../kubernetes/cluster.js";
import type { Io } from "../output/io.js";
import type { DeployOptions } from "./deploy.js";
import type { MeshTarget } from "./deploy-target.js";
import { examineBefore } from "./doctor-observe.js";

/**
 * Says what `doctor` knows before anything is deployed.
 * @throws Failure if it is an error: nothing has been changed then
 */
export async function refuseBadGround(
  cluster: Cluster,
  target: MeshTarget,
  { api, skipChecks }: Pick<DeployOptions, "api" | "skipChecks">,
  io: Io,
): Promise<void> {
  const results = [
    ...examine(FILE_CHECKS, target.mesh),
    ...target.imageResults,
    ...(await examineBefore(cluster, { api, rendered: target.rendered, hops: target.hops })),
  ].filter(({ code }) => !skipChecks.includes(code));
  const text = drawFindings(results, io);
  if (text !== "") io.stderr.write(`${cluster.name}:\n${text}\n`);
  const { errors } = countsOf(results);
  if (errors === 0) return;
  const codes = results.filter(({ state, level }) => state === "failed" && level === "error").map(({ code }) => code);
  throw new Failure(`Nothing was changed: ${codes.join(", ")}.`, {
    fix: `Mend what is wrong, or leave the check out: --skip-checks ${codes.join(",")}.`,
  });
}
