import { describe, expect, it } from "vitest";
import { formatNeuron, parseNeuron, search } from "../src/lib/neuron";

it.each(["L5.mlp[131]", "decoder.L2.mlp[7]", "L0.embed[0]", "encoder.L11.attention[42]"])(
  "reads and writes %s",
  (name) => {
    expect(formatNeuron(parseNeuron(name) as never)).toBe(name);
  },
);

it.each([
  "",
  "L5",
  "L5.mlp",
  "L5.mlp[-1]",
  "l5.mlp[1]",
  "L5.mlp[1]]",
  "x.L5.mlp[1]",
  "L5.mlp[1.5]",
  null,
  undefined,
])("does not read %s", (name) => {
  expect(parseNeuron(name)).toBeNull();
});

describe("search", () => {
  const context = {
    site: "mlp",
    stack: null,
    layers: [0, 1, 2, 3, 4, 5],
    width: 1536,
    pieces: ["[CLS]", "Not", " bad", " 5", " at", " not", "[SEP]"],
  };
  const find = (text: string, more = {}) => search(text, { ...context, ...more });

  it.each(["L5.mlp[131]", " L5[131] ", "5 131", "5.131", "5,131", "l5 131", "L5:131", "L5 [131]"])(
    "%s is a neuron",
    (text) => {
      expect(find(text)).toEqual({ kind: "neuron", neuron: "L5.mlp[131]", layer: 5, index: 131 });
    },
  );

  it.each(["L5", "l5", "layer 5", "Layer5", "L5.mlp", "L5."])("%s is a layer", (text) => {
    expect(find(text)).toEqual({ kind: "layer", layer: 5 });
  });

  it("a bare number is a token where there is one, else a layer", () => {
    expect(find("5")).toMatchObject({ kind: "token", token: 3 });
    expect(find("4")).toEqual({ kind: "layer", layer: 4 });
  });

  it("finds every place of a word, whatever its case and space", () => {
    expect(find("not")).toEqual({ kind: "token", token: 1, matches: [1, 5] });
    expect(find("ba")).toEqual({ kind: "token", token: 2, matches: [2] });
  });

  it("keeps the stack of the model", () => {
    expect(find("2 7", { stack: "decoder" })).toMatchObject({ neuron: "decoder.L2.mlp[7]" });
    expect(find("decoder.L2.mlp[7]")).toMatchObject({ kind: "nothing" });
  });

  it.each([
    ["L9", /layers are L0 to L5/],
    ["L9.mlp[3]", /layers are L0 to L5/],
    ["L5.mlp[1536]", /neurons 0 to 1535/],
    ["L5.attention[3]", /this view shows mlp/],
    ["zebra", /no such layer, neuron or token/],
  ])("%s: says why there is nothing", (text, why) => {
    const found = find(text);
    expect(found.kind).toBe("nothing");
    expect(found.kind === "nothing" && found.why).toMatch(why);
  });

  it("has no complaint about an empty box", () => {
    expect(find("  ")).toEqual({ kind: "nothing", why: "" });
  });
});
