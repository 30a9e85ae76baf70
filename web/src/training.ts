// How the model came about: its curves, and where the run recorded them, its heads at each validation.

import type { App } from "./app";
import { h, paint, put, s } from "./dom";
import { Playback } from "./playback";
import type { Model, Series } from "./source";
import { digits, t, type Word } from "./words";

interface Line {
  label: string;
  series: Series;
}

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT] = [520, 240, 54, 30, 12, 12];

export class TrainingView {
  readonly element = h("div", { class: "training" });
  private turn = 0;
  private drawn = "";
  private playback: Playback | undefined;

  constructor(private app: App) {}

  show(model: Model | undefined): void {
    if (!model) return;
    if (this.drawn === model.name) {
      this.playback?.show();
      return;
    }
    const turn = ++this.turn;
    this.app.source
      .history(model.name)
      .then((series) => {
        if (turn !== this.turn) return;
        this.drawn = model.name;
        this.playback = new Playback(this.app, model);
        this.build(series);
      })
      .catch(this.app.failed);
  }

  private build(all: Series[]): void {
    if (!all.length) {
      put(this.element, h("p", { class: "hint" }, t("noTraining")));
      return;
    }
    const named = (name: string): Series | undefined => all.find((series) => series.name === name);
    const lines = (...pairs: [string, string][]): Line[] => pairs.flatMap(([name, label]) => (named(name) ? [{ label, series: named(name) as Series }] : []));
    const scores = all.filter((series) => series.name.startsWith("score.")).map((series) => ({ label: series.name.slice(6).replace(/_/g, " "), series }));
    const charts: [Word, Line[]][] = [
      ["loss", lines(["training.nll", t("trainingLoss")], ["validation.loss", t("validationLoss")])],
      ["scores", scores],
      ["rate", lines(["training.learning_rate", t("rate")])],
      ["norm", lines(["training.gradient_norm", t("norm")])],
      ["speed", lines(["training.tokens_per_second", t("speed")])],
    ];
    put(this.element, h("div", { class: "charts" }, ...charts.filter(([, found]) => found.length).map(([title, found]) => chart(t(title), found))), this.playback?.element);
  }
}

/** Lines over updates in one frame; pointing at it tells the values there. */
function chart(title: string, lines: Line[]): HTMLElement {
  const updates = lines.flatMap((line) => line.series.updates);
  const values = lines.flatMap((line) => line.series.values.filter((value): value is number => value !== null));
  const [low, high] = [Math.min(...values, 0), Math.max(...values, 1e-12)];
  const last = Math.max(...updates, 1);
  const x = (update: number): number => LEFT + (update / last) * (WIDTH - LEFT - RIGHT);
  const y = (value: number): number => HEIGHT - BOTTOM - ((value - low) / (high - low || 1)) * (HEIGHT - BOTTOM - TOP);
  const told = h("output", { class: "readout" });
  const drawing = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}: ${lines.map((line) => `${line.label} ${digits(lastOf(line.series))}`).join(", ")}` });
  for (const value of ticks(low, high)) {
    drawing.append(s("line", { class: "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }), s("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, digits(value)));
  }
  for (const update of ticks(0, last)) drawing.append(s("text", { x: x(update), y: HEIGHT - 10, "text-anchor": "middle" }, update.toLocaleString("en")));
  lines.forEach((line, place) => {
    const points = line.series.updates.flatMap((update, index) => (line.series.values[index] === null ? [] : [`${x(update).toFixed(1)},${y(line.series.values[index] ?? 0).toFixed(1)}`]));
    const path = points.length > 1 ? s("polyline", { class: "curve", points: points.join(" ") }) : s("circle", { class: "curve", cx: points[0]?.split(",")[0], cy: points[0]?.split(",")[1], r: 3 });
    paint(path, "--hue", `var(--line-${place % 6})`);
    drawing.append(path);
  });
  const cursor = s("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, x1: -9, x2: -9 });
  drawing.append(cursor);
  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    const update = Math.max(0, (((event.clientX - box.left) * WIDTH) / box.width - LEFT) / (WIDTH - LEFT - RIGHT)) * last;
    cursor.setAttribute("x1", String(x(Math.min(last, update))));
    cursor.setAttribute("x2", String(x(Math.min(last, update))));
    put(told, `${Math.round(Math.min(last, update)).toLocaleString("en")}: ${lines.map((line) => `${line.label} ${digits(near(line.series, update))}`).join(" · ")}`);
  });
  const legend = lines.map((line, place) => {
    const mark = h("i", {});
    paint(mark, "--hue", `var(--line-${place % 6})`);
    return h("li", {}, mark, line.label, " ", h("b", {}, digits(lastOf(line.series))));
  });
  return h("figure", { class: "chart", "data-name": lines[0]?.series.name }, h("figcaption", {}, title), drawing, h("ul", { class: "legend" }, ...legend), told);
}

function near(series: Series, update: number): number {
  let best = 0;
  series.updates.forEach((each, place) => {
    if (Math.abs(each - update) < Math.abs((series.updates[best] ?? 0) - update)) best = place;
  });
  return series.values[best] ?? NaN;
}

function lastOf(series: Series): number {
  return [...series.values].reverse().find((value) => value !== null) ?? NaN;
}

function ticks(low: number, high: number): number[] {
  const rough = (high - low) / 4 || 1;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((each) => each * size >= rough) ?? 10) * size;
  const found: number[] = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) found.push(Math.abs(value) < step * 1e-9 ? 0 : value);
  return found;
}
