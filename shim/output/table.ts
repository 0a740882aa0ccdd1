import { columns } from "./text.js";

const GAP = "  ";

/**
 * Rows as aligned columns, joined by newlines, without trailing spaces: the first column to the left, and the others as
 * `align` says. Cells may carry colours; a short row leaves its last columns empty.
 */
export function table(rows: readonly (readonly string[])[], align: "left" | "right" = "left"): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, columns(cell))));
  }
  const pad = (cell: string, column: number): string => {
    const spaces = " ".repeat((widths[column] ?? 0) - columns(cell));
    return align === "right" && column > 0 ? spaces + cell : cell + spaces;
  };
  return rows.map((row) => row.map(pad).join(GAP).trimEnd()).join("\n");
}
