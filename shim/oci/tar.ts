import { basename } from "node:path/posix";

/** Just enough of tar (POSIX.1-1988, "ustar") for a layer that holds one file. */

const BLOCK_BYTES = 512;

/** An archive of one file, the same for the same content: no time, no owner. */
export function tarOf(name: string, content: Uint8Array): Buffer {
  const padding = Buffer.alloc((BLOCK_BYTES - (content.length % BLOCK_BYTES)) % BLOCK_BYTES);
  return Buffer.concat([header(name, content.length), content, padding, Buffer.alloc(2 * BLOCK_BYTES)]);
}

function header(name: string, size: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  block.write(name, 0, 100, "ascii");
  block.write("0000644\0", 100, "ascii");
  block.write("0000000\0", 108, "ascii");
  block.write("0000000\0", 116, "ascii");
  block.write(`${size.toString(8).padStart(11, "0")}\0`, 124, "ascii");
  block.write("00000000000\0", 136, "ascii");
  block.write("        ", 148, "ascii");
  block.write("0", 156, "ascii");
  block.write("ustar\x0000", 257, "ascii");
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "ascii");
  return block;
}

/** The content of the first regular file of that name, in whatever folder; undefined if the archive has none, or is none. */
export function fileOf(archive: Uint8Array, name: string): Buffer | undefined {
  const bytes = Buffer.from(archive.buffer, archive.byteOffset, archive.byteLength);
  for (let at = 0; at + BLOCK_BYTES <= bytes.length;) {
    const size = Number.parseInt(textAt(bytes, at + 124, 12), 8);
    if (!Number.isInteger(size) || size < 0) return undefined;
    const content = at + BLOCK_BYTES;
    const isRegular = ["0", ""].includes(textAt(bytes, at + 156, 1));
    if (isRegular && basename(textAt(bytes, at, 100)) === name) {
      return content + size <= bytes.length ? bytes.subarray(content, content + size) : undefined;
    }
    at = content + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
  }
  return undefined;
}

/** Up to the first NUL. */
function textAt(bytes: Buffer, at: number, length: number): string {
  return (bytes.toString("latin1", at, at + length).split("\0", 1)[0] ?? "").trim();
}
