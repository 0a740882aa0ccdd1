// The pure parts of the binding, exported to be compared with models. `arena` is memory that the test fills; windows `a`
// and `b` look at parts of it.
import "../../../filter/host/abort";
import { Bytes, read32, read64, Writer } from "../../../filter/host/bytes";
import { StreamContext } from "../../../filter/host/context";
import { ContextTable } from "../../../filter/host/context-table";
import { HeaderMap, HeaderPairs } from "../../../filter/host/headers";
import { getProperty } from "../../../filter/host/property";
import { Inbox } from "../../../filter/host/inbox";
import { PairsWriter } from "../../../filter/host/pairs";

export { allocate } from "../../../filter/host/inbox";

const ARENA: i32 = 8192;
const arena = new Bytes(new StaticArray<u8>(ARENA), 0, ARENA);
const a = Bytes.empty();
const b = Bytes.empty();
const windows: StaticArray<Bytes> = [a, b];

export function arenaAt(): usize {
  return arena.pointer;
}
/** Cuts window 0 or 1 out of the arena. */
export function point(which: i32, start: i32, length: i32): void {
  windows[which].point(arena, start, length);
}
/** Cuts a window out of itself. */
export function narrow(which: i32, start: i32, length: i32): void {
  windows[which].point(windows[which], start, length);
}
export function clear(which: i32): void {
  windows[which].clear();
}
export function startOf(which: i32): i32 {
  return <i32>(windows[which].pointer - arena.pointer);
}
export function lengthOf(which: i32): i32 {
  return windows[which].length;
}
export function at(index: i32): i32 {
  return a.at(index);
}
export function indexOf(byte: i32, from: i32): i32 {
  return a.indexOf(byte, from);
}
export function lastIndexOf(byte: i32): i32 {
  return a.lastIndexOf(byte);
}
export function equals(): bool {
  return a.equals(b);
}
export function startsWith(): bool {
  return a.startsWith(b);
}
export function equalsIgnoreCase(): bool {
  return a.equalsIgnoreCase(b);
}
export function copies(): bool {
  const copy = a.copy();
  return copy.equals(a) && copy.owner !== a.owner;
}
export function readI32(index: i32): i32 {
  return read32(a, index);
}
export function readI64(index: i32): i64 {
  return read64(a, index);
}

let writer = new Writer(0);

export function writerNew(capacity: i32): void {
  writer = new Writer(capacity);
}
export function writerReset(): void {
  writer.reset();
}
/** What a `Bytes` can have done to it; a writer must still never write elsewhere. */
export function writerClear(): void {
  writer.clear();
}
export function writerPoint(start: i32, length: i32): void {
  writer.point(writer, start, length);
}
export function writerAppend(): void {
  writer.append(a);
}
export function writerByte(byte: i32): void {
  writer.appendByte(byte);
}
export function writerInteger(value: u64): void {
  writer.appendInteger(value);
}
export function writer32(value: i32): void {
  writer.append32(value);
}
export function writer64(value: i64): void {
  writer.append64(value);
}
export function writerAt(): usize {
  return writer.pointer;
}
export function writerLength(): i32 {
  return writer.length;
}
export function writerOverflowed(): bool {
  return writer.overflowed;
}

class Tagged extends StreamContext {
  constructor(readonly tag: i32) {
    super();
  }
}
let table = new ContextTable(4, 4);

export function tableNew(capacity: i32, limit: i32): void {
  table = new ContextTable(capacity, limit);
}
export function tableSet(id: u32, tag: i32): bool {
  return table.set(id, new Tagged(tag));
}
export function tableGet(id: u32): i32 {
  const found = table.get(id);
  return found === null ? 0 : (found as Tagged).tag;
}
export function tableDelete(id: u32): i32 {
  const found = table.delete(id);
  return found === null ? 0 : (found as Tagged).tag;
}
export function tableSize(): i32 {
  return table.size;
}
/** Fills with ids in sequence, as a host hands them out, looks each up and takes it out again; the misses. */
export function tableFill(first: u32, count: i32): i32 {
  let misses = 0;
  const context = new Tagged(1);
  for (let i = 0; i < count; i++) if (!table.set(first + i, context)) misses++;
  for (let i = 0; i < count; i++) if (table.get(first + i) === null) misses++;
  for (let i = 0; i < count; i++) if (table.delete(first + i) === null) misses++;
  return misses;
}

let list = new PairsWriter(0, 0);

export function listNew(maxPairs: i32, capacity: i32): void {
  list = new PairsWriter(maxPairs, capacity);
}
export function listReset(): void {
  list.reset();
}
/** Adds window 0 as the name and window 1 as the value. */
export function listAdd(): void {
  list.add(a, b);
}
export function listLayOut(): usize {
  return list.layOut();
}
export function listSize(): i32 {
  return list.byteLength;
}
export function listOverflowed(): bool {
  return list.overflowed;
}

const pairs = new HeaderPairs(64);

export function pairsRead(): i32 {
  return pairs.read(HeaderMap.Request);
}
export function pairsNext(): bool {
  return pairs.next();
}
export function pairsFind(): bool {
  return pairs.find(a);
}
export function nameAt(): usize {
  return pairs.name.pointer;
}
export function nameLength(): i32 {
  return pairs.name.length;
}
export function valueAt(): usize {
  return pairs.value.pointer;
}
export function valueLength(): i32 {
  return pairs.value.length;
}

let inbox = new Inbox(0, 0);

export function inboxNew(capacity: i32, limit: i32): void {
  inbox = new Inbox(capacity, limit);
}
/** Asks the host for something; the answer is in the inbox. */
export function ask(): i32 {
  return getProperty(a, inbox);
}
export function inboxAt(): usize {
  return inbox.pointer;
}
export function inboxLength(): i32 {
  return inbox.length;
}
