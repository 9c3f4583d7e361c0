import { describe, expect, it } from "vitest";
import { card, explorerState } from "../gallery/explorer-state";
import type { Card, Prediction } from "../src/lib/payload";
import { canAnswer, nearest, sweptAnswer } from "../src/lib/swept";

const NEURON = "L3.mlp[204]";
const before = explorerState()._before as Prediction;
const made = card(NEURON, [0, 1, 2]);
const answer = (edits: Parameters<typeof sweptAnswer>[0], of: Card | null = made) =>
  sweptAnswer(edits, before, () => of);

describe("answers without a kernel", () => {
  it("finds the nearest swept value", () => {
    expect(nearest([-1, 0, 2.5, 4], 1.4)).toBe(2);
    expect(nearest([-1, 0, 2.5, 4], -9)).toBe(0);
  });

  it("answers one switched-off neuron from its card", () => {
    const { after, note } = answer([{ kind: "ablate", neuron: NEURON, how: "mean" }]);
    expect(after?.probabilities).toEqual(made.off?.probabilities);
    expect(after?.asked).toHaveLength(1);
    expect(note).toMatch(/precomputed/i);
  });

  it("does not pass off one ablation as another", () => {
    const { after, note } = answer([{ kind: "ablate", neuron: NEURON, how: "zero" }]);
    expect(after).toBeNull();
    expect(note).toContain('only "off (mean)"');
  });

  it("answers a set neuron by the nearest swept point and says so", () => {
    const dose = made.dose!;
    const { after, note } = answer([{ kind: "set", neuron: NEURON, value: dose.x[4] + 0.01 }]);
    expect(after?.probabilities).toEqual(dose.probabilities[4]);
    expect(after?.target?.value).toBe(dose.target[4]);
    expect(note).toMatch(/swept value/i);
  });

  it("says what needs a kernel: combinations, scaling, neurons without a card", () => {
    const edit = { kind: "ablate", neuron: NEURON, how: "mean" } as const;
    expect(answer([edit, { ...edit, neuron: "L1.mlp[2]" }]).note).toMatch(/several changes.*needs a kernel/i);
    expect(answer([{ kind: "scale", neuron: NEURON, value: 2 }]).note).toMatch(/needs a kernel/);
    expect(answer([edit], null).note).toMatch(/needs a kernel/);
    expect(canAnswer({ kind: "set" }, { ...made, dose: null })).toMatch(/not swept/);
  });
});
