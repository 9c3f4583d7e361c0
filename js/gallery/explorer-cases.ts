// The explorer and the effect panel in every state that a person can meet.
import type { Prediction } from "../src/lib/payload";
import { answered, explorerState, SENTENCE, type Shape } from "./explorer-state";

interface Case {
  kind: string;
  name: string;
  state: object;
}

const NOT = "L3.mlp[204]";

export function words(count: number): string[] {
  const text = SENTENCE.slice(1, -1);
  const body = Array.from({ length: count - 2 }, (_, i) =>
    i ? text[i % text.length].replace(/^(?=\w)/, " ") : "The",
  );
  return ["[CLS]", ...body, "[SEP]"];
}

export function explorerCases(): Case[] {
  const explorer = (name: string, shape: Shape = {}, more: object = {}): Case => ({
    kind: "neuron-explorer",
    name,
    state: { ...explorerState(shape), ...more },
  });
  const status = (state: string, more: object = {}) => ({
    _status: { state, what: "", done: 0, total: 0, error: "", ...more },
  });
  const answeredCase = (name: string, more: object = {}, shape: Shape = {}): Case => ({
    kind: "neuron-explorer",
    name,
    state: { ...answered(explorerState(shape)), ...more },
  });
  const empty = {
    text: "",
    _text_answered: "",
    _tokens: {},
    _activations: {},
    _preview: {},
    _attribution: null,
    _effects: null,
    _before: null,
    _cards: {},
    _legend: {},
    _prompts: ["The film was not bad at all, really.", "A warm and generous film.", "I wanted to like it."],
  };
  const other = "L5.mlp[131]";
  const two = answered(explorerState());
  const made = two._cards as Record<string, { neuron: string; activation: number[] }>;
  const cards = {
    ...made,
    [other]: { ...made[NOT], neuron: other, activation: [...made[NOT].activation].reverse() },
  };
  const after = two._after as Prediction;
  const sliders = [
    { kind: "ablate", neuron: NOT, how: "mean" },
    { kind: "set", neuron: other, value: 2.4 },
    { kind: "scale", neuron: "L1.mlp[7]", value: 1.5 },
  ];
  const panel = (name: string, state: object): Case => ({
    kind: "effect-panel",
    name,
    state: { _kind: "effect-panel", _live: true, _notes: [], last_error: null, ...status("ready"), ...state },
  });
  const lm = answered(explorerState({ kind: "causal_lm" }));
  return [
    explorer("first sight"),
    answeredCase("one neuron off"),
    answeredCase("three interventions", { interventions: sliders, _after: { ...after, asked: sliders } }),
    answeredCase("computing", {
      interventions: [sliders[1]],
      ...status("running", { what: "changing neurons" }),
    }),
    answeredCase("layer tab", {
      view: { tab: "layer", layer: 3, sort: "index", color: "activation", range: "text" },
    }),
    answeredCase("ranked tab", {
      view: { tab: "ranked", layer: 3, sort: "index", color: "activation", range: "text" },
    }),
    answeredCase("effects", {
      view: { tab: "model", layer: 3, sort: "effect", color: "effect", range: "text" },
    }),
    answeredCase("comparing", {
      _cards: cards,
      pinned_neurons: [other],
      view: { tab: "model", layer: 3, sort: "index", color: "activation", range: "text", compare: other },
    }),
    answeredCase(
      "language model",
      {},
      { kind: "causal_lm", pieces: ["The", " capital", " of", " France", " is"], layers: 30 },
    ),
    answeredCase("30 layers", {}, { layers: 30, pieces: words(15) }),
    answeredCase("500 tokens", {}, { pieces: words(500) }),
    explorer("10 neurons", { layers: 1, width: 10, pieces: ["[CLS]", "Good", " film", ".", "[SEP]"] }),
    answeredCase("hebrew", {}, { pieces: ["[CLS]", "הסרט", " לא", " היה", " רע", " בכלל", ".", "[SEP]"] }),
    explorer("empty", {}, { ...empty, ...status("empty") }),
    explorer(
      "first run",
      {},
      { ...empty, text: "The film", ...status("running", { what: "reading the text", done: 1, total: 4 }) },
    ),
    explorer(
      "error",
      {},
      status("error", { error: "ValueError: the text has 812 tokens, the model takes 512: shorten it" }),
    ),
    answeredCase("stale", { text: "Another text." }),
    answeredCase("static", {
      _live: false,
      interventions: [{ kind: "set", neuron: NOT, value: 2.2 }],
      _after: null,
    }),
    explorer("static, no card", {}, { _live: false, selected_neuron: "L2.mlp[40]" }),
    explorer(
      "no head, no corpus",
      {},
      {
        _before: null,
        _attribution: null,
        _effects: null,
        _spread: null,
        selected_neuron: NOT,
        _cards: {
          [NOT]: {
            ...made[NOT],
            corpus: null,
            examples: [],
            effect: null,
            held_out: null,
            dose: null,
            off: null,
            toward: [],
            missing: {
              corpus: "give corpus= to see where its values stand",
              examples: "give corpus= to see examples",
              effect: "this model has no head: pass target='L5.mlp[3]' or a callable",
            },
          },
        },
      },
    ),
    explorer("buffers lost", {}, { _activations: { data: null, dtype: "float16", shape: [6, 12, 1536] } }),
    panel("classes", { _before: two._before, _after: two._after }),
    panel("next tokens", { _before: lm._before, _after: lm._after }),
    panel("before only", { _before: two._before, _after: null }),
  ];
}
