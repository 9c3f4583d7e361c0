// Numbers as people read them: three significant digits, a real minus sign, thousands separated.

const MINUS = "−";

/** 0.314, −12.5, 9,216, 1.2e−5; NaN and infinities in words. */
export function num(value: number | null | undefined, digits = 3): string {
  if (value === null || value === undefined || Number.isNaN(value)) return "not a number";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : `${MINUS}∞`;
  if (value === 0) return "0";
  const size = Math.abs(value);
  let text: string;
  if (size < 1e-3 || size >= 1e7) {
    const [mantissa, exponent] = size.toExponential(digits - 1).split("e");
    text = `${Number(mantissa)}e${exponent.replace("+", "").replace("-", MINUS)}`;
  } else if (size >= 10 ** (digits - 0.5)) text = group(Math.round(size));
  else text = String(Number(size.toPrecision(digits)));
  return value < 0 ? MINUS + text : text;
}

/** Like num, with a plus where it is above zero: for effects and changes. */
export function signed(value: number | null | undefined, digits = 3): string {
  return typeof value === "number" && value > 0 ? `+${num(value, digits)}` : num(value, digits);
}

/** 9216 -> 9,216 */
export function group(value: number): string {
  return String(Math.trunc(Math.abs(value)))
    .replace(/\B(?=(\d{3})+$)/g, ",")
    .replace(/^/, value < 0 ? MINUS : "");
}

/** A count with its noun: 1 token, 9,216 neurons. */
export function count(value: number, noun: string, plural = `${noun}s`): string {
  return `${group(value)} ${value === 1 ? noun : plural}`;
}

/** A probability: 0.843 -> 84.3 %; what is not 0 or 1 never reads as such. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return num(share);
  const value = share * 100;
  if (share > 0 && value < 0.1) return "<0.1 %";
  if (share < 1 && value > 99.9) return ">99.9 %";
  return `${value < 0 ? MINUS : ""}${Math.abs(value).toFixed(1)} %`;
}

export function seconds(value: number): string {
  if (value < 0.001) return "<1 ms";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  if (value < 100) return `${Number(value.toPrecision(2))} s`;
  return `${Math.round(value / 60)} min`;
}

export function size(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1e6) return `${Number((bytes / 1e3).toPrecision(3))} kB`;
  return `${Number((bytes / 1e6).toPrecision(3))} MB`;
}
