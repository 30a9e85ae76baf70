// All heads of a model as small maps: a row a layer, a column a head. Each is shaded relative to its own largest
// weight, so that its pattern can be seen; the large map shows the weights as they are. A row is fetched when it comes
// into sight.

import type { App } from "./app";
import { chosen, chosenHead } from "./app";
import { palette } from "./colours";
import { h, put, size } from "./dom";
import type { Attention, Look } from "./source";
import { t, type Word } from "./words";

const CELLS = 64;
const SIDE = 76;

interface Group {
  title: Word;
  attentions: Attention[];
}

export class Grid {
  readonly element = h("section", { class: "grid", "aria-label": t("allHeads") });
  private drawn = "";
  private watcher: IntersectionObserver | undefined;
  private cells = new Map<string, HTMLButtonElement>();

  constructor(private app: App) {}

  show(look: Look): void {
    const signature = JSON.stringify([look.key, document.documentElement.lang, document.documentElement.dataset["theme"]]);
    if (signature !== this.drawn) this.build(look);
    this.drawn = signature;
    this.mark(look);
  }

  private build(look: Look): void {
    this.watcher?.disconnect();
    this.watcher = new IntersectionObserver((entries) => {
      for (const entry of entries.filter((each) => each.isIntersecting)) {
        this.watcher?.unobserve(entry.target);
        void this.fetch(look, look.attentions.find((each) => each.name === (entry.target as HTMLElement).dataset["name"]));
      }
    }, { rootMargin: "200px" });
    this.cells.clear();
    put(
      this.element,
      h("header", {}, h("h2", {}, t("allHeads")), h("p", { class: "hint" }, t("allHeadsHint"))),
      ...groups(look).map((group) => h("div", { class: "group" }, h("h3", {}, t(group.title)), ...group.attentions.map((each) => this.row(look, each)))),
    );
  }

  private row(look: Look, attention: Attention): HTMLElement {
    const heads = Array.from({ length: attention.heads }, (_, head) => this.cell(look, attention, head));
    const row = h("div", { class: "layer", "data-name": attention.name }, h("span", { class: "name", title: attention.name }, t("layer", { n: layerOf(attention.name) })), h("div", { class: "heads" }, ...heads));
    this.watcher?.observe(row);
    return row;
  }

  private cell(look: Look, attention: Attention, head: number): HTMLButtonElement {
    const canvas = h("canvas", { width: CELLS, height: CELLS });
    const { width, height } = shape(attention);
    const context = size(canvas, width, height);
    context.fillStyle = "rgb(128 128 128 / 0.12)";
    context.fillRect(0, 0, width, height);
    const cell = h(
      "button",
      {
        class: "cell",
        type: "button",
        "data-head": head,
        click: () => this.app.store.set({ attention: attention.name, head, query: -1, key: -1 }),
        keydown: (event: KeyboardEvent) => this.key(event, look, attention, head),
      },
      canvas,
      h("span", { class: "number", "aria-hidden": "true" }, head),
    );
    this.cells.set(`${attention.name}/${head}`, cell);
    return cell;
  }

  private async fetch(look: Look, attention: Attention | undefined): Promise<void> {
    if (!attention) return;
    try {
      const { cells } = (await this.app.source.small(look.key, attention.name, CELLS)).arrays;
      if (!cells) return;
      const [heads = 0, rows = 0, columns = 0] = cells.shape;
      for (let head = 0; head < heads; head++) {
        const canvas = this.cells.get(`${attention.name}/${head}`)?.querySelector("canvas");
        if (canvas) this.draw(canvas, attention, cells.values.subarray(head * rows * columns, (head + 1) * rows * columns), rows, columns);
      }
    } catch (error) {
      this.app.failed(error);
    }
  }

  private draw(canvas: HTMLCanvasElement, attention: Attention, values: ArrayLike<number>, rows: number, columns: number): void {
    const image = new ImageData(columns, rows);
    const pixels = new Uint32Array(image.data.buffer);
    const { table } = palette();
    for (let place = 0; place < pixels.length; place++) pixels[place] = table[values[place] ?? 0] ?? 0;
    const small = h("canvas", { width: columns, height: rows });
    small.getContext("2d")?.putImageData(image, 0, 0);
    const { width, height } = shape(attention);
    const context = size(canvas, width, height);
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, width, height);
  }

  /** Which one is chosen, which are switched off; the keyboard enters the grid at the chosen one. */
  private mark(look: Look): void {
    const attention = chosen(look, this.app.state);
    const head = chosenHead(attention, this.app.state);
    for (const [name, cell] of this.cells) {
      const [of, number] = name.split("/") as [string, string];
      const off = this.app.state.off[of]?.includes(Number(number)) ?? false;
      const current = of === attention.name && Number(number) === Math.max(head, 0);
      cell.setAttribute("aria-pressed", String(current));
      cell.classList.toggle("off", off);
      cell.tabIndex = current ? 0 : -1;
      cell.setAttribute("aria-label", `${of}, ${t("head", { n: number })}${off ? `, ${t("off")}` : ""}`);
    }
  }

  private key(event: KeyboardEvent, look: Look, attention: Attention, head: number): void {
    const rows = groups(look).flatMap((group) => group.attentions);
    const row = rows.findIndex((each) => each.name === attention.name);
    const steps: Record<string, [number, number]> = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const step = steps[event.key];
    if (step) {
      event.preventDefault();
      const next = rows[row + step[0]];
      const cell = next && this.cells.get(`${next.name}/${Math.min(head + step[1], next.heads - 1)}`);
      if (next && cell) {
        this.app.store.set({ attention: next.name, head: Number(cell.dataset["head"]), query: -1, key: -1 });
        cell.focus();
      }
    } else if (event.key === "x" && this.app.source.live) toggle(this.app, attention.name, head);
  }
}

/** Switch one head off, or on again. */
export function toggle(app: App, attention: string, head: number): void {
  const heads = app.state.off[attention] ?? [];
  const next = heads.includes(head) ? heads.filter((each) => each !== head) : [...heads, head].sort((a, b) => a - b);
  const off = { ...app.state.off, [attention]: next };
  if (!next.length) delete off[attention];
  app.store.set({ off }, { step: true });
}

/** Attentions of one kind belong together; the order is the model's. */
export function groups(look: Look): Group[] {
  const two = look.attentions.some((each) => each.name.endsWith("cross"));
  const found = new Map<Word, Attention[]>();
  for (const attention of look.attentions) {
    const title = titleOf(attention.name, two);
    found.set(title, [...(found.get(title) ?? []), attention]);
  }
  const first: Word[] = two ? ["cross"] : [];
  return [...found].sort(([a], [b]) => Number(first.includes(b)) - Number(first.includes(a))).map(([title, attentions]) => ({ title, attentions }));
}

function titleOf(name: string, two: boolean): Word {
  if (name.endsWith("cross")) return "cross";
  if (two) return name.startsWith("decoder") ? "decoder" : "encoder";
  return name.startsWith("decoder") ? "causal" : "self";
}

export function layerOf(name: string): string {
  return /\.(\d+)\./.exec(name)?.[1] ?? name;
}

/** A small map keeps the proportions of the large one, within reason. */
function shape(attention: Attention): { width: number; height: number } {
  const ratio = Math.min(2.2, Math.max(0.45, attention.rows / Math.max(1, attention.columns)));
  return ratio > 1 ? { width: Math.round(SIDE / Math.sqrt(ratio)), height: Math.round(SIDE * Math.min(1.25, Math.sqrt(ratio))) } : { width: SIDE, height: Math.max(34, Math.round(SIDE * ratio)) };
}
