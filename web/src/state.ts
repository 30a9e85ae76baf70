// What is looked at, and how. All of it stands in the address behind the #, so that a link shows the same again.

export type View = "look" | "compare" | "table" | "training" | "places";
export type Panel = "map" | "lines" | "steps";

export interface State {
  view: View;
  model: string;
  text: string;
  target: string;
  beam: string;
  tokens: string;
  off: Record<string, number[]>;
  attention: string;
  head: number;
  panel: Panel;
  query: number;
  key: number;
  step: number;
  model2: string;
  text2: string;
  root: boolean;
  moment: number;
  station: string;
  lang: string;
  theme: string;
}

export const START: State = {
  view: "look",
  model: "",
  text: "",
  target: "",
  beam: "",
  tokens: "",
  off: {},
  attention: "",
  head: 0,
  panel: "map",
  query: -1,
  key: -1,
  step: 1,
  model2: "",
  text2: "",
  root: false,
  moment: -1,
  station: "tokens",
  lang: "",
  theme: "",
};

const VIEWS: readonly string[] = ["look", "compare", "table", "training", "places"];
const PANELS: readonly string[] = ["map", "lines", "steps"];

/** The state in an address; what is missing or nonsense is as at the start. */
export function readHash(hash: string): State {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const state: State = { ...START, off: {} };
  const target = state as unknown as Record<string, unknown>;
  for (const [name, first] of Object.entries(START)) {
    const value = given.get(name);
    if (value === null) continue;
    if (name === "off") state.off = readOff(value);
    else if (typeof first === "number") target[name] = Number.isInteger(Number(value)) ? Number(value) : first;
    else if (typeof first === "boolean") target[name] = value === "1";
    else target[name] = value;
  }
  if (!VIEWS.includes(state.view)) state.view = "look";
  if (!PANELS.includes(state.panel)) state.panel = "map";
  return state;
}

/** The address of a state: only what differs from the start. */
export function writeHash(state: State): string {
  const found = new URLSearchParams();
  for (const [name, value] of Object.entries(state) as [keyof State, State[keyof State]][]) {
    if (name === "off") {
      const off = writeOff(state.off);
      if (off) found.set(name, off);
    } else if (value !== START[name]) found.set(name, typeof value === "boolean" ? (value ? "1" : "0") : String(value));
  }
  return found.toString();
}

function readOff(text: string): Record<string, number[]> {
  const off: Record<string, number[]> = {};
  for (const part of text.split(";")) {
    const [name, heads] = part.split(":");
    const numbers = (heads ?? "").split(",").filter(Boolean).map(Number).filter((n) => Number.isInteger(n) && n >= 0);
    if (name && numbers.length) off[name] = numbers;
  }
  return off;
}

function writeOff(off: Record<string, number[]>): string {
  return Object.entries(off)
    .filter(([, heads]) => heads.length)
    .map(([name, heads]) => `${name}:${heads.join(",")}`)
    .join(";");
}

type Listener = (state: State, before: State) => void;

/** The one state of the page: read it, change it, hear of changes. */
export class Store {
  state: State = readHash(location.hash);
  private listeners: Listener[] = [];

  constructor() {
    window.addEventListener("hashchange", () => this.replace(readHash(location.hash)));
  }

  hear(listener: Listener): void {
    this.listeners.push(listener);
  }

  /** Change some of it. What starts a new answer is a step that the back button undoes; the rest is not. */
  set(change: Partial<State>, { step = false }: { step?: boolean } = {}): void {
    const next = { ...this.state, ...change };
    const hash = `#${writeHash(next)}`;
    if (hash !== location.hash) history[step ? "pushState" : "replaceState"](null, "", hash);
    this.replace(next);
  }

  private replace(next: State): void {
    const before = this.state;
    this.state = next;
    for (const listener of this.listeners) listener(next, before);
  }
}
