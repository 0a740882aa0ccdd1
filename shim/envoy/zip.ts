import { inflateRawSync } from "node:zlib";

// PKWARE's APPNOTE.TXT, sections 4.3.7 (local header), 4.3.12 (central directory), 4.3.16 (its end).
const END_SIGNATURE = 0x06054b50;
const END_SIZE = 22;
const MAX_COMMENT = 0xffff;
const CENTRAL_SIGNATURE = 0x02014b50;
const CENTRAL_SIZE = 46;
const LOCAL_SIGNATURE = 0x04034b50;
const LOCAL_SIZE = 30;

/**
 * The content of the entry `name` of a zip file, stored or deflated; `maxSize` bounds it, in bytes.
 * No zip64, no encryption: wheels have neither. The checksum inside is not looked at; callers have a better one.
 *
 * @throws Error if the file is no such zip, has no such entry, or the entry is larger than `maxSize`.
 */
export function readZipEntry(zip: Buffer, name: string, maxSize: number): Buffer {
  let at = centralDirectory(zip);
  while (at + CENTRAL_SIZE <= zip.length && zip.readUInt32LE(at) === CENTRAL_SIGNATURE) {
    const nameLength = zip.readUInt16LE(at + 28);
    if (zip.toString("utf8", at + CENTRAL_SIZE, at + CENTRAL_SIZE + nameLength) === name)
      return content(zip, at, maxSize);
    at += CENTRAL_SIZE + nameLength + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  throw new Error(`the zip file has no entry ${name}`);
}

/** Where the central directory begins, as told by the record at the file's end, behind which a comment may stand. */
function centralDirectory(zip: Buffer): number {
  const lowest = Math.max(0, zip.length - END_SIZE - MAX_COMMENT);
  for (let at = zip.length - END_SIZE; at >= lowest; at -= 1) {
    if (zip.readUInt32LE(at) === END_SIGNATURE) return zip.readUInt32LE(at + 16);
  }
  throw new Error("not a zip file");
}

function content(zip: Buffer, central: number, maxSize: number): Buffer {
  const method = zip.readUInt16LE(central + 10);
  const compressedSize = zip.readUInt32LE(central + 20);
  const local = zip.readUInt32LE(central + 42);
  if (zip.readUInt32LE(local) !== LOCAL_SIGNATURE) throw new Error("the zip file's directory points nowhere");
  // The local header has its own, often different, extra field.
  const start = local + LOCAL_SIZE + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
  const data = zip.subarray(start, start + compressedSize);
  switch (method) {
    case 0:
      if (data.length > maxSize) throw new Error(`an entry of more than ${maxSize} bytes`);
      return data;
    case 8:
      return inflateRawSync(data, { maxOutputLength: maxSize });
    default:
      throw new Error(`compression method ${method} is not known`);
  }
}
