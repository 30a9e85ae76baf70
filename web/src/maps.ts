// The weights of one head, fetched in tiles when they come into sight and kept while they are of use. Level n pools
// 2^n × 2^n weights by their maximum, so a map of thousands of tokens is a few tiles at any zoom.

import type { Attention, Source } from "./source";

export const TILE = 256;
const MOST_TILES = 200;

export interface Tile {
  rows: number;
  columns: number;
  values: Float32Array;
  /** The tile painted, one pixel a cell; made when it is first drawn. */
  image?: HTMLCanvasElement | undefined;
  painted?: string;
}

export class HeadMap {
  private tiles = new Map<string, Tile | "asked">();
  private stopped = false;
  /** The largest weight that has come by; pooled tiles hold the largest of what they cover. */
  largest = 0;

  constructor(
    private source: Source,
    readonly key: string,
    readonly attention: Attention,
    readonly head: number,
    private onArrival: () => void,
    private onFailure: (error: unknown) => void,
  ) {}

  get deepest(): number {
    return Math.max(0, Math.ceil(Math.log2(Math.max(this.attention.rows, this.attention.columns) / TILE)));
  }

  /** The tile at (row, column) counted in tiles of that level; asked for when it is not there yet. */
  tile(level: number, row: number, column: number): Tile | undefined {
    const name = `${level}/${row}/${column}`;
    const found = this.tiles.get(name);
    if (found === "asked") return undefined;
    if (found) {
      this.tiles.delete(name);
      this.tiles.set(name, found);
      return found;
    }
    this.tiles.set(name, "asked");
    void this.fetch(name, level, row, column);
    return undefined;
  }

  /** The weight of one cell, if its tile is here; NaN until then. */
  weight(row: number, column: number): number {
    const tile = this.tile(0, Math.floor(row / TILE), Math.floor(column / TILE));
    return tile ? (tile.values[(row % TILE) * tile.columns + (column % TILE)] ?? NaN) : NaN;
  }

  /** Nobody looks at this map any more. */
  stop(): void {
    this.stopped = true;
  }

  private async fetch(name: string, level: number, row: number, column: number): Promise<void> {
    try {
      const frame = await this.source.tile(this.key, this.attention.name, this.head, row * TILE, column * TILE, level);
      const cells = frame.arrays["cells"];
      if (!cells) throw new Error("a tile without cells");
      this.largest = (cells.values as Float32Array).reduce((most, weight) => Math.max(most, weight), this.largest);
      this.tiles.set(name, { rows: cells.shape[0] ?? 0, columns: cells.shape[1] ?? 0, values: cells.values as Float32Array });
      this.forget();
    } catch (error) {
      this.tiles.delete(name);
      if (!this.stopped) this.onFailure(error);
      return;
    }
    if (!this.stopped) this.onArrival();
  }

  private forget(): void {
    for (const name of this.tiles.keys()) {
      if (this.tiles.size <= MOST_TILES) return;
      if (this.tiles.get(name) !== "asked") this.tiles.delete(name);
    }
  }
}

/** One query's row and one key's column of weights, whole; asked for once each. */
export class Glances {
  private kept = new Map<string, Promise<Record<"looks" | "seen", Float32Array | undefined>>>();

  constructor(private source: Source) {}

  of(key: string, attention: string, head: number, query: number, at: number): Promise<Record<"looks" | "seen", Float32Array | undefined>> {
    const name = `${key}/${attention}/${head}/${query}/${at}`;
    let found = this.kept.get(name);
    if (!found) {
      found = this.source.token(key, attention, head, query, at).then((frame) => ({
        looks: frame.arrays["looks"]?.values as Float32Array | undefined,
        seen: frame.arrays["seen"]?.values as Float32Array | undefined,
      }));
      this.kept.set(name, found);
      found.catch(() => this.kept.delete(name));
      if (this.kept.size > 2000) this.kept.delete(this.kept.keys().next().value as string);
    }
    return found;
  }
}
