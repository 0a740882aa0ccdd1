import type { Io } from "../output/io.js";

/** A command as completion knows it. */
export interface CompletionCommand {
  readonly name: string;
  readonly options: readonly CompletionOption[];
  /** Values of its arguments, where they are words of ours. */
  readonly words: readonly string[];
  readonly commands: readonly CompletionCommand[];
}

interface CompletionOption {
  /** Such as `-o` and `--output`. */
  readonly flags: readonly string[];
  readonly description: string;
  readonly takesValue: boolean;
  /** The values that it takes; empty: any, such as a file. */
  readonly choices: readonly string[];
}

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** Prints the completion of `program` for a shell, made from the commands themselves. */
export function completion(shell: Shell, program: CompletionCommand, io: Io): number {
  const print = { bash: bashScript, zsh: zshScript, fish: fishScript }[shell];
  io.stdout.write(print(program));
  return 0;
}

/** What can stand behind each sequence of words, such as `envoy which`. */
function places(command: CompletionCommand, path: readonly string[] = []): readonly Place[] {
  const words = [...command.commands.map(({ name }) => name), ...command.words];
  return [
    { path: path.join(" "), words, options: command.options },
    ...command.commands.flatMap((inner) => places(inner, [...path, inner.name])),
  ];
}

interface Place {
  readonly path: string;
  readonly words: readonly string[];
  readonly options: readonly CompletionOption[];
}

/** The lines of a `case`: the words behind a place, then the values of an option at a place. */
function cases(program: CompletionCommand): { readonly words: readonly string[]; readonly values: readonly string[] } {
  const all = places(program);
  const words = all.map((place) => {
    const flags = place.options.flatMap((option) => option.flags);
    return `    ${quoted(place.path)}) found=${quoted([...place.words, ...flags].join(" "))} ;;`;
  });
  const values = all.flatMap((place) =>
    place.options
      .filter(({ takesValue }) => takesValue)
      .flatMap(({ flags, choices }) =>
        flags.map(
          (flag) => `    ${quoted(`${place.path} ${flag}`)}) takes_value=1 found=${valuesOf(flags, choices)} ;;`,
        ),
      ),
  );
  return { words, values };
}

/** Where kubectl is not there, nothing is offered. */
const CONTEXTS = "kubectl config get-contexts -o name 2>/dev/null";

/** For both bash and zsh. */
function valuesOf(flags: readonly string[], choices: readonly string[]): string {
  return flags.includes("--context") ? `"$(${CONTEXTS})"` : quoted(choices.join(" "));
}

/** For both bash and zsh: the walk along the line. No variable here may be called as one that zsh has itself. */
function walk(program: CompletionCommand, list: string, count: string, first: number): string {
  const names = places(program).flatMap(({ path }) => (path === "" ? [] : [quoted(path)]));
  const { words, values } = cases(program);
  return `  local place='' found='' takes_value='' behind i
  for ((i = ${String(first)}; i < ${count}; i++)); do
    behind="\${place:+$place }\${${list}[i]}"
    case "$behind" in
    ${names.join(" | ")}) place=$behind ;;
    esac
  done
  case "$place \${${list}[${count} - 1]}" in
${values.join("\n")}
  esac
  if [[ -z $takes_value ]]; then
    case "$place" in
${words.join("\n")}
    esac
  fi
`;
}

function bashScript(program: CompletionCommand): string {
  return `# hopgate completion for bash. To load it: source <(hopgate completion bash)
_hopgate() {
${walk(program, "COMP_WORDS", "COMP_CWORD", 1)}  local IFS=$' \\t\\n' word
  if [[ -n $takes_value && -z $found ]]; then
    COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}"))
    return
  fi
  # Not compgen -W, which runs what stands in a word: contexts are named by whoever wrote the kubeconfig.
  COMPREPLY=()
  while read -r -d ' ' word; do
    if [[ -n $word && $word == "\${COMP_WORDS[COMP_CWORD]}"* ]]; then COMPREPLY+=("$word"); fi
  done <<<"\${found//$'\\n'/ } "
}
complete -o filenames -o bashdefault -F _hopgate hopgate
`;
}

function zshScript(program: CompletionCommand): string {
  return `#compdef hopgate
# hopgate completion for zsh. To load it: source <(hopgate completion zsh), or save it as _hopgate in a folder of $fpath.
_hopgate() {
${walk(program, "words", "CURRENT", 2)}  if [[ -n $takes_value && -z $found ]]; then
    _files
  else
    compadd -- \${=found}
  fi
}
if [[ $funcstack[1] == _hopgate ]]; then _hopgate "$@"; else compdef _hopgate hopgate; fi
`;
}

function fishScript(program: CompletionCommand): string {
  const lines = places(program).flatMap(({ path, words, options }) => {
    const condition = path === "" ? "__fish_use_subcommand" : fishCondition(path);
    return [
      ...words.map((word) => `complete -c hopgate -f -n ${quoted(condition)} -a ${quoted(word)}`),
      ...options.map(({ flags, description, takesValue, choices }) => {
        const names = flags.map((flag) => (flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
        const list = flags.includes("--context") ? `(${CONTEXTS})` : choices.join(" ");
        const values = list !== "" ? ` -xa ${quoted(list)}` : takesValue ? " -r" : "";
        return `complete -c hopgate -n ${quoted(condition)} ${names.join(" ")}${values} -d ${quoted(description)}`;
      }),
    ];
  });
  return `# hopgate completion for fish. To load it: hopgate completion fish | source\n${lines.join("\n")}\n`;
}

function fishCondition(path: string): string {
  return path
    .split(" ")
    .map((name) => `__fish_seen_subcommand_from ${name}`)
    .join("; and ");
}

/** In single quotes, as all three shells read them. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
