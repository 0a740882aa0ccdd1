import { type Command, Option } from "commander";

import type { DeployOptions } from "./commands/deploy.js";
import type { DiffOptions } from "./commands/diff.js";
import type { DoctorOptions } from "./commands/doctor.js";
import {
  DEPLOY_EXAMPLES,
  DIFF_EXAMPLES,
  DOCTOR_EXAMPLES,
  HISTORY_EXAMPLES,
  ROLLBACK_EXAMPLES,
  STATUS_EXAMPLES,
  UNINSTALL_EXAMPLES,
} from "./commands/examples-cluster.js";
import type { HistoryOptions } from "./commands/history.js";
import type { RollbackOptions } from "./commands/rollback.js";
import type { StatusOptions } from "./commands/status.js";
import type { UninstallOptions } from "./commands/uninstall.js";
import { Failure, Interrupted } from "./errors.js";
import { exitCodeOf } from "./run-exit-code.js";
import {
  API,
  between,
  CONFIG,
  CONTEXT,
  HEADER,
  IMAGE,
  type Invocation,
  KUBECONFIG,
  OUTPUT,
  PLAIN_HTTP,
  SKIP_CHECKS,
  TIMEOUT,
  YES,
} from "./run-options.js";

/**
 * The commands that talk to clusters. What they run is loaded when it is needed, for it has a large library below it.
 */
export function addClusterCommands(program: Command, invocation: Invocation): void {
  for (const add of [addDiff, addDeploy, addStatus, addHistory, addRollback, addUninstall, addDoctor])
    add(program, invocation);
}

/** Runs what changes clusters. @throws Interrupted where it was ended before it began with any change */
async function changing(
  { signal, done }: Invocation,
  { context }: { readonly context: readonly string[] },
  command: () => Promise<number>,
): Promise<void> {
  try {
    done(await command());
  } catch (error) {
    // What failed by itself says what became of it.
    if (!signal.aborted || error instanceof Interrupted || error instanceof Failure) throw error;
    // Of several clusters, earlier ones may be done.
    const left = context.length > 1 ? "hopgate status says what each cluster has" : "nothing was changed";
    throw new Interrupted(left, error);
  }
}

/** As `kubectl diff`: what cannot be done is 3, since 1 says that there are differences. */
function addDiff(program: Command, { io, signal, done }: Invocation): void {
  program
    .command("diff")
    .description("show what deploy would change in a cluster")
    .addOption(CONFIG)
    .addOption(IMAGE)
    .addOption(API)
    .addOption(PLAIN_HTTP)
    .addOption(KUBECONFIG)
    .addOption(CONTEXT)
    .addOption(OUTPUT)
    .addHelpText("after", DIFF_EXAMPLES)
    .action(async (options: DiffOptions) => {
      const { diff } = await import("./commands/diff.js");
      try {
        done(await diff(options, io, signal));
      } catch (error) {
        const exitCode = exitCodeOf(error, io, signal);
        done(exitCode === 1 ? 3 : exitCode);
      }
    });
}

function addDeploy(program: Command, invocation: Invocation): void {
  const { io, signal } = invocation;
  program
    .command("deploy")
    .description("bring a hopgate.yaml into a cluster, and wait until every proxy runs it")
    .addOption(CONFIG)
    .addOption(IMAGE)
    .addOption(API)
    .addOption(PLAIN_HTTP)
    .addOption(KUBECONFIG)
    .addOption(CONTEXT)
    .addOption(
      new Option("--dry-run <where>", "change nothing; ask the API server (server) or no cluster (client)").choices([
        "client",
        "server",
      ]),
    )
    .option("--wait", "wait for the proxies, and undo it if they do not run it in time (the default)", true)
    .option("--no-wait", "look once, and undo nothing; exit 1 unless every proxy runs it already")
    .addOption(TIMEOUT)
    .addOption(SKIP_CHECKS)
    .addOption(OUTPUT)
    .addHelpText("after", DEPLOY_EXAMPLES)
    .action(async (options: DeployOptions) => {
      const { deploy } = await import("./commands/deploy.js");
      await changing(invocation, options, () => deploy(options, io, signal));
    });
}

function addStatus(program: Command, { io, signal, done }: Invocation): void {
  program
    .command("status")
    .description("say what is deployed, whether every proxy runs it, and whether it was changed since")
    .addOption(CONFIG)
    .addOption(KUBECONFIG)
    .addOption(CONTEXT)
    .option("-w, --watch", "again and again, until Ctrl-C")
    .addOption(OUTPUT)
    .addHelpText("after", STATUS_EXAMPLES)
    .action(async (options: StatusOptions) => {
      const { status } = await import("./commands/status.js");
      done(await status(options, io, signal));
    });
}

function addHistory(program: Command, { io, signal, done }: Invocation): void {
  program
    .command("history")
    .description("show the revisions that are kept, and which is in place")
    .addOption(CONFIG)
    .addOption(KUBECONFIG)
    .addOption(CONTEXT)
    .addOption(OUTPUT)
    .addHelpText("after", HISTORY_EXAMPLES)
    .action(async (options: HistoryOptions) => {
      const { history } = await import("./commands/history.js");
      done(await history(options, io, signal));
    });
}

function addRollback(program: Command, invocation: Invocation): void {
  const { io, signal } = invocation;
  program
    .command("rollback")
    .description("bring an earlier revision back")
    .argument("[revision]", "its number, as history says it (default: the one before the current)", between(1, 1e9))
    .addOption(CONFIG)
    .addOption(KUBECONFIG)
    .addOption(CONTEXT)
    .addOption(YES)
    .addOption(TIMEOUT)
    .addOption(OUTPUT)
    .addHelpText("after", ROLLBACK_EXAMPLES)
    .action(async (revision: number | undefined, options: RollbackOptions) => {
      const { rollback } = await import("./commands/rollback.js");
      await changing(invocation, options, () => rollback(revision, options, io, signal));
    });
}

function addUninstall(program: Command, invocation: Invocation): void {
  const { io, signal } = invocation;
  program
    .command("uninstall")
    .description("remove from a cluster what hopgate made there")
    .addOption(CONFIG)
    .addOption(KUBECONFIG)
    .addOption(CONTEXT)
    .addOption(YES)
    .addOption(OUTPUT)
    .addHelpText("after", UNINSTALL_EXAMPLES)
    .action(async (options: UninstallOptions) => {
      const { uninstall } = await import("./commands/uninstall.js");
      await changing(invocation, options, () => uninstall(options, io, signal));
    });
}

function addDoctor(program: Command, { io, signal, done }: Invocation): void {
  program
    .command("doctor")
    .description("find out what is wrong with a file, its image, and its cluster; or with the answer to a request")
    .argument("[url]", "send one request there too, and explain the answer")
    .addOption(CONFIG)
    .addOption(IMAGE)
    .addOption(API)
    .addOption(PLAIN_HTTP)
    .addOption(KUBECONFIG)
    .addOption(CONTEXT)
    .addOption(SKIP_CHECKS)
    .addOption(HEADER)
    .option("-X, --request <method>", "the method of the request", "GET")
    .option("--cacert <file>", "certificates to trust (PEM) instead of the well-known ones")
    .option("--resolve <host:port:address>", "connect to this address")
    .option("--timeout <seconds>", "for the request", between(1, 3600), 60)
    .addOption(OUTPUT)
    .addHelpText("after", DOCTOR_EXAMPLES)
    .action(async (url: string | undefined, options: DoctorOptions) => {
      const { doctor } = await import("./commands/doctor.js");
      done(await doctor(url, options, io, signal));
    });
}
