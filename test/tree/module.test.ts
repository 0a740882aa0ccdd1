import asc from "assemblyscript/asc";
import { beforeAll, describe, expect, it } from "vitest";

/** Indexed access may involve bounds checking: it shall. */
const AS904 = "904";

const MAX_SIZE_BYTES = 64 * 1024;

/** In the order of the ABI. A callback that is exported costs time at each event, whether or not it does anything. */
const EXPORTS = [
  "memory",
  "_initialize",
  "proxy_abi_version_0_2_1",
  "proxy_on_memory_allocate",
  "proxy_on_context_create",
  "proxy_on_configure",
  "proxy_on_tick",
  "proxy_on_request_headers",
  "proxy_on_response_headers",
  "proxy_on_http_call_response",
  "proxy_on_delete",
];

describe("the filter's module, compiled as `npm run build` compiles it", () => {
  let wasm = new Uint8Array();
  let messages: string;

  beforeAll(async () => {
    const { error, stderr } = await asc.main(
      ["--config", "asconfig.json", "--target", "release", "--pedantic", "--disableWarning", AS904],
      {
        writeFile: (name, contents) => {
          if (name.endsWith(".wasm") && typeof contents !== "string") wasm = new Uint8Array(contents);
        },
      },
    );
    messages = stderr.toString();
    if (error !== null) throw new Error(`the filter does not compile: ${messages}`, { cause: error });
  }, 120_000);

  it("compiles without a warning, also where the compiler is pedantic", () => {
    expect(messages).toBe("");
  });

  it(`has at most ${String(MAX_SIZE_BYTES)} bytes`, () => {
    expect(wasm.byteLength).toBeLessThanOrEqual(MAX_SIZE_BYTES);
  });

  it("has its texts in UTF-8, and none a second time in the compiler's UTF-16", () => {
    const module = Buffer.from(wasm);
    const text = "token_signature_removed";
    expect(module.includes(Buffer.from(text, "utf8"))).toBe(true);
    expect(module.includes(Buffer.from(text, "utf16le"))).toBe(false);
  });

  it("exports the callbacks that the filter needs, and no more", async () => {
    const names = WebAssembly.Module.exports(await WebAssembly.compile(wasm)).map(({ name }) => name);
    expect(names.sort()).toEqual([...EXPORTS].sort());
  });
});
