/** Which build of the filter this is. */
import { Bytes } from "./host/bytes";

/**
 * The build writes the first 64 bits of the module's SHA-256 over the zeros (shim/module/stamp.ts): a module cannot contain its
 * own hash, so it is the hash of the module with the zeros still in it. Zeros: not a build that anybody hands out.
 */
const STAMP = Bytes.of("hopgate module 0000000000000000");
const DIGITS: i32 = 16;

/** Sixteen hexadecimal digits. */
export const MODULE = Bytes.empty();
MODULE.point(STAMP, STAMP.length - DIGITS, DIGITS);
