// One query of one head, step by step: score, scale, bias, mask, softmax, weighted values, output matrix, with the
// numbers of this very run. Every step says in one sentence, with an example, what it does.

import type { App } from "./app";
import { signed } from "./colours";
import { h, paint, put } from "./dom";
import type { Block, Frame } from "./frames";
import type { Attention, Look, StepFacts } from "./source";
import { digits, t, type Word } from "./words";

const STAGES: Word[] = ["stage1", "stage2", "stage3", "stage4", "stage5", "stage6", "stage7"];
const SAMPLE = 3;

interface Way {
  facts: StepFacts;
  keys: ArrayLike<number>;
  q: ArrayLike<number>;
  k: Block;
  raw: ArrayLike<number>;
  scaled: ArrayLike<number>;
  bias: ArrayLike<number>;
  visible: ArrayLike<number>;
  weights: ArrayLike<number>;
  v: Block;
  z: ArrayLike<number>;
  added: ArrayLike<number>;
}

export class StepsView {
  readonly element = h("div", { class: "steps" });
  private turn = 0;
  private way: { name: string; found: Way } | undefined;

  constructor(private app: App) {}

  show(look: Look, attention: Attention, head: number): void {
    void this.load(look, attention, Math.max(0, head)).catch(this.app.failed);
  }

  private async load(look: Look, attention: Attention, head: number): Promise<void> {
    const turn = ++this.turn;
    const query = Math.min(attention.rows - 1, Math.max(0, this.app.state.query));
    const name = `${look.key}/${attention.name}/${head}/${query}`;
    if (this.way?.name !== name) {
      const found = wayOf(await this.app.source.steps(look.key, attention.name, head, query));
      if (turn !== this.turn) return;
      this.way = { name, found };
    }
    this.build(look, attention, query, this.way.found);
  }

  private build(look: Look, attention: Attention, query: number, way: Way): void {
    const focused = document.activeElement instanceof HTMLElement && this.element.contains(document.activeElement) ? document.activeElement.dataset["control"] : undefined;
    const stage = Math.min(STAGES.length, Math.max(1, this.app.state.step));
    const queries = look.sides[attention.queries] ?? [];
    const labels = look.sides[attention.keys] ?? [];
    const best = argmax(way.weights);
    const example = { q: queries[query] ?? "", k: labels[way.keys[best] ?? 0] ?? "" };
    put(
      this.element,
      this.controls(queries, query, stage),
      h("p", { class: "say", "aria-live": "polite" }, sentence(stage, way, best, example)),
      h("div", { class: "vector" }, h("span", { class: "name" }, attention.queries === "target" ? t("queryWriting", example) : `q “${example.q}”`), strip(way.q)),
      way.keys.length < way.facts.count && h("p", { class: "hint" }, t("onlyLargest", { a: way.keys.length, n: way.facts.count })),
      h("div", { class: "scroll" }, this.rows(labels, way, stage, best)),
      stage >= 6 && h("div", { class: "vector sum" }, h("span", { class: "name" }, "z = Σ weight · v"), strip(way.z)),
      stage >= 7 && h("div", { class: "vector sum" }, h("span", { class: "name" }, "z W_o"), strip(way.added)),
    );
    if (focused) this.element.querySelector<HTMLElement>(`[data-control="${focused}"]`)?.focus();
  }

  private controls(queries: string[], query: number, stage: number): HTMLElement {
    const go = (step: number) => (): void => this.app.store.set({ step, query });
    const choice = h(
      "select",
      { "data-control": "query", "aria-label": t("chooseQuery"), change: (event: Event) => this.app.store.set({ query: Number((event.target as HTMLSelectElement).value) }) },
      ...queries.map((label, place) => h("option", { value: place, selected: place === query }, `${place + 1}  ${label}`)),
    );
    return h(
      "div",
      { class: "controls" },
      h("label", {}, `${t("chooseQuery")} `, choice),
      h("div", { class: "stages", role: "group", "aria-label": t("steps") }, ...STAGES.map((name, place) => h("button", { type: "button", "data-control": `stage${place + 1}`, "aria-pressed": String(place + 1 === stage), class: place + 1 <= stage ? "done" : "", click: go(place + 1) }, h("b", {}, place + 1), ` ${t(name)}`))),
      h("span", { class: "turns" }, h("button", { type: "button", "data-control": "back", disabled: stage === 1, click: go(stage - 1) }, `‹ ${t("back")}`), h("button", { type: "button", "data-control": "next", disabled: stage === STAGES.length, click: go(stage + 1) }, `${t("next")} ›`)),
    );
  }

  private rows(labels: string[], way: Way, stage: number, best: number): HTMLElement {
    const biased = Array.from(way.bias).some((value) => value !== 0);
    const hidden = Array.from(way.visible).some((value) => !value);
    const columns: [string, boolean, string?][] = [
      [t("keys"), true, ""],
      ["k", true, ""],
      [way.facts.score.includes("dot") ? "q · k" : way.facts.score, true],
      [`· ${digits(way.facts.scale)}`, stage >= 2],
      ["+ bias", stage >= 3 && biased],
      [t("stage4"), stage >= 4 && hidden],
      [way.facts.normalizer, stage >= 5],
      ["v", stage >= 6, ""],
    ];
    const body = Array.from(way.keys, (key, row) => {
      const seen = Boolean(way.visible[row]);
      const after = (way.scaled[row] ?? 0) + (way.bias[row] ?? 0);
      const weight = way.weights[row] ?? 0;
      const bar = h("span", { class: "weight" });
      paint(bar, "--share", `${100 * Math.min(1, weight)}%`);
      const cells: HTMLElement[] = [
        h("th", { scope: "row" }, h("bdi", {}, labels[key] ?? "")),
        h("td", {}, strip(part(way.k, row), 96)),
        h("td", { class: "number" }, digits(way.raw[row] ?? 0)),
        h("td", { class: "number" }, digits(way.scaled[row] ?? 0)),
        h("td", { class: "number" }, digits(after)),
        h("td", { class: "number" }, seen ? digits(after) : "−∞"),
        h("td", { class: "number share" }, bar, h("span", {}, digits(weight))),
        h("td", {}, strip(part(way.v, row), 96)),
      ];
      return h("tr", { class: `${row === best ? "best" : ""} ${seen || stage < 4 ? "" : "hidden-key"}`.trim() }, ...cells.filter((_, place) => columns[place]?.[1]));
    });
    const total = h("tr", { class: "total" }, h("th", { scope: "row", colspan: columns.slice(0, 6).filter(([, there]) => there).length }, t("sumOfWeights")), h("td", { class: "number" }, digits(sum(way.weights))));
    return h("table", {}, h("thead", {}, h("tr", {}, ...columns.filter(([, there]) => there).map(([name, , kind = "number"]) => h("th", { scope: "col", class: kind }, name)))), h("tbody", {}, ...body), h("tfoot", {}, stage >= 5 && total));
  }
}

/** A vector as a strip of cells, each number in the tip of its cell. */
function strip(values: ArrayLike<number>, width = 320): HTMLElement {
  const most = Array.from(values).reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) || 1;
  const element = h("span", { class: "numbers", role: "img", "aria-label": Array.from(values).slice(0, 16).map((value) => digits(value)).join(", ") });
  paint(element, "--width", `${Math.min(width, Math.max(values.length * 3, 48))}px`);
  for (let place = 0; place < values.length; place++) {
    const cell = h("i", { title: `${place + 1}: ${digits(values[place] ?? 0, 4)}` });
    paint(cell, "background", signed((values[place] ?? 0) / most));
    element.append(cell);
  }
  return element;
}

function sentence(stage: number, way: Way, best: number, example: { q: string; k: string }): string {
  const { facts } = way;
  const raw = digits(way.raw[best] ?? 0);
  const scaled = way.scaled[best] ?? 0;
  const bias = way.bias[best] ?? 0;
  const hidden = Array.from(way.visible).filter((seen) => !seen).length;
  const product = Array.from({ length: Math.min(SAMPLE, way.q.length) }, (_, place) => `${digits(way.q[place] ?? 0, 2)} · ${digits(part(way.k, best)[place] ?? 0, 2)}`).join(" + ");
  switch (stage) {
    case 1:
      return facts.score.includes("dot") ? t("say1", { ...example, sum: `${product}${way.q.length > SAMPLE ? " + …" : ""}`, raw }) : t("say1other", { ...example, score: facts.score, raw });
    case 2:
      return facts.scale === 1 ? t("say2none", { scale: 1 }) : t("say2", { d: way.q.length, root: digits(1 / facts.scale), raw, scale: digits(facts.scale), scaled: digits(scaled) });
    case 3:
      return Array.from(way.bias).some((value) => value !== 0) ? t("say3", { ...example, scaled: digits(scaled), bias: digits(bias), sum: digits(scaled + bias) }) : t("say3none");
    case 4:
      return t(hidden ? "say4" : "say4none", { n: hidden, all: facts.count });
    case 5:
      return t(facts.normalizer === "softmax" ? "say5" : "say5other", { ...example, name: facts.normalizer, w: digits(way.weights[best] ?? 0) });
    case 6:
      return t("say6", { m: way.z.length });
    default:
      return t("say7", { n: way.added.length, norm: digits(Math.hypot(...Array.from(way.added))) });
  }
}

function wayOf(frame: Frame<StepFacts>): Way {
  const values = (name: string): ArrayLike<number> => frame.arrays[name]?.values ?? [];
  const block = (name: string): Block => frame.arrays[name] ?? { shape: [0, 0], values: new Float32Array() };
  return {
    facts: frame.facts,
    keys: values("keys"),
    q: values("q"),
    k: block("k"),
    raw: values("raw"),
    scaled: values("scaled"),
    bias: values("bias"),
    visible: values("visible"),
    weights: values("weights"),
    v: block("v"),
    z: values("z"),
    added: values("added"),
  };
}

function part(block: Block, row: number): ArrayLike<number> {
  const width = block.shape[1] ?? 0;
  return block.values.subarray(row * width, (row + 1) * width);
}

function argmax(values: ArrayLike<number>): number {
  let best = 0;
  for (let place = 1; place < values.length; place++) if ((values[place] ?? 0) > (values[best] ?? 0)) best = place;
  return best;
}

function sum(values: ArrayLike<number>): number {
  return Array.from(values).reduce((total, value) => total + value, 0);
}
