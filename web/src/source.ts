// Where the page's data comes from: a running service, or the file the page itself is (see `embedded.ts`).

import { readFrame, type Frame } from "./frames";

export interface Model {
  name: string;
  task: string;
  architecture: string;
  body: string;
  parameters: number;
  width: number;
  heads: number;
  positions: string;
  longest: number;
  attentions: string[];
  trained: boolean;
  recorded?: boolean;
}

export interface Attention {
  name: string;
  heads: number;
  queries: Side;
  keys: Side;
  rows: number;
  columns: number;
}

export type Side = "source" | "target" | "fed";

export interface Guess {
  label: string;
  probability: number;
}

export interface Written {
  label: string;
  probability: number | null;
  rivals: Guess[];
  about: string;
  row: number | null;
  /** It was read, not written by the model. */
  given: boolean;
}

export interface Look {
  key: string;
  model: string;
  text: string;
  answer: string;
  shown: string;
  sides: Partial<Record<Side, string[]>>;
  written: Written[];
  attentions: Attention[];
  seconds: number;
}

export interface Question {
  model: string;
  text: string;
  target?: string;
  silenced?: Record<string, number[]>;
  beam?: number;
  tokens?: number;
}

export interface Series {
  name: string;
  updates: number[];
  values: (number | null)[];
}

export interface Points {
  station: string;
  stations: string[];
  places: [number, number][];
  sides: Side[];
  positions: number[];
  labels: string[];
  explained: [number, number];
}

export interface StepFacts {
  count: number;
  scale: number;
  score: string;
  normalizer: string;
}

export interface PictureFacts {
  pictures: { name: string; kind: "added" | "bias" | "turn"; axes: [string, string]; first: number }[];
}

export interface Measure {
  attention: string;
  head: number;
  values: Record<string, number | null>;
}

export interface Interval {
  value: number | null;
  low: number | null;
  high: number | null;
}

/** What `clearhead heads` found: of each head the score without it, and how that differs from the whole model's. */
export interface Weighed {
  data: string;
  unit: string;
  count: number;
  metric: string;
  higher_is_better: boolean;
  replace: "zero" | "mean";
  confidence: number;
  intact: Interval;
  heads: { name: string; head: number; score: number | null; difference: Interval }[];
}

/** The same, or no heads where nothing was measured. */
export type Worths = Weighed | { heads: [] };

export interface Recording {
  frames: {
    update: number;
    measures: Record<string, Record<string, number[]>>;
    sentences: { source: string[]; target: string[] }[];
  }[];
}

export interface Source {
  /** Whether everything can be asked, or only what was put into the file. */
  readonly live: boolean;
  /** Of a file: the text it shows, and what it had no room for. */
  readonly text?: string;
  readonly leftOut?: string[];
  models(): Promise<Model[]>;
  look(question: Question): Promise<Look>;
  small(key: string, attention: string, size: number): Promise<Frame<object>>;
  tile(key: string, attention: string, head: number, row: number, column: number, level: number): Promise<Frame<object>>;
  token(key: string, attention: string, head: number, query: number, at: number): Promise<Frame<object>>;
  steps(key: string, attention: string, head: number, query: number): Promise<Frame<StepFacts>>;
  points(key: string, station: string): Promise<Points>;
  measures(key: string): Promise<Measure[]>;
  history(model: string): Promise<Series[]>;
  recording(model: string): Promise<Recording>;
  worths(model: string): Promise<Worths>;
  moment(model: string, frame: number, sentence: number): Promise<Frame<object>>;
  positions(model: string): Promise<Frame<PictureFacts>>;
}

/** An answer of the service that says what was wrong. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** What was looked at is no longer kept by the service. */
export const GONE = 410;

export class Service implements Source {
  readonly live = true;
  private open = 0;

  models(): Promise<Model[]> {
    return this.json("page/models");
  }

  look(question: Question): Promise<Look> {
    return this.json("page/look", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(question) });
  }

  small(key: string, attention: string, size: number): Promise<Frame<object>> {
    return this.frame(`page/look/${key}/small`, { attention, size });
  }

  tile(key: string, attention: string, head: number, row: number, column: number, level: number): Promise<Frame<object>> {
    return this.frame(`page/look/${key}/tile`, { attention, head, row, column, level });
  }

  token(key: string, attention: string, head: number, query: number, at: number): Promise<Frame<object>> {
    const wanted = { ...(query >= 0 ? { query } : {}), ...(at >= 0 ? { at } : {}) };
    return this.frame(`page/look/${key}/token`, { attention, head, ...wanted });
  }

  steps(key: string, attention: string, head: number, query: number): Promise<Frame<StepFacts>> {
    return this.frame(`page/look/${key}/steps`, { attention, head, query });
  }

  points(key: string, station: string): Promise<Points> {
    return this.json(`page/look/${key}/points?${new URLSearchParams({ station })}`);
  }

  measures(key: string): Promise<Measure[]> {
    return this.json(`page/look/${key}/measures`);
  }

  history(model: string): Promise<Series[]> {
    return this.json(`page/models/${encodeURIComponent(model)}/history`);
  }

  recording(model: string): Promise<Recording> {
    return this.json(`page/models/${encodeURIComponent(model)}/recording`);
  }

  worths(model: string): Promise<Worths> {
    return this.json(`page/models/${encodeURIComponent(model)}/heads`);
  }

  moment(model: string, frame: number, sentence: number): Promise<Frame<object>> {
    return this.frame(`page/models/${encodeURIComponent(model)}/recording/maps`, { frame, sentence });
  }

  positions(model: string): Promise<Frame<PictureFacts>> {
    return this.frame(`page/models/${encodeURIComponent(model)}/positions`, {});
  }

  /** The page says that it is busy while something is on its way. */
  private waiting(change: number): void {
    this.open += change;
    if (this.open > 0) document.body.setAttribute("aria-busy", "true");
    else document.body.removeAttribute("aria-busy");
  }

  private async json<T>(path: string, options: RequestInit = {}): Promise<T> {
    return (await (await this.ask(path, options)).json()) as T;
  }

  private async frame<T>(path: string, query: Record<string, string | number>): Promise<Frame<T>> {
    const given = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
    return readFrame<T>(await (await this.ask(`${path}?${given}`, {})).arrayBuffer());
  }

  private async ask(path: string, options: RequestInit): Promise<Response> {
    this.waiting(+1);
    try {
      const answer = await fetch(path, { credentials: "same-origin", ...options });
      if (!answer.ok) throw new Refused(answer.status, await reason(answer));
      return answer;
    } finally {
      this.waiting(-1);
    }
  }
}

async function reason(answer: Response): Promise<string> {
  try {
    const told = (await answer.json()) as { error?: { message?: unknown } | string; detail?: unknown };
    const error = typeof told.error === "string" ? told.error : told.error?.message;
    return String(error ?? told.detail ?? answer.statusText);
  } catch {
    return answer.statusText || `status ${answer.status}`;
  }
}
