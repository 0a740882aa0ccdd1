import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { cacheRoot, type Env, inInstallFolder, makeFolders } from "../../../shim/envoy/install.js";
import { lookUp } from "../../../shim/envoy/locate.js";
import { runToEnd } from "../../../shim/envoy/process-group.js";
import { Failure } from "../../../shim/errors.js";
import { packageRoot } from "../../../shim/package-root.js";

/** Programs of the box, and the Go packages that they are built from; their versions are in go/go.mod. */
const PROGRAMS = {
  loopback: "./loopback",
  etcd: "go.etcd.io/etcd/server/v3",
  "pilot-agent": "istio.io/istio/pilot/cmd/pilot-agent",
  "pilot-discovery": "istio.io/istio/pilot/cmd/pilot-discovery",
  crane: "github.com/google/go-containerregistry/cmd/crane",
  istioctl: "istio.io/istio/istioctl/cmd/istioctl",
  kubectl: "k8s.io/kubernetes/cmd/kubectl",
  "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
} as const;

export type ProgramName = keyof typeof PROGRAMS;

/** Kubernetes takes its version from the linker; 1.36.3 is what go/go.mod has of it. */
const LINKER_FLAGS = [
  "-s -w",
  "-X k8s.io/component-base/version.gitVersion=v1.36.3",
  "-X k8s.io/component-base/version.gitMajor=1",
  "-X k8s.io/component-base/version.gitMinor=36",
].join(" ");

/** A cold build of all of Kubernetes and Istio, downloads included, on a slow machine. */
const BUILD_TIMEOUT_MS = 60 * 60_000;
const ASK_TIMEOUT_MS = 60_000;

const GO_MISSING = "Install Go 1.26 or later (https://go.dev/doc/install) and put it on PATH.";

/** What the box runs, in the cache. */
export interface Binaries {
  path(program: ProgramName): string;
  /** Istio's CRDs and those of the Gateway API, as one YAML file. */
  readonly crdsPath: string;
  /** The text of Istio's template for the bootstrap of its Envoys (Go's text/template). */
  readonly bootstrapTemplatePath: string;
}

interface BuildOptions {
  readonly env: Env;
  readonly signal?: AbortSignal | undefined;
  /** Takes lines for stderr: what is being built. */
  notify(line: string): void;
}

/**
 * Finds what the box runs in `mesh/KEY` of the cache, where KEY stands for the versions of everything in it; builds it with
 * the user's own Go where it is not there. Go's own caches are thrown away in the end (6 GB), unless GOCACHE and GOMODCACHE
 * say where they are.
 *
 * @throws Failure without Go, or if Go cannot build it. @throws `signal.reason` at an abort.
 */
export async function locateBinaries(options: BuildOptions): Promise<Binaries> {
  const source = join(packageRoot(), "test", "mesh", "box", "go");
  const root = join(cacheRoot(options.env), "mesh");
  const folder = join(root, await keyOf(source));
  const isThere = await stat(folder).then(
    () => true,
    () => false,
  );
  if (!isThere) {
    await makeFolders(root);
    await inInstallFolder(root, async (work) => {
      const fresh = join(work, "mesh");
      await build(source, fresh, work, options);
      // Another process may have been faster; then what it built serves as well.
      await rename(fresh, folder).catch(() => undefined);
    });
  }
  return {
    path: (program) => join(folder, program),
    crdsPath: join(folder, "crds.yaml"),
    bootstrapTemplatePath: join(folder, "envoy_bootstrap.json"),
  };
}

/** Changes with whatever the binaries are made of. */
async function keyOf(source: string): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify([PROGRAMS, LINKER_FLAGS, process.arch]));
  for (const name of ["go.mod", "go.sum", "loopback/main.go"]) hash.update(await readFile(join(source, name)));
  return hash.digest("hex").slice(0, 16);
}

async function build(source: string, target: string, work: string, options: BuildOptions): Promise<void> {
  const { env, notify } = options;
  const go = await lookUp("go", env["PATH"] ?? "");
  if (go === undefined) throw new Failure("There is no Go to build Kubernetes and Istio with", { fix: GO_MISSING });
  const ownCaches = {
    ...(env["GOCACHE"] ? {} : { GOCACHE: join(work, "go-build") }),
    // Go makes its modules read-only, and then they could not be removed.
    ...(env["GOMODCACHE"] ? {} : { GOMODCACHE: join(work, "go-modules"), GOFLAGS: "-modcacherw" }),
  };
  const goEnv = { ...env, CGO_ENABLED: "0", GOWORK: "off", GO111MODULE: "on", ...ownCaches };
  const run = async (args: readonly string[], timeoutMs: number): Promise<string> => {
    const outcome = await runToEnd(go, ["-C", source, ...args], { env: goEnv, timeoutMs, signal: options.signal });
    if (outcome.code === 0) return outcome.stdout;
    const reason = outcome.timedOut ? `it took more than ${String(timeoutMs / 1000)} s` : lastLines(outcome.stderr);
    throw new Failure(`"go ${args.join(" ")}" failed: ${reason}`);
  };
  await run(["version"], ASK_TIMEOUT_MS).catch((error: unknown) => {
    throw new Failure(error instanceof Error ? error.message : String(error), { fix: GO_MISSING });
  });
  notify(
    `Building Kubernetes and Istio with ${go}, once: about 6 minutes on two cores, 6 GB of room in ${dirname(work)}`,
  );
  await mkdir(target);
  const entries = Object.entries(PROGRAMS);
  for (const [index, [name, what]] of entries.entries()) {
    notify(`  ${name} (${String(index + 1)} of ${String(entries.length)})`);
    const flags = ["-trimpath", "-buildvcs=false", "-ldflags", LINKER_FLAGS, "-o", join(target, name)];
    await run(["build", ...flags, what], BUILD_TIMEOUT_MS);
  }
  const folderOf = async (module: string): Promise<string> =>
    (await run(["list", "-m", "-f", "{{.Dir}}", module], ASK_TIMEOUT_MS)).trim();
  const istio = await folderOf("istio.io/istio");
  await copyFile(
    join(istio, "tools", "packaging", "common", "envoy_bootstrap.json"),
    join(target, "envoy_bootstrap.json"),
  );
  const crds = await Promise.all([
    readFile(join(await folderOf("istio.io/api"), "kubernetes", "customresourcedefinitions.gen.yaml"), "utf8"),
    ...(await yamlFiles(join(await folderOf("sigs.k8s.io/gateway-api"), "config", "crd", "standard"))),
  ]);
  await writeFile(join(target, "crds.yaml"), crds.join("\n---\n"), { mode: 0o644 });
}

async function yamlFiles(folder: string): Promise<Promise<string>[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".yaml")).sort();
  return names.map((name) => readFile(join(folder, name), "utf8"));
}

function lastLines(text: string): string {
  return text.trim().split("\n").slice(-5).join("\n") || "it said nothing";
}
