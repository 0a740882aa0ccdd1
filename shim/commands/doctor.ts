import { loadMesh } from "../config/load.js";
import type { Mesh } from "../config/model.js";
import { examine, type Result } from "../doctor/check.js";
import { ALL_CLUSTER_CHECKS } from "../doctor/checks.js";
import { CONNECTION_CHECKS } from "../doctor/connection.js";
import { countsOf, countText, drawResults } from "../doctor/draw.js";
import { FILE_CHECKS } from "../doctor/file.js";
import { IMAGE_CHECKS } from "../doctor/image.js";
import { Failure, UsageError } from "../errors.js";
import { Cluster } from "../kubernetes/cluster.js";
import type { Plan } from "../kubernetes/survey.js";
import { colours } from "../output/colours.js";
import type { Io } from "../output/io.js";
import { type ImageReference, NO_IMAGE, parseImage, type PinnedImage } from "../render/image.js";
import { meshResources, type MeshResources } from "../render/istio/resources.js";
import { type ClusterCommandOptions, clustersOf } from "./cluster-options.js";
import { expectedHops, renderedIn, type TargetOptions } from "./deploy-target.js";
import { examineAnswer, type AnswerOptions } from "./doctor-answer.js";
import { type ClusterExamination, examineCluster, examineImage, type ImageExamination } from "./doctor-observe.js";
import { askFilter } from "./preflight.js";
import { checkCodes } from "./skip-checks.js";

export interface DoctorOptions extends TargetOptions, ClusterCommandOptions, AnswerOptions {
  readonly skipChecks: readonly string[];
  readonly output: "text" | "json";
}

/**
 * Says what is wrong with a file, its image and its clusters; with a URL, also with the answer to a request to it. Changes nothing.
 * Returns 0 if there is no error, else 1.
 */
export async function doctor(
  url: string | undefined,
  options: DoctorOptions,
  io: Io,
  signal: AbortSignal,
): Promise<number> {
  checkCodes(options.skipChecks);
  const mesh = await loadMesh(options.config);
  const { reference, results: imageResults, module } = await image(mesh, options, io, signal);
  if (module !== undefined) await askFilter(mesh, options.config, module);
  const rendered = meshResources(mesh, { image: pinned(reference), api: options.api });
  const plan: Plan = {
    api: options.api,
    rendered,
    hops: module === undefined ? [] : await hopsIn(mesh, rendered, module),
  };
  const clusters = await examineClusters(mesh, plan, pinned(reference), options, signal);
  const proxies = clusters.flatMap(({ seen }) =>
    seen !== undefined && "value" in seen.proxies && seen.deployed !== undefined ? seen.proxies.value : [],
  );
  const answer =
    url === undefined
      ? undefined
      : await examineAnswer(url, options, mesh, proxies.length > 0 ? proxies : undefined, signal);
  const isWanted = ({ code }: Result): boolean => !options.skipChecks.includes(code);
  const shared = [...examine(FILE_CHECKS, mesh), ...imageResults, ...(answer?.results ?? [])]
    .filter(isWanted)
    .filter(isTold);
  const each = clusters.map(({ context, results }) => ({ context, results: results.filter(isWanted) }));
  const all = [...shared, ...each.flatMap(({ results }) => results)];
  if (options.output === "json")
    io.stdout.write(`${JSON.stringify(asJson(mesh, shared, each, answer?.facts), null, 2)}\n`);
  else print(shared, each, answer?.lines, all, io);
  return countsOf(all).errors === 0 ? 0 : 1;
}

/** Of the answers that there can be, the one that came alone: the others were not looked for. */
function isTold({ code, state }: Result): boolean {
  return !code.startsWith("HG08") || state === "failed";
}

async function image(
  mesh: Mesh,
  options: DoctorOptions,
  io: Io,
  signal: AbortSignal,
): Promise<ImageExamination & { readonly reference: ImageReference | undefined }> {
  const text = options.image ?? mesh.image;
  if (text === undefined) {
    const skipped = `no image is named: image: in ${options.config}, or --image`;
    return { reference: undefined, results: examine(IMAGE_CHECKS, { skipped }), module: undefined };
  }
  const reference = parseImage(text);
  return { reference, ...(await examineImage(mesh, reference, options.plainHttp === true, io, signal)) };
}

function pinned(reference: ImageReference | undefined): PinnedImage {
  const digest = reference?.digest;
  return reference === undefined || digest === undefined ? NO_IMAGE : { ...reference, digest };
}

/** None of a module that does not report, which is a finding of its own. */
async function hopsIn(mesh: Mesh, rendered: MeshResources, module: Uint8Array): Promise<Plan["hops"]> {
  try {
    return await expectedHops(mesh, rendered, module);
  } catch (error) {
    if (error instanceof Failure) return [];
    throw error;
  }
}

/** Without a kubeconfig, and none named, there is no cluster to be looked at. */
async function examineClusters(
  mesh: Mesh,
  plan: Plan,
  image: PinnedImage,
  options: DoctorOptions,
  signal: AbortSignal,
): Promise<readonly ClusterExamination[]> {
  const examinations: ClusterExamination[] = [];
  for (const where of clustersOf(options)) {
    let cluster: Cluster;
    try {
      cluster = Cluster.open(mesh, where, signal);
    } catch (error) {
      const isNamed = where.context !== undefined || where.kubeconfig !== undefined;
      if (isNamed || !(error instanceof UsageError)) throw error;
      const results = [
        ...examine(CONNECTION_CHECKS, { skipped: error.message }),
        ...examine(ALL_CLUSTER_CHECKS, { skipped: error.message }),
      ];
      return [{ context: "", results, seen: undefined }];
    }
    examinations.push(
      await examineCluster(cluster, async () => {
        try {
          return { ...plan, rendered: await renderedIn(cluster, plan.rendered, { image, api: plan.api }) };
        } catch (error) {
          if (!(error instanceof UsageError)) throw error;
          return { ...plan, unfit: { message: error.message, fix: error.fix } };
        }
      }),
    );
  }
  return examinations;
}

interface OfCluster {
  readonly context: string;
  readonly results: readonly Result[];
}

function print(
  shared: readonly Result[],
  clusters: readonly OfCluster[],
  answerLines: readonly string[] | undefined,
  all: readonly Result[],
  io: Io,
): void {
  const paint = colours(io);
  const isAnswer = ({ code }: Result): boolean => code.startsWith("HG08");
  // Whoever asks about an answer wants that first, and of the rest what is not well.
  const isWanted = ({ state }: Result): boolean =>
    answerLines === undefined || state === "failed" || state === "unknown";
  const parts = [
    ...(answerLines ?? []),
    // Of the answers that there can be, this one alone.
    drawResults(
      shared.filter((result) => isAnswer(result) && result.state === "failed"),
      io,
    ),
    drawResults(
      shared.filter((result) => !isAnswer(result) && isWanted(result)),
      io,
    ),
    ...clusters.map(({ context, results }) => {
      const text = drawResults(results.filter(isWanted), io);
      // One that is not named is the only one, and skipped.
      return context === "" || text === "" ? text : `${paint("bold", `cluster ${context}`)}\n${text}`;
    }),
  ];
  io.stdout.write(`${parts.filter((part) => part !== "").join("\n")}\n`);
  const counts = countText(all);
  io.stdout.write(counts === "" ? "All is well.\n" : `${counts}.\n`);
}

function asJson(
  mesh: Mesh,
  shared: readonly Result[],
  clusters: readonly OfCluster[],
  answer: object | undefined,
): object {
  const all = [...shared, ...clusters.flatMap(({ results }) => results)];
  return {
    mesh: mesh.name,
    ...countsOf(all),
    checks: shared.map(resultAsJson),
    clusters: clusters.map(({ context, results }) => ({ context, checks: results.map(resultAsJson) })),
    ...(answer !== undefined && { answer }),
  };
}

function resultAsJson({ code, level, title, state, findings, unknowns, skipped }: Result): object {
  return {
    code,
    level,
    title,
    state,
    ...(findings.length > 0 && { findings }),
    ...(unknowns.length > 0 && { unknowns }),
    ...(skipped !== undefined && { skipped }),
  };
}
