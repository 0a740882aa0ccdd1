import { describe, expect, it } from "vitest";
import { anonymousRanges, countedIn } from "../../../bench/valgrind.js";

const MAPS = `00400000-00500000 r-xp 00001000 08:01 1234                               /usr/bin/envoy
7f0000000000-7f0000001000 rwxp 00000000 00:00 0
7f0000002000-7f0000003000 r-xp 00000000 00:00 0                          [vdso]
`;

/** As Callgrind writes it: a caller in a file, a callee in none, each with a line of its own and one of a call. */
const DUMP = `# callgrind format
positions: line
events: Ir
summary: 116

ob=(1) /usr/bin/envoy
fl=(1) ???
fn=(7) 0x0000000000401000
0 10
cfn=(8) 0x00007f0000000010
calls=2 0
0 100
+3 6

fn=(8)
0 60
cfn=(7)
calls=1 0
0 40
* 40

totals: 116
`;

describe("a dump of Callgrind", () => {
  it("is summed without what is told of callees, and what is in no file apart", () => {
    expect(countedIn(DUMP, anonymousRanges(MAPS))).toEqual({ instructions: 116, compiled: 100 });
  });

  it("in which nothing was counted is an error: no variant costs nothing", () => {
    expect(() => countedIn("# callgrind format\n", [])).toThrow("counted nothing");
  });
});

it("an address space has its anonymous parts, and what the kernel names is none", () => {
  expect(anonymousRanges(MAPS)).toEqual([[0x7f0000000000, 0x7f0000001000]]);
});
