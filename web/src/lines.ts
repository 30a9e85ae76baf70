// One head as lines: on the left who looks, on the right who is looked at, a line as strong as the weight. Of a long
// input, a window around the token that is held.

import type { App } from "./app";
import { h, paint, put, s } from "./dom";
import { HeadMap } from "./maps";
import type { Attention, Look } from "./source";
import { t } from "./words";

const WINDOW = 160;
const PITCH = 22;
const GAP = 260;
const FAINTEST = 0.012;

export class LinesView {
  readonly element = h("div", { class: "lines" });
  private map: HeadMap | undefined;
  private look: Look | undefined;
  private waiting = false;

  constructor(private app: App) {
    app.pointer.hear(() => this.light());
  }

  show(look: Look, attention: Attention, head: number): void {
    this.look = look;
    if (this.map?.key !== look.key || this.map.attention !== attention || this.map.head !== head) {
      this.map?.stop();
      this.map = new HeadMap(this.app.source, look.key, attention, head, () => this.later(), this.app.failed);
    }
    this.build();
  }

  private later(): void {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.build();
    });
  }

  private build(): void {
    const { map, look } = this;
    if (!map || !look) return;
    const { attention } = map;
    const rows = span(attention.rows, this.app.state.query);
    const columns = span(attention.columns, this.app.state.key >= 0 ? this.app.state.key : Math.round((this.app.state.query * attention.columns) / Math.max(1, attention.rows)));
    const height = Math.max(rows.count, columns.count) * PITCH;
    const drawing = s("svg", { class: "web", width: GAP, height, "aria-hidden": "true" });
    for (let row = rows.first; row < rows.first + rows.count; row++)
      for (let column = columns.first; column < columns.first + columns.count; column++) {
        const weight = map.weight(row, column);
        if (!(weight >= FAINTEST)) continue;
        const [from, to] = [(row - rows.first + 0.5) * PITCH, (column - columns.first + 0.5) * PITCH];
        const line = s("path", { d: `M0 ${from} C${GAP * 0.4} ${from} ${GAP * 0.6} ${to} ${GAP} ${to}`, "data-query": row, "data-key": column, "stroke-width": (0.6 + 3.4 * weight).toFixed(2) });
        paint(line, "--weight", weight.toFixed(3));
        drawing.append(line);
      }
    const list = (side: "query" | "key", labels: string[], range: { first: number; count: number }): HTMLElement =>
      h("ol", { class: side }, ...labels.slice(range.first, range.first + range.count).map((label, place) => this.token(side, label, range.first + place)));
    const few = rows.count < attention.rows ? { a: rows.count, n: attention.rows } : { a: columns.count, n: attention.columns };
    put(
      this.element,
      few.a < few.n && h("p", { class: "hint" }, t("truncated", few)),
      h("div", { class: "sides" }, list("query", look.sides[attention.queries] ?? [], rows), drawing, list("key", look.sides[attention.keys] ?? [], columns)),
    );
    this.light();
  }

  private token(side: "query" | "key", label: string, place: number): HTMLElement {
    const point = (): void => this.app.pointer.at(side === "query" ? place : -1, side === "key" ? place : -1);
    return h(
      "li",
      {
        tabindex: 0,
        [`data-${side}`]: place,
        pointerenter: point,
        focus: point,
        pointerleave: () => this.app.pointer.at(-1, -1),
        blur: () => this.app.pointer.at(-1, -1),
        click: () => this.app.store.set(side === "query" ? { query: place, key: -1 } : { key: place, query: -1 }),
      },
      h("bdi", {}, label),
    );
  }

  /** Lines of what is pointed at, or held, stay; the others fade. */
  private light(): void {
    const { pointer, state } = this.app;
    const pointed = pointer.query >= 0 || pointer.key >= 0;
    const [query, key] = pointed ? [pointer.query, pointer.key] : [state.query, state.key];
    const any = query >= 0 || key >= 0;
    this.element.classList.toggle("pointed", any);
    for (const line of this.element.querySelectorAll<SVGPathElement>("path")) {
      const looks = Number(line.dataset["query"]) === query;
      const seen = Number(line.dataset["key"]) === key;
      line.classList.toggle("looks", looks && (key < 0 || seen || pointed));
      line.classList.toggle("seen", seen && query < 0);
    }
    for (const token of this.element.querySelectorAll<HTMLElement>("li"))
      token.classList.toggle("held", any && (Number(token.dataset["query"] ?? -2) === query || Number(token.dataset["key"] ?? -2) === key));
  }
}

function span(count: number, around: number): { first: number; count: number } {
  const first = Math.max(0, Math.min(count - WINDOW, around - WINDOW / 2));
  return { first, count: Math.min(count, WINDOW) };
}
