import { expect, it } from "vitest";
import { count, group, num, percent, seconds, signed, size } from "../src/lib/format";

it.each([
  [0, "0"],
  [-0, "0"],
  [0.31415, "0.314"],
  [-12.345, "−12.3"],
  [1234.5, "1,235"],
  [999.9, "1,000"],
  [-9216, "−9,216"],
  [0.0001234, "1.23e−4"],
  [-2.5e9, "−2.5e9"],
  [Infinity, "∞"],
  [-Infinity, "−∞"],
  [Number.NaN, "not a number"],
  [null, "not a number"],
  [2, "2"],
])("%s is written %s", (value, text) => {
  expect(num(value)).toBe(text);
});

it("counts, signs, shares, times and sizes", () => {
  expect(signed(0.5)).toBe("+0.5");
  expect(signed(0)).toBe("0");
  expect(signed(-0.5)).toBe("−0.5");
  expect(group(1234567)).toBe("1,234,567");
  expect(count(1, "token")).toBe("1 token");
  expect(count(9216, "neuron")).toBe("9,216 neurons");
  expect(percent(0.8432)).toBe("84.3 %");
  expect(percent(0.00001)).toBe("<0.1 %");
  expect(percent(0.99999)).toBe(">99.9 %");
  expect(percent(1)).toBe("100.0 %");
  expect(seconds(0.25)).toBe("250 ms");
  expect(seconds(1.234)).toBe("1.2 s");
  expect(size(12345)).toBe("12.3 kB");
  expect(size(2.5e6)).toBe("2.5 MB");
});
