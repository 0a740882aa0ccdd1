/** Changes to an input, drawn at random: what has a meaning to parsers, and what has none. */

/** Numbers from 0 up to `below`, always the same ones for the same seed (mulberry32). */
export type Random = (below: number) => number;

export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) % below;
  };
}

const MAX_BYTES = 12_000;
const NUMBERS = ["0", "-1", "1e400", "18446744073709551616", "9007199254740993", "0.5", "NaN"];

/** Another input, made of `input` and sometimes of one of `others`; `words` are what its language has. */
export function mutate(input: Buffer, others: readonly Buffer[], words: readonly string[], random: Random): Buffer {
  let result = input;
  for (let changes = 1 + random(4); changes > 0; changes--) result = change(result, others, words, random);
  return result.subarray(0, MAX_BYTES);
}

function change(input: Buffer, others: readonly Buffer[], words: readonly string[], random: Random): Buffer {
  const at = random(input.length + 1);
  const end = Math.min(input.length, at + random(1 << random(9)));
  const replaced = (by: Uint8Array | string): Buffer =>
    Buffer.concat([input.subarray(0, at), Buffer.from(by), input.subarray(end)]);
  switch (random(9)) {
    case 0:
      return replaced(""); // a part goes
    case 1:
      return replaced(Uint8Array.of(random(256)));
    case 2:
      return flipped(input, random);
    case 3:
      return replaced(words[random(words.length)] ?? "");
    case 4:
      return replaced(NUMBERS[random(NUMBERS.length)] ?? "");
    case 5:
      return replaced(Buffer.concat(Array<Buffer>(2 + random(40)).fill(input.subarray(at, end)))); // a part many times
    case 6: {
      const other = others[random(others.length)] ?? input;
      const from = random(other.length + 1);
      return replaced(other.subarray(from, from + random(1 << random(10))));
    }
    case 7:
      return replaced(String.fromCodePoint(random(0x11_0000)));
    default:
      return replaced("[{".charAt(random(2)).repeat(1 + random(40)));
  }
}

function flipped(input: Buffer, random: Random): Buffer {
  const copy = Buffer.from(input);
  const at = random(copy.length + 1);
  if (at < copy.length) copy[at] = (copy[at] ?? 0) ^ (1 << random(8));
  return copy;
}
