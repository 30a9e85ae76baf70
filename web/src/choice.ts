// A choice of attention and head as two lists, for views without the grid of all heads.

import type { App } from "./app";
import { h } from "./dom";
import type { Attention, Look } from "./source";
import { t } from "./words";

export function toggleChoice(app: App, look: Look, attention: Attention, head: number): HTMLElement {
  const heads = [-1, ...Array.from({ length: attention.heads }, (_, number) => number)];
  const value = (event: Event): string => (event.target as HTMLSelectElement).value;
  return h(
    "div",
    { class: "line" },
    h("label", {}, `${t("attention")} `, h("select", { "data-control": "attention", change: (event: Event) => app.store.set({ attention: value(event) }) }, ...look.attentions.map((each) => h("option", { value: each.name, selected: each === attention }, each.name)))),
    h("label", {}, `${t("headShort")} `, h("select", { "data-control": "head", change: (event: Event) => app.store.set({ attention: attention.name, head: Number(value(event)) }) }, ...heads.map((number) => h("option", { value: number, selected: number === head }, number < 0 ? t("mean") : String(number))))),
  );
}
