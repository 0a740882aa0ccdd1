/** One line of Prometheus' text format. */
export interface Sample {
  /** Without Envoy's `envoy_`. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
  /** Whether a label had to be read out of the name. */
  readonly labelsInName?: true;
}

const LINE = /^(?:envoy_)?(?<name>\w+)(?:\{(?<labels>.*)\})? (?<value>\S+)$/;
const LABEL = /\b(\w+)="((?:[^"\\]|\\.)*)"/g;
/** A line of metrics that are read here has some hundred characters. Whoever may run a Pod with the labels may write longer ones. */
const MAX_LINE = 2048;

export function samplesIn(text: string): readonly Sample[] {
  return text.split("\n").flatMap((line) => {
    if (line.length > MAX_LINE) return [];
    const { name, labels = "", value } = LINE.exec(line)?.groups ?? {};
    if (name === undefined) return [];
    const pairs = [...labels.matchAll(LABEL)].map(([, key = "", text = ""]) => [key, text] as const);
    return [sampleOf(name, Object.fromEntries(pairs), Number(value))];
  });
}

/**
 * Labels that a proxy was not told to make are in the name: `hopgate_config_hop___ingress___config___70717618___…`. In a name,
 * Envoy writes an underscore for whatever Prometheus does not take there, so a hyphen is one here.
 */
function sampleOf(fullName: string, labels: Readonly<Record<string, string>>, value: number): Sample {
  const name = fullName.replace(/^wasmcustom_/, "");
  const own = [...name.matchAll(LABEL_IN_NAME)].map(([, label = "", text = ""]) => [label, text] as const);
  if (!name.startsWith("hopgate_")) return { name, labels, value };
  const base = name.replace(LABEL_IN_NAME, "").replace(/_+$/, "");
  const all = { ...labels, ...Object.fromEntries(own) };
  return { name: base, labels: all, value, ...(own.length > 0 && { labelsInName: true }) };
}

const LABEL_IN_NAME = /_?(hop|backend|result|config|module)___(.*?)___/g;
