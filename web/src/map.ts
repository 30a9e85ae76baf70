// One head's map, large: every weight as a cell, rows look at columns. It can be zoomed and moved; of a long one only
// the tiles in sight are fetched, pooled as coarsely as the screen is. The cell pointed at is told in words below.

import type { App } from "./app";
import { palette } from "./colours";
import { h, put, size } from "./dom";
import { HeadMap, TILE, type Tile } from "./maps";
import type { Attention, Look } from "./source";
import { digits, t, type Word } from "./words";

const FONT = "12px system-ui, 'Noto Sans', 'Noto Sans CJK SC', sans-serif";
const LARGEST_CELL = 34;
const HEIGHT = 640;
const LEGIBLE = 11;

interface Pull {
  x: number;
  y: number;
  left: number;
  top: number;
  moved: boolean;
}

export class MapView {
  readonly element = h("div", { class: "map" });
  private canvas = h("canvas", { class: "large", tabindex: 0, role: "application" });
  private readout = h("output", { class: "readout", "aria-live": "polite" });
  private map: HeadMap | undefined;
  private look: Look | undefined;
  private attention: Attention | undefined;
  private rowLabels: string[] = [];
  private columnLabels: string[] = [];
  private cell = 20;
  private left = 0;
  private top = 0;
  private margin = { left: 80, top: 80 };
  private field = { width: 100, height: 100 };
  private pull: Pull | undefined;
  private waiting = false;

  constructor(private app: App) {
    put(this.element, this.canvas, this.readout, h("p", { class: "hint" }, t("mapHint")));
    this.listen();
    app.pointer.hear(() => this.redraw());
    new ResizeObserver(() => this.fit()).observe(this.element);
  }

  show(look: Look, attention: Attention, head: number): void {
    const same = this.map?.key === look.key && this.map.attention.name === attention.name && this.map.head === head;
    if (!same) {
      const otherShape = this.attention?.rows !== attention.rows || this.attention?.columns !== attention.columns || this.look?.key !== look.key;
      this.map?.stop();
      this.map = new HeadMap(this.app.source, look.key, attention, head, () => this.redraw(), this.app.failed);
      this.look = look;
      this.attention = attention;
      this.rowLabels = look.sides[attention.queries] ?? [];
      this.columnLabels = look.sides[attention.keys] ?? [];
      this.canvas.setAttribute("aria-label", `${attention.name}, ${head < 0 ? t("mean") : t("head", { n: head })}. ${t("mapHint")}`);
      if (otherShape) this.fit();
    }
    this.redraw();
  }

  private listen(): void {
    const { canvas } = this;
    canvas.addEventListener("pointermove", (event) => this.moved(event));
    canvas.addEventListener("pointerleave", () => this.app.pointer.at(-1, -1));
    canvas.addEventListener("pointerdown", (event) => {
      this.pull = { x: event.clientX, y: event.clientY, left: this.left, top: this.top, moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointerup", (event) => {
      if (this.pull && !this.pull.moved) {
        const [query, key] = this.at(event);
        this.app.store.set({ query, key });
      }
      this.pull = undefined;
    });
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && this.fits()) return;
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * 0.0015), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.typed(event));
  }

  private moved(event: PointerEvent): void {
    const { pull } = this;
    if (!pull) {
      this.app.pointer.at(...this.at(event));
      return;
    }
    const [x, y] = [event.clientX - pull.x, event.clientY - pull.y];
    if (Math.abs(x) + Math.abs(y) > 4) pull.moved = true;
    if (pull.moved) this.move(pull.left - x / this.cell, pull.top - y / this.cell);
  }

  private typed(event: KeyboardEvent): void {
    const steps: Record<string, [number, number]> = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const step = steps[event.key];
    const { attention } = this;
    if (!attention) return;
    if (step) {
      const query = Math.min(attention.rows - 1, Math.max(0, this.app.state.query + step[0]));
      const key = Math.min(attention.columns - 1, Math.max(0, this.app.state.key + step[1]));
      this.app.store.set({ query, key });
      this.reveal(query, key);
    } else if (event.key === "+" || event.key === "=") this.zoom(1.5, this.margin.left + this.field.width / 2, this.margin.top + this.field.height / 2);
    else if (event.key === "-") this.zoom(1 / 1.5, this.margin.left + this.field.width / 2, this.margin.top + this.field.height / 2);
    else if (event.key === "0") this.fit();
    else if (event.key === "Enter" && this.app.state.query >= 0) this.app.store.set({ panel: "steps" });
    else return;
    event.preventDefault();
  }

  /** The query and key under the pointer; over a label only one of them, −1 for the other. */
  private at(event: { offsetX: number; offsetY: number }): [number, number] {
    const { attention, margin } = this;
    if (!attention) return [-1, -1];
    const key = Math.floor(this.left + (event.offsetX - margin.left) / this.cell);
    const query = Math.floor(this.top + (event.offsetY - margin.top) / this.cell);
    const inside = (place: number, count: number, offset: number, edge: number): number => (offset >= edge && place >= 0 && place < count ? place : -1);
    return [inside(query, attention.rows, event.offsetY, margin.top), inside(key, attention.columns, event.offsetX, margin.left)];
  }

  private fits(): boolean {
    const { attention } = this;
    return !attention || Math.max(attention.rows, attention.columns) <= 64;
  }

  private smallest(): number {
    const { attention, field } = this;
    return attention ? Math.min(LARGEST_CELL, field.width / attention.columns, Math.max(field.height, 1) / attention.rows) : 1;
  }

  private fit(): void {
    const { attention } = this;
    const width = this.element.clientWidth;
    if (!attention || width < 60) return;
    const measure = this.canvas.getContext("2d");
    if (!measure) return;
    measure.font = FONT;
    const widest = (labels: string[]): number => labels.slice(0, 400).reduce((most, label) => Math.max(most, measure.measureText(label).width), 20);
    const dense = (count: number, room: number): boolean => room / count < LEGIBLE;
    this.margin.left = Math.min(150, Math.max(30, widest(this.rowLabels))) + 14;
    const room = width - this.margin.left - 12;
    this.margin.top = Math.min(130, widest(this.columnLabels) * (dense(attention.columns, room) ? 1 : 0.9) + 18);
    this.cell = Math.min(LARGEST_CELL, room / attention.columns);
    if (attention.rows * this.cell > HEIGHT) this.cell = Math.max(room / attention.columns < 3 ? 0 : Math.min(this.cell, LEGIBLE), HEIGHT / attention.rows);
    this.cell = Math.min(this.cell, room / attention.columns);
    this.field = { width: Math.min(room, attention.columns * this.cell), height: Math.min(HEIGHT, attention.rows * this.cell) };
    size(this.canvas, width, this.margin.top + this.field.height + 8);
    this.left = this.top = 0;
    this.redraw();
  }

  private zoom(factor: number, x: number, y: number): void {
    const before = this.cell;
    this.cell = Math.min(LARGEST_CELL * 1.5, Math.max(this.smallest(), before * factor));
    const [across, down] = [x - this.margin.left, y - this.margin.top];
    this.move(this.left + across / before - across / this.cell, this.top + down / before - down / this.cell);
  }

  private move(left: number, top: number): void {
    const { attention, field } = this;
    if (!attention) return;
    this.left = Math.min(Math.max(0, attention.columns - field.width / this.cell), Math.max(0, left));
    this.top = Math.min(Math.max(0, attention.rows - field.height / this.cell), Math.max(0, top));
    this.redraw();
  }

  private reveal(query: number, key: number): void {
    const [across, down] = [this.field.width / this.cell, this.field.height / this.cell];
    const inside = (place: number, first: number, count: number): number => (place < first ? place : place >= first + count - 1 ? place - count + 1 : first);
    this.move(inside(key, this.left, across), inside(query, this.top, down));
  }

  private redraw(): void {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  private draw(): void {
    const { map, attention, canvas, margin, field } = this;
    const context = canvas.getContext("2d");
    if (!map || !attention || !context) return;
    const style = getComputedStyle(this.element);
    context.clearRect(0, 0, canvas.clientWidth + 1, canvas.clientHeight + 1);
    context.save();
    context.beginPath();
    context.rect(margin.left, margin.top, field.width, field.height);
    context.clip();
    context.fillStyle = style.getPropertyValue("--ground");
    context.fillRect(margin.left, margin.top, field.width, field.height);
    this.drawTiles(context, map);
    this.drawLines(context, style.getPropertyValue("--rule"));
    context.restore();
    this.drawLabels(context, style);
    this.drawMarks(context, style);
    this.tell();
  }

  private drawTiles(context: CanvasRenderingContext2D, map: HeadMap): void {
    const level = Math.min(map.deepest, Math.max(0, Math.round(Math.log2(1 / this.cell))));
    const step = 2 ** level * TILE;
    context.imageSmoothingEnabled = false;
    for (let row = Math.floor(this.top / step); row * step < Math.min(map.attention.rows, this.top + this.field.height / this.cell); row++)
      for (let column = Math.floor(this.left / step); column * step < Math.min(map.attention.columns, this.left + this.field.width / this.cell); column++) {
        const tile = map.tile(level, row, column);
        if (!tile) continue;
        const x = this.margin.left + (column * step - this.left) * this.cell;
        const y = this.margin.top + (row * step - this.top) * this.cell;
        context.drawImage(this.image(tile), x, y, tile.columns * 2 ** level * this.cell, tile.rows * 2 ** level * this.cell);
      }
  }

  /** The weight of the darkest shade: 1, or where a weight is a small share of very many, the largest there is. */
  private full(): number {
    const { map, app } = this;
    if (!map || !(map.largest > 0)) return 1;
    return app.state.root || map.attention.columns > 64 ? map.largest : Math.max(1, map.largest);
  }

  private image(tile: Tile): HTMLCanvasElement {
    const { root } = this.app.state;
    const { table, dark } = palette();
    const full = this.full();
    const painted = `${root}/${dark}/${full}`;
    if (tile.image && tile.painted === painted) return tile.image;
    const image = new ImageData(Math.max(1, tile.columns), Math.max(1, tile.rows));
    const pixels = new Uint32Array(image.data.buffer);
    tile.values.forEach((weight, place) => {
      pixels[place] = table[Math.round(255 * Math.min(1, Math.max(0, root ? Math.sqrt(weight / full) : weight / full)))] ?? 0;
    });
    tile.image = h("canvas", { width: image.width, height: image.height });
    tile.image.getContext("2d")?.putImageData(image, 0, 0);
    tile.painted = painted;
    return tile.image;
  }

  /** Thin lines between cells that are large enough. */
  private drawLines(context: CanvasRenderingContext2D, colour: string): void {
    if (this.cell < 7) return;
    context.strokeStyle = colour;
    context.lineWidth = 1;
    context.beginPath();
    for (let key = Math.ceil(this.left); key <= this.left + this.field.width / this.cell; key++) {
      const x = Math.round(this.margin.left + (key - this.left) * this.cell) + 0.5;
      context.moveTo(x, this.margin.top);
      context.lineTo(x, this.margin.top + this.field.height);
    }
    for (let query = Math.ceil(this.top); query <= this.top + this.field.height / this.cell; query++) {
      const y = Math.round(this.margin.top + (query - this.top) * this.cell) + 0.5;
      context.moveTo(this.margin.left, y);
      context.lineTo(this.margin.left + this.field.width, y);
    }
    context.stroke();
  }

  private drawLabels(context: CanvasRenderingContext2D, style: CSSStyleDeclaration): void {
    const { attention, margin, field, cell } = this;
    if (!attention) return;
    const [query, key] = this.current();
    const every = Math.max(1, Math.ceil(LEGIBLE / cell));
    const [strong, soft] = [style.getPropertyValue("--ink"), style.getPropertyValue("--soft")];
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (let row = Math.floor(this.top); row < Math.min(attention.rows, this.top + field.height / cell); row++) {
      if (row % every && row !== query) continue;
      if (every > 1 && query >= 0 && row !== query && Math.abs(row - query) < every) continue;
      context.font = row === query ? `bold ${FONT}` : FONT;
      context.fillStyle = row === query ? strong : soft;
      context.fillText(short(context, this.rowLabels[row] ?? "", margin.left - 10), margin.left - 6, margin.top + (row + 0.5 - this.top) * cell);
    }
    context.textAlign = "left";
    for (let column = Math.floor(this.left); column < Math.min(attention.columns, this.left + field.width / cell); column++) {
      if (column % every && column !== key) continue;
      if (every > 1 && key >= 0 && column !== key && Math.abs(column - key) < every) continue;
      context.font = column === key ? `bold ${FONT}` : FONT;
      context.fillStyle = column === key ? strong : soft;
      context.save();
      context.translate(margin.left + (column + 0.5 - this.left) * cell, margin.top - 6);
      context.rotate(-Math.PI / 2);
      context.fillText(short(context, this.columnLabels[column] ?? "", margin.top - 10), 0, 0);
      context.restore();
    }
  }

  private drawMarks(context: CanvasRenderingContext2D, style: CSSStyleDeclaration): void {
    const [query, key] = this.current();
    const { margin, field, cell } = this;
    const [x, y] = [margin.left + (key - this.left) * cell, margin.top + (query - this.top) * cell];
    context.save();
    context.beginPath();
    context.rect(margin.left - 1, margin.top - 1, field.width + 2, field.height + 2);
    context.clip();
    context.lineWidth = 1.5;
    if (query >= 0) {
      context.strokeStyle = style.getPropertyValue("--looks");
      context.strokeRect(margin.left, y, field.width, Math.max(cell, 2));
    }
    if (key >= 0) {
      context.strokeStyle = style.getPropertyValue("--seen");
      context.strokeRect(x, margin.top, Math.max(cell, 2), field.height);
    }
    context.restore();
  }

  /** What is pointed at, else what is held. */
  private current(): [number, number] {
    const { pointer, state } = this.app;
    return pointer.query >= 0 || pointer.key >= 0 ? [pointer.query, pointer.key] : [state.query, state.key];
  }

  private tell(): void {
    const [query, key] = this.current();
    const { attention, map } = this;
    if (!attention || !map) return;
    if (query >= 0 && key >= 0 && query < attention.rows && key < attention.columns) {
      const weight = this.cell >= 0.5 || attention.rows * attention.columns <= TILE * TILE ? map.weight(query, key) : NaN;
      put(this.readout, t("looksAt", { a: this.rowLabels[query] ?? "", b: this.columnLabels[key] ?? "", w: Number.isNaN(weight) ? "…" : digits(weight, 4) }));
    } else put(this.readout, `${t("scale", { w: digits(this.full()) })} · ${t("rows", { side: sideWord(attention, attention.queries) })} · ${t("columns", { side: sideWord(attention, attention.keys) })}`);
  }
}

/** What the symbols of one side are to the reader. */
export function sideWord(attention: Attention, side: string): string {
  return t(attention.queries === attention.keys ? "side_text" : (`side_${side}` as Word));
}

function short(context: CanvasRenderingContext2D, text: string, room: number): string {
  if (context.measureText(text).width <= room) return text;
  const letters = [...text];
  while (letters.length > 1 && context.measureText(`${letters.join("")}…`).width > room) letters.pop();
  return `${letters.join("")}…`;
}
