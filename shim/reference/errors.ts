/** The reference of the filter's own answers, from the source that they stand in (filter/errors.ts). */

/** An entry of the table: `new ReplyError(Bytes.of("code"), 400, Grpc.Name, TITLE, Bytes.of("detail"))`. */
const ENTRY =
  /new ReplyError\(\s*Bytes\.of\("([^"]+)"\),\s*(\d+),\s*Grpc\.(\w+),\s*\w+,\s*Bytes\.of\("([^"]+)"\),?\s*\)/g;
const GRPC = /^\s*(\w+) = (\d+),$/gm;

export function errorReference(source: string): string {
  const grpc = new Map([...source.matchAll(GRPC)].map(([, name, number]) => [name, number]));
  const rows = [...source.matchAll(ENTRY)].map(([, code = "", status = "", name, detail = ""]) => ({
    status: Number(status),
    code,
    row: `| \`${code}\` | ${status} | ${grpc.get(name) ?? ""} ${name ?? ""} | ${detail} |`,
  }));
  rows.sort((a, b) => a.status - b.status || (a.code < b.code ? -1 : 1));
  return ["| code | HTTP | gRPC | meaning |", "| --- | --- | --- | --- |", ...rows.map(({ row }) => row)].join("\n");
}
