import { allChecks } from "../doctor/checks.js";
import { UsageError } from "../errors.js";

/** @throws UsageError if one is none */
export function checkCodes(codes: readonly string[]): void {
  const known = allChecks().map(({ code }) => code);
  const unknown = codes.find((code) => !known.includes(code));
  if (unknown === undefined) return;
  throw new UsageError(
    `there is no check ${JSON.stringify(unknown)}`,
    "write codes as hopgate doctor prints them, such as HG0412",
  );
}
