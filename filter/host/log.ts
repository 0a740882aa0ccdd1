/** The proxy's log. Ask `isLogged` before putting a message together. Never log a token, a claim or a header value. */
import { proxyGetLogLevel, proxyLog } from "./abi";
import { Bytes } from "./bytes";
import { Status } from "./status";

export const enum LogLevel {
  Trace = 0,
  Debug = 1,
  Info = 2,
  Warn = 3,
  Error = 4,
  Critical = 5,
}

const levelOut: usize = memory.data(4, 4);

export function isLogged(level: LogLevel): bool {
  return proxyGetLogLevel(levelOut) == Status.Ok && level >= load<i32>(levelOut);
}

export function log(level: LogLevel, message: Bytes): void {
  proxyLog(level, message.pointer, message.length);
}
