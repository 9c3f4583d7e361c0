// Two predictions side by side: the model as it is, and with interventions.
import { h, replace } from "../lib/dom";
import type { Prediction } from "../lib/payload";
import { type BaseState, given } from "../lib/snapshot";
import { stateBox } from "../lib/state-box";
import { defineWidget } from "../lib/widget";
import { predictionBars } from "../views/prediction-bars";

export interface EffectPanelState extends BaseState {
  _before: Prediction | null;
  _after: Prediction | null;
}

const SHOWN = 10;

export default defineWidget<EffectPanelState>("effect-panel", ({ root, binding, onDispose }) => {
  const title = h("p", { class: "nw-effect-title" });
  const notes = h("ul", { class: "nw-notes" });
  root.append(title);
  const box = stateBox(root);
  const bars = predictionBars(box.body);
  root.append(notes);

  function draw() {
    const before = given(binding.get("_before"));
    const after = given(binding.get("_after"));
    const made = after?.interventions ?? [];
    const error = binding.get("last_error");
    box.update(error ? { state: "error", error } : binding.get("_status"), "No prediction yet.");
    replace(
      title,
      ...(made.length
        ? ["After ", ...made.flatMap((one, i) => [i ? ", " : "", h("b", null, h("bdi", null, one))])]
        : [after ? "After, with no intervention" : "The model as it is"]),
    );
    bars.update({ before, after, shown: SHOWN, note: after ? "change = F(after) − F(before)" : "" });
    replace(notes, ...(binding.get("_notes") ?? []).map((note) => h("li", null, note)));
  }

  binding.on(["_before", "_after", "_status", "_notes", "last_error"], draw);
  onDispose(() => {
    bars.destroy();
    box.destroy();
  });
  draw();
});
