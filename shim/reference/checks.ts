import { allChecks, GROUPS } from "../doctor/checks.js";

/** The codes of `hopgate doctor`, in a table for each group. */
export function checkReference(): string {
  const checks = allChecks();
  return GROUPS.map(({ prefix, title }) => {
    const rows = checks
      .filter(({ code }) => code.startsWith(prefix))
      .map(({ code, level, title: holds, why }) => `| \`${code}\` | ${level} | ${holds} | ${why} |`);
    const head = ["| code | level | what has to hold | else |", "| --- | --- | --- | --- |"];
    return `### ${prefix}xx: ${title}\n\n${[...head, ...rows].join("\n")}`;
  }).join("\n\n");
}
