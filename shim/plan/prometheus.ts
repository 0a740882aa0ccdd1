/** One line of Prometheus' text format. */
export interface Sample {
  /** Without Envoy's `envoy_`. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const LINE = /^(?:envoy_)?(?<name>\w+)(?:\{(?<labels>.*)\})? (?<value>\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

export function samplesIn(text: string): readonly Sample[] {
  return text.split("\n").flatMap((line) => {
    const { name, labels = "", value } = LINE.exec(line)?.groups ?? {};
    if (name === undefined) return [];
    const pairs = [...labels.matchAll(LABEL)].map(([, key = "", text = ""]) => [key, text] as const);
    return [sampleOf(name, Object.fromEntries(pairs), Number(value))];
  });
}

/**
 * Where a proxy was not told to make labels of them, ours are in the name: `hopgate_config_hop___ingress____config___…`. In a name,
 * Envoy writes an underscore for whatever Prometheus does not take there.
 */
function sampleOf(name: string, labels: Readonly<Record<string, string>>, value: number): Sample {
  const inName = /^(?:wasmcustom_)?(hopgate_[a-z_]+?)_hop___(.*)$/.exec(name);
  if (inName === null) return { name: name.replace(/^wasmcustom_/, ""), labels, value };
  const [, base = "", rest = ""] = inName;
  const found = [...`hop___${rest}`.matchAll(/(hop|backend|result|config|module)___(.*?)____/g)];
  const own = found.map(([, label = "", text = ""]) => [label, text] as const);
  return { name: base, labels: { ...labels, ...Object.fromEntries(own) }, value };
}
