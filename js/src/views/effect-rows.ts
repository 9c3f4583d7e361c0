// What removing a neuron does: on this text and on texts that did not choose it, on one axis with zero marked.
import { h, replace } from "../lib/dom";
import { num, signed } from "../lib/format";
import type { CardEffect, HeldOut } from "../lib/payload";
import { svg } from "../lib/svg";

export interface EffectRowsProps {
  effect: CardEffect | null;
  heldOut: HeldOut | null;
  /** Words that stand in place of a missing row. */
  noEffect: string;
  noHeldOut: string;
}

export function effectRows(el: HTMLElement) {
  const box = h("div", { class: "nw-effects" });
  el.append(box);
  return {
    update({ effect, heldOut, noEffect, noHeldOut }: EffectRowsProps) {
      const values = [effect?.value, heldOut?.mean, heldOut?.low, heldOut?.high, ...(heldOut?.values ?? [])];
      const numbers = [0, ...values.filter((v) => v !== null && v !== undefined)];
      const low = Math.min(...numbers);
      const span = Math.max(...numbers) - low || 1;
      const x = (v: number) => 2 + (96 * (v - low)) / span;
      const axis = (marks: SVGElement[], label: string) =>
        svg(
          "svg",
          {
            class: "nw-effect-plot",
            viewBox: "0 0 100 20",
            preserveAspectRatio: "none",
            role: "img",
            "aria-label": label,
          },
          svg("path", { class: "nw-zero", d: `M${x(0)},0V20` }),
          ...marks,
        );
      replace(
        box,
        h("span", { class: "nw-effect-name" }, "this text"),
        effect
          ? axis(
              [svg("path", { class: "nw-point", d: `M${x(effect.value)},3V17` })],
              `effect ${signed(effect.value)}`,
            )
          : h("span", { class: "nw-missing" }, noEffect),
        effect && h("b", { class: "nw-effect-value" }, signed(effect.value)),
        h(
          "span",
          { class: "nw-effect-name" },
          heldOut ? `${heldOut.texts} held-out texts` : "held-out texts",
        ),
        heldOut
          ? axis(
              [
                ...heldOut.values
                  .slice(0, 200)
                  .map((v) => svg("path", { class: "nw-tick", d: `M${x(v)},6V14` })),
                ...(heldOut.low !== null && heldOut.high !== null
                  ? [svg("path", { class: "nw-interval", d: `M${x(heldOut.low)},10H${x(heldOut.high)}` })]
                  : []),
                svg("path", { class: "nw-point", d: `M${x(heldOut.mean)},3V17` }),
              ],
              `mean effect ${signed(heldOut.mean)}`,
            )
          : h("span", { class: "nw-missing" }, noHeldOut),
        heldOut &&
          h(
            "span",
            { class: "nw-effect-value", title: heldOut.name },
            h("b", null, signed(heldOut.mean)),
            heldOut.low !== null && heldOut.high !== null
              ? h(
                  "span",
                  { class: "nw-small nw-muted" },
                  ` [${num(heldOut.low, 2)}, ${num(heldOut.high, 2)}]`,
                )
              : h("span", { class: "nw-small nw-muted" }, " under 6 texts: no interval"),
          ),
      );
    },
    destroy() {
      box.remove();
    },
  };
}
