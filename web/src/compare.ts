// Two answers side by side: two texts, or one text in two models, and the same head over both.

import type { App } from "./app";
import { chosen, chosenHead } from "./app";
import { h, put } from "./dom";
import { toggleChoice } from "./choice";
import { MapView } from "./map";
import type { Attention, Look } from "./source";
import { Strip } from "./strip";
import { t } from "./words";

interface Half {
  strip: Strip;
  map: MapView;
  element: HTMLElement;
  title: HTMLElement;
}

export class CompareView {
  readonly element = h("div", { class: "compare" });
  private form = h("form", { class: "line second", submit: (event: Event) => this.submit(event) });
  private choice = h("div", { class: "choice" });
  private halves: [Half, Half];

  constructor(private app: App) {
    this.halves = [this.half(), this.half()];
    put(this.element, h("p", { class: "hint" }, t("compareHint")), this.form, this.choice, h("div", { class: "halves" }, this.halves[0].element, this.halves[1].element), h("p", { class: "hint" }, t("differs")));
  }

  private half(): Half {
    const [strip, map, title] = [new Strip(this.app), new MapView(this.app), h("h2", {})];
    return { strip, map, title, element: h("section", { class: "half" }, title, strip.element, map.element) };
  }

  show(first: Look, second: Look | undefined): void {
    this.fillForm();
    const attention = chosen(first, this.app.state);
    const head = chosenHead(attention, this.app.state);
    put(this.choice, toggleChoice(this.app, first, attention, head));
    this.fill(this.halves[0], first, attention, head, second);
    this.halves[1].element.hidden = !second;
    if (second) this.fill(this.halves[1], second, second.attentions.find((each) => each.name === attention.name), head, first);
  }

  private fill(half: Half, look: Look, attention: Attention | undefined, head: number, other: Look | undefined): void {
    put(half.title, h("bdi", {}, look.text), this.app.models.length > 1 && h("small", {}, look.model));
    half.strip.show(look, other);
    const there = attention && head < attention.heads;
    half.map.element.hidden = !there;
    if (there) half.map.show(look, attention, head);
  }

  private fillForm(): void {
    if (this.form.contains(document.activeElement)) return;
    const { state, models } = { state: this.app.state, models: this.app.models };
    const input = h("input", { type: "text", id: "text2", "data-control": "text2", placeholder: t("second"), "aria-label": t("second"), autocomplete: "off" });
    input.value = state.text2;
    const choice = models.length > 1 && h("select", { "aria-label": t("secondModel"), "data-control": "model2", change: (event: Event) => this.app.store.set({ model2: (event.target as HTMLSelectElement).value }, { step: true }) }, h("option", { value: "" }, t("same")), ...models.map((model) => h("option", { value: model.name, selected: model.name === state.model2 }, model.name)));
    put(this.form, input, choice, h("button", { type: "submit", class: "go" }, t("compare")));
  }

  private submit(event: Event): void {
    event.preventDefault();
    this.app.store.set({ text2: this.form.querySelector("input")?.value ?? "" }, { step: true });
  }
}
