import { Argument, Command, InvalidArgumentError, Option } from "commander";

import { parseBackends } from "./commands/backend-option.js";
import type { BenchOptions } from "./commands/bench.js";
import { completion, type CompletionCommand, type Shell, SHELLS } from "./commands/completion.js";
import { build, type BuildOptions } from "./commands/build.js";
import { check, type CheckOptions } from "./commands/check.js";
import { envoy, type EnvoyOptions } from "./commands/envoy.js";
import {
  BENCH_EXAMPLES,
  CHECK_EXAMPLES,
  EXPLAIN_EXAMPLES,
  INIT_EXAMPLES,
  COMPLETION_EXAMPLES,
  PUSH_EXAMPLES,
  BUILD_EXAMPLES,
  RENDER_EXAMPLES,
  TRACE_EXAMPLES,
  UP_EXAMPLES,
} from "./commands/examples.js";
import { explain, type ExplainOptions } from "./commands/explain.js";
import { init, type InitOptions } from "./commands/init.js";
import { push, type PushOptions } from "./commands/push.js";
import { render, type RenderCommandOptions } from "./commands/render.js";
import { trace, type TraceOptions } from "./commands/trace.js";
import { up, type UpOptions } from "./commands/up.js";
import type { Io } from "./output/io.js";
import { packageVersion } from "./package-root.js";
import { addClusterCommands } from "./run-cluster.js";
import { exitCodeOf } from "./run-exit-code.js";
import {
  API,
  append,
  between,
  CONFIG,
  HEADER,
  IMAGE,
  type Invocation,
  milliseconds,
  OUTPUT,
  PLAIN_HTTP,
  port,
} from "./run-options.js";

/**
 * Parses `argv` (without node and script) and runs the command. All printing goes through `io`; `signal` asks to end.
 * Returns the exit code: 0 good, 1 failed, 2 bad input, 130 ended by the user.
 */
export async function run(argv: readonly string[], io: Io, signal: AbortSignal): Promise<number> {
  let exitCode = 0;
  const program = createProgram({ io, signal, done: (code) => (exitCode = code) });
  try {
    await program.parseAsync([...argv], { from: "user" });
    return exitCode;
  } catch (error) {
    return exitCodeOf(error, io, signal);
  }
}

/** The order in which `--help` shows the commands is that of their additions. */
function createProgram(invocation: Invocation): Command {
  const { stdout, stderr } = invocation.io;
  const program = new Command("hopgate")
    .description(
      "Route AI traffic by host through Istio, inject Cloud Run ID tokens, and see where every millisecond went.",
    )
    .version(packageVersion(), "-V, --version", "print the version")
    .helpCommand("help [command]", "show the help of a command")
    .showHelpAfterError("Run with --help for what can be given.")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(text),
      getOutHelpWidth: () => stdout.columns ?? 100,
      getErrHelpWidth: () => stderr.columns ?? 100,
    });
  for (const add of [
    addUp,
    addEnvoy,
    addInit,
    addCheck,
    addExplain,
    addTrace,
    addBench,
    addRender,
    addBuild,
    addPush,
    addClusterCommands,
    addCompletion,
  ])
    add(program, invocation);
  return program;
}

const ENVOY_PATH = new Option(
  "--envoy-path <file>",
  "the Envoy to run (default: ENVOY_PATH, then PATH, then a cached one)",
);

function addUp(program: Command, { io, signal, done }: Invocation): void {
  program
    .command("up")
    .description("run a hopgate.yaml on this machine: real Envoys, stand-ins for everything else")
    .option("-c, --config <file>", "the hopgate.yaml (default: ./hopgate.yaml, else the shipped example)")
    .option("--once", "show what it does, then end; exit 0 only if all went well")
    .option("-p, --port <port>", "port of the first gateway at 127.0.0.1; 0 takes a free one", port, 0)
    .addOption(
      new Option("-b, --backend <name=url>", "a real service in the place of a backend's stand-in; repeatable")
        .argParser(append)
        .default([], "none"),
    )
    .addOption(ENVOY_PATH)
    .option("--first-token-ms <ms>", "time to first token of the chat stand-ins", milliseconds, 60)
    .option("--token-gap-ms <ms>", "time between their tokens", milliseconds, 10)
    .option("--func-e [file]", "run Envoy through func-e (default: the one on PATH)")
    .addOption(OUTPUT)
    .addHelpText("after", UP_EXAMPLES)
    .action(async (options: Omit<UpOptions, "backend"> & { readonly backend: readonly string[] }) =>
      done(await up({ ...options, backend: parseBackends(options.backend) }, io, signal)),
    );
}

function addEnvoy(program: Command, { io, signal, done }: Invocation): void {
  const envoyCommand = program.command("envoy").description("find or install the Envoy that hopgate runs");
  for (const [name, description, install] of [
    ["which", "print the path of the Envoy that would be run", false],
    ["install", "install Envoy into the cache, unless there is one to run already", true],
  ] as const) {
    envoyCommand
      .command(name)
      .description(description)
      .addOption(ENVOY_PATH)
      .addOption(OUTPUT)
      .action(async (options: EnvoyOptions) => done(await envoy({ ...options, install }, io, signal)));
  }
}

function addInit(program: Command, { io, done }: Invocation): void {
  program
    .command("init")
    .description("write a commented hopgate.yaml to start from")
    .argument("[file]", "where to; - is stdout", "hopgate.yaml")
    .option("--force", "overwrite the file")
    .addHelpText("after", INIT_EXAMPLES)
    .action((file: string, options: InitOptions) => done(init(file, options, io)));
}

function addCheck(program: Command, { io, done }: Invocation): void {
  program
    .command("check")
    .description("find out what is wrong with a hopgate.yaml, before it is deployed")
    .argument("[file...]", "default: ./hopgate.yaml")
    // As the other commands have it.
    .addOption(new Option("-c, --config <file>", "the file, likewise").hideHelp())
    .addOption(OUTPUT)
    .addHelpText("after", CHECK_EXAMPLES)
    .action(async (files: string[], { config, ...options }: CheckOptions & { readonly config?: string }) => {
      done(await check(config === undefined ? files : [config, ...files], options, io));
    });
}

function addExplain(program: Command, { io, done }: Invocation): void {
  program
    .command("explain")
    .description("say where a request would go and why: route, arm, audience, headers")
    .argument("<url>", "of the request")
    .addOption(HEADER)
    .option("-X, --request <method>", "its method", "GET")
    .option("--hop <name>", "where it comes in (default: the edge)")
    .option("-c, --config <file>", "the hopgate.yaml (default: ./hopgate.yaml, else the shipped example)")
    .addOption(OUTPUT)
    .addHelpText("after", EXPLAIN_EXAMPLES)
    .action(async (url: string, options: ExplainOptions) => done(await explain(url, options, io)));
}

function addTrace(program: Command, { io, signal, done }: Invocation): void {
  program
    .command("trace")
    .description("send requests to a running mesh and show where their time went")
    .argument("<url>", "to send them to")
    .option("-n, --count <count>", "how many, on one connection; the first is drawn", between(1, 10_000), 1)
    .addOption(HEADER)
    .option("-X, --request <method>", "the method (default: GET, with -d POST)")
    .option("-d, --data <body>", "the body to send; JSON unless a content-type header is given")
    .option("--key <key>", "timing.key of the mesh (default: that of the hopgate.yaml, for its own hosts)")
    .option("--cacert <file>", "certificates to trust (PEM) instead of the well-known ones")
    .option("--resolve <host:port:address>", "connect to this address")
    .option("-c, --config <file>", "the hopgate.yaml with the key and the names of the hops (default: ./hopgate.yaml)")
    .option("--timeout <seconds>", "for each request", between(1, 3600), 60)
    .option("--har <file>", "write an HTTP Archive too")
    .option("--fail", "exit 1 if a status is 400 or more")
    .addOption(OUTPUT)
    .addHelpText("after", TRACE_EXAMPLES)
    .action(async (url: string, options: TraceOptions) => done(await trace(url, options, io, signal)));
}

function addBench(program: Command, { io, signal, done }: Invocation): void {
  program
    .command("bench")
    .description("measure what the filter costs, beside no filter, Envoy's native ones, Lua, Rust, and your own")
    .addOption(
      new Option("--only <parts>", "what to measure, such as http1,latency (default: everything)").argParser(list),
    )
    .addOption(new Option("--variants <ids>", "the variants to compare with no filter (default: all)").argParser(list))
    .option("--host-calls", "measure what each call of the host costs, and nothing else")
    .option("--rounds <count>", "in which the variants take turns", between(3, 1000), 25)
    .option("--seconds <seconds>", "how long a variant is under load in a round", seconds, 0.5)
    .option("--requests <count>", "before memory is read for the last time", between(1000, 100_000_000), 100_000)
    .option(
      "--rate <requests>",
      "a second, for latency (default: half of what all variants hold)",
      between(1, 1_000_000),
    )
    .addOption(
      new Option("--generator <name>", "who sends at a fixed rate (default: vegeta if it is on PATH)").choices([
        "vegeta",
        "node",
      ]),
    )
    .option("--wasm <file>", "a filter of your own, to measure beside the others")
    .option("--plugin-config <file>", "its plugin configuration")
    .option("--baseline <file>", "limits; exit 1 if one is exceeded")
    .option("--html <file>", "write the report as a page with plots too")
    .addOption(ENVOY_PATH)
    .addOption(OUTPUT)
    .addHelpText("after", BENCH_EXAMPLES)
    .action(async (options: BenchOptions) => {
      const { benchCommand } = await import("./commands/bench.js"); // nothing else needs what it brings along
      done(await benchCommand(options, io, signal));
    });
}

function list(text: string): readonly string[] {
  return text.split(",").map((name) => name.trim());
}

function seconds(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value >= 0.05 && value <= 600) return value;
  throw new InvalidArgumentError("Write a number of seconds from 0.05 to 600.");
}

function addRender(program: Command, { io, done }: Invocation): void {
  program
    .command("render")
    .description("print the Kubernetes resources of a hopgate.yaml")
    .addOption(CONFIG)
    .addOption(IMAGE)
    .addOption(API)
    .addOption(
      new Option(
        "--kustomize <folder>",
        "write a base with an overlay for gateways and one for waypoints instead",
      ).conflicts(["rbac", "gcloud"]),
    )
    .addOption(new Option("--rbac", "print the least role that deploy and status need instead").conflicts("gcloud"))
    .addOption(
      new Option("--only <resource>", "print one resource, by KIND NAMESPACE/NAME as messages name it").conflicts([
        "kustomize",
        "rbac",
        "gcloud",
      ]),
    )
    .option("--gcloud", "print what is to be done in Google Cloud instead, as lines for a shell")
    .addOption(new Option("-o, --output <format>", "how to print").choices(["yaml", "json"]).default("yaml"))
    .addHelpText("after", RENDER_EXAMPLES)
    .action(async (options: RenderCommandOptions) => done(await render(options, io)));
}

function addBuild(program: Command, { io, done }: Invocation): void {
  program
    .command("build")
    .description("compile the filter, and say what its images will be")
    .addOption(OUTPUT)
    .addHelpText("after", BUILD_EXAMPLES)
    .action(async (options: BuildOptions) => done(await build(options, io)));
}

function addPush(program: Command, { io, signal, done }: Invocation): void {
  program
    .command("push")
    .description("push the filter to an OCI registry, and print the reference to deploy")
    .argument("<reference>", "REGISTRY/REPOSITORY[:TAG]; the tag defaults to the version")
    .addOption(
      new Option("--shape <shape>", "compat: an image with one tar layer; artifact: the module itself as a layer")
        .choices(["compat", "artifact"])
        .default("compat"),
    )
    .option("--module <file>", "the module (default: the one that was built)")
    .addOption(PLAIN_HTTP)
    .addOption(OUTPUT)
    .addHelpText("after", PUSH_EXAMPLES)
    .action(async (reference: string, options: PushOptions) => done(await push(reference, options, io, signal)));
}

function addCompletion(program: Command, { io, done }: Invocation): void {
  program
    .command("completion")
    .description("print the completion of this command for a shell")
    .addArgument(new Argument("<shell>", "which shell").choices(SHELLS))
    .addHelpText("after", COMPLETION_EXAMPLES)
    .action((shell: Shell) => done(completion(shell, completable(program), io)));
}

function completable(command: Command): CompletionCommand {
  const help = command.createHelp();
  return {
    name: command.name(),
    options: help.visibleOptions(command).map((option) => ({
      flags: [option.short, option.long].filter((flag) => flag !== undefined),
      description: option.description,
      takesValue: option.required || option.optional,
      choices: option.argChoices ?? [],
    })),
    words: command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []),
    commands: help.visibleCommands(command).map(completable),
  };
}
