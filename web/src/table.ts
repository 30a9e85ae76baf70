// Every head as a row of numbers: measured on the text looked at, and what it is worth on held-out data where that is
// known; sorted by any column, and a way to each head.

import type { App } from "./app";
import { h, paint, put } from "./dom";
import type { Interval, Look, Measure, Weighed, Worths } from "./source";
import { digits, t, type Word } from "./words";

const MEASURES: [string, Word, Word][] = [
  ["entropy", "entropy", "entropyHint"],
  ["distance", "distance", "distanceHint"],
  ["largest", "largest", "largestHint"],
  ["diagonal", "same_", "sameHint"],
  ["previous", "previous", "previousHint"],
  ["next", "next_", "nextHint"],
  ["first", "first", "firstHint"],
];

/** A column: `name` in a row's values, what stands above it, and what that means. */
interface Column {
  name: string;
  title: string;
  hint: string;
}

/** A head's numbers, those of its worth among them. */
interface Row extends Measure {
  difference?: Interval;
}

export class TableView {
  readonly element = h("div", { class: "table" });
  private by = "";
  private down = true;
  private turn = 0;

  constructor(private app: App) {}

  show(look: Look): void {
    const turn = ++this.turn;
    const { source, failed } = this.app;
    const unknown = (error: unknown): Worths => {
      failed(error);
      return { heads: [] };
    };
    Promise.all([source.measures(look.key), source.worths(look.model).catch(unknown)])
      .then(([rows, worths]) => turn === this.turn && this.build(joined(rows, worths), worths))
      .catch(failed);
  }

  private build(rows: Row[], worths: Worths): void {
    const has = (name: string): boolean => rows.some((row) => typeof row.values[name] === "number");
    const columns = [...MEASURES.map(([name, word, hint]) => ({ name, title: t(word), hint: t(hint) })), ...worthColumns(worths)].filter(({ name }) => has(name));
    const sorted = has(this.by) ? [...rows].sort((a, b) => this.order(a, b)) : rows;
    const most = new Map(columns.map(({ name }) => [name, Math.max(1e-9, ...rows.map((row) => Math.abs(row.values[name] ?? 0)))]));
    const sort = (name: string) => (): void => {
      this.down = this.by === name ? !this.down : true;
      this.by = name;
      this.build(rows, worths);
    };
    put(
      this.element,
      h("p", { class: "hint" }, t("tableHint")),
      h("p", { class: "hint worth" }, known(worths) ? told(worths) : t("noWorth")),
      h(
        "div",
        { class: "scroll" },
        h(
          "table",
          {},
          h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("attention")), h("th", { scope: "col" }, t("headShort")), ...columns.map((column) => this.heading(column, sort(column.name))))),
          h("tbody", {}, ...sorted.map((row) => this.row(row, columns, most))),
        ),
      ),
    );
  }

  private heading({ name, title, hint }: Column, click: () => void): HTMLElement {
    const sorted = this.by !== name ? "none" : this.down ? "descending" : "ascending";
    const arrow = { none: "", descending: " ↓", ascending: " ↑" }[sorted];
    return h("th", { scope: "col", title: hint, "aria-sort": sorted }, h("button", { type: "button", class: "plain", "data-control": name, click }, title, arrow));
  }

  private row(row: Row, columns: Column[], most: Map<string, number>): HTMLElement {
    const open = (): void => this.app.store.set({ view: "look", attention: row.attention, head: row.head, query: -1, key: -1 }, { step: true });
    const cell = ({ name }: Column): HTMLElement => {
      const value = row.values[name];
      const bar = h("span", { class: "bar" });
      paint(bar, "--share", `${(100 * Math.abs(value ?? 0)) / (most.get(name) ?? 1)}%`);
      const kind = name === "difference" && row.difference && holdsNothing(row.difference) ? "number unsure" : "number";
      return h("td", { class: kind, "data-name": name }, text(row, name), bar);
    };
    return h("tr", { "data-attention": row.attention, "data-head": row.head, click: open }, h("th", { scope: "row" }, h("button", { type: "button", class: "plain", click: open }, row.attention)), h("td", { class: "number" }, row.head), ...columns.map(cell));
  }

  private order(a: Row, b: Row): number {
    const [x, y] = [a.values[this.by] ?? -Infinity, b.values[this.by] ?? -Infinity];
    return this.down ? y - x : x - y;
  }
}

function known(worths: Worths): worths is Weighed {
  return worths.heads.length > 0;
}

/** The measures of every head, and its worth beside them. */
function joined(rows: Measure[], worths: Worths): Row[] {
  const found = new Map(worths.heads.map((each) => [`${each.name} ${each.head}`, each]));
  return rows.map((row) => {
    const worth = found.get(`${row.attention} ${row.head}`);
    return worth ? { ...row, values: { ...row.values, score: worth.score, difference: worth.difference.value }, difference: worth.difference } : row;
  });
}

function worthColumns(worths: Worths): Column[] {
  if (!known(worths)) return [];
  return [
    { name: "score", title: t("worthScore", { metric: metric(worths) }), hint: t("worthScoreHint") },
    { name: "difference", title: t("worthDifference"), hint: t("worthDifferenceHint", { n: digits(100 * worths.confidence) }) },
  ];
}

/** On what the heads were weighed, and how the whole model does there. */
function told(worths: Weighed): string {
  const { count, unit, data, intact, replace } = worths;
  return t(worths.higher_is_better ? "worthUp" : "worthDown", { metric: metric(worths), n: count, unit, data, intact: around(intact, (value) => digits(value, 4)), replace: t(replace === "mean" ? "by_mean" : "by_zero") });
}

function metric(worths: Weighed): string {
  return worths.metric.replace(/_/g, " ");
}

function text(row: Row, name: string): string {
  const value = row.values[name];
  if (name === "difference" && row.difference) return around(row.difference, signed);
  return typeof value === "number" ? digits(value, name === "score" ? 4 : 3) : "–";
}

/** A value and between which two it lies: +0.12 (+0.08 … +0.16). */
function around({ value, low, high }: Interval, say: (value: number) => string): string {
  return `${say(value ?? NaN)} (${say(low ?? NaN)} … ${say(high ?? NaN)})`;
}

function signed(value: number): string {
  return value > 0 ? `+${digits(value)}` : digits(value);
}

/** Whether the interval holds 0: then the examples do not show that the head is worth anything. */
function holdsNothing({ low, high }: Interval): boolean {
  return low !== null && high !== null && low <= 0 && high >= 0;
}
