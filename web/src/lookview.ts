// The first view: the answer token by token, all heads as small maps, and the chosen head large: as a map, as lines,
// or step by step. With heads switched off, the answer with all of them stands beside it.

import type { App } from "./app";
import { chosen, chosenHead } from "./app";
import { h, put } from "./dom";
import { Grid, toggle } from "./grid";
import { LinesView } from "./lines";
import { MapView } from "./map";
import type { Attention, Look } from "./source";
import type { Panel } from "./state";
import { StepsView } from "./steps";
import { Strip } from "./strip";
import { t, type Word } from "./words";

const PANELS: Panel[] = ["map", "lines", "steps"];

export class LookView {
  readonly element = h("div", { class: "look" });
  private strip: Strip;
  private before: Strip;
  private grid: Grid;
  private panels: { map: MapView; lines: LinesView; steps: StepsView };
  private answer = h("section", { class: "answer", "aria-live": "polite" });
  private title = h("header", { class: "title" });
  private body = h("div", { class: "body" });

  constructor(private app: App) {
    this.strip = new Strip(app);
    this.before = new Strip(app);
    this.grid = new Grid(app);
    this.panels = { map: new MapView(app), lines: new LinesView(app), steps: new StepsView(app) };
    put(this.element, this.answer, h("div", { class: "split" }, this.grid.element, h("section", { class: "panel" }, this.title, this.body)));
  }

  show(look: Look, intact: Look | undefined): void {
    const { state } = this.app;
    const attention = chosen(look, state);
    const head = chosenHead(attention, state);
    const silenced = Object.values(state.off).reduce((count, heads) => count + heads.length, 0);
    this.strip.show(look, intact);
    if (intact) this.before.show(intact);
    put(
      this.answer,
      intact && h("div", { class: "version intact" }, h("h2", {}, t("intact")), this.before.element),
      h(
        "div",
        { class: "version" },
        intact && h("h2", {}, t(silenced === 1 ? "withoutOne" : "withoutHeads", { n: silenced }), h("button", { type: "button", class: "plain", click: () => this.app.store.set({ off: {} }, { step: true }) }, t("switchOnAll"))),
        this.strip.element,
      ),
      h("p", { class: "hint" }, t("hoverHint")),
    );
    this.grid.show(look);
    this.head(attention, head);
    const panel = this.panels[state.panel];
    if (this.body.firstChild !== panel.element) put(this.body, panel.element);
    panel.show(look, attention, head);
  }

  private head(attention: Attention, head: number): void {
    const { state, store, source } = this.app;
    const off = head >= 0 && (state.off[attention.name]?.includes(head) ?? false);
    const focused = this.title.contains(document.activeElement) ? (document.activeElement as HTMLElement).dataset["control"] : undefined;
    put(
      this.title,
      h("h2", {}, attention.name, h("small", {}, head < 0 ? t("mean") : t("head", { n: head }))),
      h(
        "div",
        { class: "tabs", role: "group" },
        ...PANELS.filter((panel) => panel !== "steps" || source.live).map((panel) => h("button", { type: "button", "data-control": panel, "aria-pressed": String(state.panel === panel), click: () => store.set({ panel }) }, t(panel as Word))),
      ),
      h("span", { class: "tools" },
        h("button", { type: "button", "data-control": "mean", "aria-pressed": String(head < 0), disabled: !source.live, click: () => store.set({ head: head < 0 ? 0 : -1, attention: attention.name }) }, t("meanShort")),
        state.panel === "map" && h("button", { type: "button", "data-control": "root", "aria-pressed": String(state.root), click: () => store.set({ root: !state.root }) }, t("contrast")),
        source.live && head >= 0 && h("button", { type: "button", "data-control": "off", class: off ? "warn" : "", "aria-pressed": String(off), click: () => toggle(this.app, attention.name, head) }, t(off ? "switchOn" : "switchOff"))),
    );
    if (focused) this.title.querySelector<HTMLElement>(`[data-control="${focused}"]`)?.focus();
  }
}
