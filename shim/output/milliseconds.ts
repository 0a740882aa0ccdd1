/**
 * A duration in milliseconds with the digits that mean something: three decimals below a millisecond, three significant
 * digits up to a second, whole milliseconds above. Without the unit: `0.052`, `1.83`, `40.2`, `316`, `12345`; nothing is `0`.
 */
export function milliseconds(duration_us: number): string {
  const ms = duration_us / 1000;
  if (duration_us === 0) return "0";
  if (duration_us < 1000) return ms.toFixed(3);
  // The bounds are where rounding would add a digit: 9.996 is 10.0, not 10.00.
  if (duration_us < 9995) return ms.toFixed(2);
  if (duration_us < 99_950) return ms.toFixed(1);
  return ms.toFixed(0);
}
