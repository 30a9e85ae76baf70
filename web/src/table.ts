// Every head as a row of numbers, measured on the text looked at; sorted by any column, and a way to each head.

import type { App } from "./app";
import { h, paint, put } from "./dom";
import type { Look, Measure } from "./source";
import { digits, t, type Word } from "./words";

const COLUMNS: [string, Word, Word][] = [
  ["entropy", "entropy", "entropyHint"],
  ["distance", "distance", "distanceHint"],
  ["largest", "largest", "largestHint"],
  ["diagonal", "same_", "sameHint"],
  ["previous", "previous", "previousHint"],
  ["next", "next_", "nextHint"],
  ["first", "first", "firstHint"],
];

export class TableView {
  readonly element = h("div", { class: "table" });
  private by = "";
  private down = true;
  private turn = 0;

  constructor(private app: App) {}

  show(look: Look): void {
    const turn = ++this.turn;
    this.app.source
      .measures(look.key)
      .then((rows) => turn === this.turn && this.build(rows))
      .catch(this.app.failed);
  }

  private build(rows: Measure[]): void {
    const columns = COLUMNS.filter(([name]) => rows.some((row) => typeof row.values[name] === "number"));
    const sorted = this.by ? [...rows].sort((a, b) => this.order(a, b)) : rows;
    const most = new Map(columns.map(([name]) => [name, Math.max(1e-9, ...rows.map((row) => Math.abs(row.values[name] ?? 0)))]));
    const sort = (name: string) => (): void => {
      this.down = this.by === name ? !this.down : true;
      this.by = name;
      this.build(rows);
    };
    put(
      this.element,
      h("p", { class: "hint" }, t("tableHint")),
      h(
        "div",
        { class: "scroll" },
        h(
          "table",
          {},
          h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("attention")), h("th", { scope: "col" }, t("headShort")), ...columns.map(([name, word, hint]) => h("th", { scope: "col", title: t(hint), "aria-sort": this.by === name ? (this.down ? "descending" : "ascending") : "none" }, h("button", { type: "button", class: "plain", "data-control": name, click: sort(name) }, t(word), this.by === name ? (this.down ? " ↓" : " ↑") : ""))))),
          h("tbody", {}, ...sorted.map((row) => this.row(row, columns.map(([name]) => name), most))),
        ),
      ),
    );
  }

  private row(row: Measure, names: string[], most: Map<string, number>): HTMLElement {
    const open = (): void => this.app.store.set({ view: "look", attention: row.attention, head: row.head, query: -1, key: -1 }, { step: true });
    const cell = (name: string): HTMLElement => {
      const value = row.values[name];
      const bar = h("span", { class: "bar" });
      paint(bar, "--share", `${(100 * Math.abs(value ?? 0)) / (most.get(name) ?? 1)}%`);
      return h("td", { class: "number" }, typeof value === "number" ? digits(value) : "–", bar);
    };
    return h("tr", { "data-attention": row.attention, "data-head": row.head, click: open }, h("th", { scope: "row" }, h("button", { type: "button", class: "plain", click: open }, row.attention)), h("td", { class: "number" }, row.head), ...names.map(cell));
  }

  private order(a: Measure, b: Measure): number {
    const [x, y] = [a.values[this.by] ?? -Infinity, b.values[this.by] ?? -Infinity];
    return this.down ? y - x : x - y;
  }
}
