// What all views share: the state, the source of data, the models, and the answers to what is asked in the state.

import { Glances } from "./maps";
import { GONE, Refused, type Attention, type Look, type Model, type Question, type Source } from "./source";
import type { State, Store } from "./state";

export class App {
  models: Model[] = [];
  readonly glances: Glances;
  readonly pointer = new Pointer();
  private answers = new Map<string, Promise<Look>>();

  constructor(
    readonly store: Store,
    readonly source: Source,
    readonly complain: (error: unknown) => void,
  ) {
    this.glances = new Glances(source);
  }

  get state(): State {
    return this.store.state;
  }

  model(name = this.state.model): Model | undefined {
    return this.models.find((model) => model.name === name) ?? this.models[0];
  }

  /** The answer to a question; the same question is asked once, unless its answer is gone. */
  ask(question: Question): Promise<Look> {
    const name = JSON.stringify(question);
    let found = this.answers.get(name);
    if (!found) {
      found = this.source.look(question);
      this.answers.set(name, found);
      found.catch(() => this.answers.delete(name));
      if (this.answers.size > 50) this.answers.delete(this.answers.keys().next().value as string);
    }
    return found;
  }

  /** An error is told, unless it says that the service let go of an answer: then all are asked for anew. */
  failed = (error: unknown): void => {
    if (error instanceof Refused && error.status === GONE) {
      this.answers.clear();
      this.store.set({});
    } else this.complain(error);
  };

  /** What the state asks, with or without its silenced heads. */
  question(silenced: boolean): Question | undefined {
    const { state } = this;
    const model = this.model();
    if (!model || !state.text.trim()) return undefined;
    return asked(model, state.text, state, silenced ? state.off : {});
  }
}

/** The query and the key somebody points at just now, −1 for none; whoever shows tokens hears of it. */
export class Pointer {
  query = -1;
  key = -1;
  private listeners = new Set<() => void>();

  at(query: number, key: number): void {
    if (query === this.query && key === this.key) return;
    this.query = query;
    this.key = key;
    for (const listener of this.listeners) listener();
  }

  hear(listener: () => void): void {
    this.listeners.add(listener);
  }
}

/** A question to `model`, of which only what concerns it is asked. */
export function asked(model: Model, text: string, state: State, off: Record<string, number[]>): Question {
  const question: Question = { model: model.name, text };
  if (state.target && writes(model)) question.target = state.target;
  if (state.beam && writes(model)) question.beam = Number(state.beam);
  if (state.tokens && model.architecture === "decoder") question.tokens = Number(state.tokens);
  if (Object.keys(off).length) question.silenced = off;
  return question;
}

/** Whether a model writes its answer piece by piece. */
export function writes(model: Model): boolean {
  return model.architecture !== "encoder";
}

/** The attention the state points at; where it points at none, one of the kind that tells the story, the last. */
export function chosen(look: Look, state: State): Attention {
  const named = look.attentions.find((each) => each.name === state.attention);
  const telling = look.attentions.filter((each) => each.name.endsWith(look.shown));
  return (named ?? telling[telling.length - 1] ?? look.attentions[0]) as Attention;
}

/** The head the state points at, within what there is; −1 is the mean. */
export function chosenHead(attention: Attention, state: State): number {
  return state.head >= -1 && state.head < attention.heads ? state.head : 0;
}
