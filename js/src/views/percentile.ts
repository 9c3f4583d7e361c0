/** 98.7 -> "98.7th percentile"; the ends never read as 0 or 100 unless they are. */
export function percentileName(value: number): string {
  const text =
    value > 99.95 && value < 100
      ? ">99.9"
      : value < 0.05 && value > 0
        ? "<0.1"
        : String(Number(value.toFixed(1)));
  return `${text}${ordinal(text)} percentile`;
}

function ordinal(text: string): string {
  if (/\.|1[123]$/.test(text)) return "th";
  return { "1": "st", "2": "nd", "3": "rd" }[text.slice(-1)] ?? "th";
}
