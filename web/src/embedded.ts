// The data of a page that is one file: what `clearhead look RUN TEXT --html FILE` put into it. It answers the same
// questions as the service, as far as the file goes.

import { readFrame, type Frame } from "./frames";
import type { Look, Measure, Model, PictureFacts, Points, Question, Recording, Series, Source, StepFacts, Worths } from "./source";

interface Packed {
  model: Model;
  look: Look;
  measures: Measure[];
  worths: Worths;
  /** Frames in base64 of gzip: small maps by attention, whole maps by attention and head. */
  small: Record<string, string>;
  whole: Record<string, string>;
  /** What was too large for the file, as sentences. */
  left_out: string[];
}

/** The data in this file, if there is any. */
export function embedded(): Source | undefined {
  const text = document.getElementById("data")?.textContent;
  return text ? new InFile(JSON.parse(text) as Packed) : undefined;
}

export class InFile implements Source {
  readonly live = false;
  readonly leftOut: string[];
  readonly text: string;

  constructor(private packed: Packed) {
    this.leftOut = packed.left_out;
    this.text = packed.look.text;
  }

  models(): Promise<Model[]> {
    return Promise.resolve([this.packed.model]);
  }

  look(_: Question): Promise<Look> {
    return Promise.resolve(this.packed.look);
  }

  async small(_: string, attention: string): Promise<Frame<object>> {
    return readFrame(await unpacked(this.packed.small[attention]));
  }

  /** Part of a whole map, pooled here; of a map that was left out, the small one stretched. */
  async tile(_: string, attention: string, head: number, row: number, column: number, level: number): Promise<Frame<object>> {
    const whole = await this.map(attention, head);
    const step = 2 ** level;
    const [rows, columns] = [Math.min(256, Math.ceil(whole.rows / step) - row), Math.min(256, Math.ceil(whole.columns / step) - column)];
    const values = new Float32Array(rows * columns);
    for (let i = 0; i < rows * step; i++)
      for (let j = 0; j < columns * step; j++) {
        const place = Math.floor(i / step) * columns + Math.floor(j / step);
        values[place] = Math.max(values[place] ?? 0, whole.at(row * step + i, column * step + j));
      }
    return { facts: {}, arrays: { cells: { shape: [rows, columns], values } } };
  }

  async token(_: string, attention: string, head: number, query: number, at: number): Promise<Frame<object>> {
    const whole = await this.map(attention, head);
    const arrays: Frame<object>["arrays"] = {};
    if (query >= 0) arrays["looks"] = { shape: [whole.columns], values: Float32Array.from({ length: whole.columns }, (_none, key) => whole.at(query, key)) };
    if (at >= 0) arrays["seen"] = { shape: [whole.rows], values: Float32Array.from({ length: whole.rows }, (_none, row) => whole.at(row, at)) };
    return { facts: {}, arrays };
  }

  measures(): Promise<Measure[]> {
    return Promise.resolve(this.packed.measures);
  }

  worths(): Promise<Worths> {
    return Promise.resolve(this.packed.worths);
  }

  steps(): Promise<Frame<StepFacts>> {
    return Promise.reject(new Error("a file holds no single steps"));
  }

  recording(): Promise<Recording> {
    return Promise.resolve({ frames: [] });
  }

  moment(): Promise<Frame<object>> {
    return Promise.reject(new Error("a file holds no recording"));
  }

  points(): Promise<Points> {
    return Promise.reject(new Error("a file holds no embeddings"));
  }

  history(): Promise<Series[]> {
    return Promise.resolve([]);
  }

  positions(): Promise<Frame<PictureFacts>> {
    return Promise.reject(new Error("a file holds no positions"));
  }

  /** One head's weights by row and column. */
  private async map(attention: string, head: number): Promise<{ rows: number; columns: number; at: (row: number, column: number) => number }> {
    const facts = this.packed.look.attentions.find((each) => each.name === attention);
    const [rows, columns] = [facts?.rows ?? 0, facts?.columns ?? 0];
    const packed = this.packed.whole[attention] ?? this.packed.small[attention];
    const { cells, most } = readFrame(await unpacked(packed)).arrays;
    const [count = 1, high = 1, wide = 1] = cells?.shape ?? [];
    const heads = head < 0 ? Array.from({ length: count }, (_none, each) => each) : [head]; // their mean
    const [tall, broad] = [stride(rows, high), stride(columns, wide)];
    const at = (row: number, column: number): number => {
      const [i, j] = [Math.floor(row / tall), Math.floor(column / broad)];
      if (row >= rows || column >= columns) return 0;
      const weights = heads.map((one) => ((cells?.values[(one * high + i) * wide + j] ?? 0) / 255) * (most?.values[one] ?? 1));
      return weights.reduce((sum, weight) => sum + weight, 0) / weights.length;
    };
    return { rows, columns, at };
  }
}

/** How many neighbours share a cell of a map that was pooled to so many cells; a power of two. */
function stride(count: number, cells: number): number {
  let step = 1;
  while (Math.ceil(count / step) > cells) step *= 2;
  return step;
}

const opened = new Map<string, Promise<ArrayBuffer>>();

async function unpacked(packed: string | undefined): Promise<ArrayBuffer> {
  if (!packed) throw new Error("this map was left out of the file");
  let found = opened.get(packed);
  if (!found) {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    found = new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
    opened.set(packed, found);
  }
  return found;
}
