// What was read and what was written, token by token, with probabilities. Pointing at a token colours the others: blue
// where it looks, orange who looks at it, in the head that is chosen.

import type { App } from "./app";
import { chosen, chosenHead } from "./app";
import { h, paint, put } from "./dom";
import type { Look, Side, Written } from "./source";
import { percent, t, type Word } from "./words";

interface Chip {
  element: HTMLElement;
  side: Side | "";
  index: number;
}

export class Strip {
  readonly element = h("div", { class: "strips" });
  private card = h("div", { class: "card", role: "tooltip", hidden: true });
  private chips: Chip[] = [];
  private look: Look | undefined;
  private glance = 0;

  constructor(private app: App) {
    app.pointer.hear(() => void this.colour());
  }

  /** `look` is shown; symbols that differ from `other`'s are marked. */
  show(look: Look, other?: Look): void {
    this.look = look;
    this.chips = [];
    const aligned = look.written.length > 0 && look.written.every((each) => each.row !== null);
    const side: Side = look.sides.target ? "target" : "source";
    const differs = different(look, other);
    const line = (name: Word, chips: HTMLElement[]): HTMLElement => h("div", { class: "strip" }, h("span", { class: "name" }, t(name)), h("div", { class: "chips" }, ...chips));
    const lines: HTMLElement[] = [];
    if (!aligned || side === "target") lines.push(line("read", (look.sides.source ?? []).map((label, index) => this.chip(label, "source", index))));
    if (look.written.length) {
      const chips = look.written.map((each, place) => this.written(each, aligned ? side : "", each.row ?? place, differs(place)));
      lines.push(line(!aligned ? "answered" : look.written.some((each) => each.given) ? "readAndWritten" : "written", chips));
    }
    put(this.element, ...lines, this.card);
    void this.colour();
  }

  private chip(label: string, side: Side | "", index: number): HTMLElement {
    const element = h(
      "span",
      {
        class: "chip",
        tabindex: 0,
        "data-side": side,
        "data-index": index,
        pointerenter: () => this.point(side, index),
        focus: () => this.point(side, index),
        pointerleave: () => this.app.pointer.at(-1, -1),
        blur: () => this.app.pointer.at(-1, -1),
        click: () => this.hold(side, index),
      },
      h("bdi", { class: "label" }, label),
    );
    this.chips.push({ element, side, index });
    return element;
  }

  private written(each: Written, side: Side | "", index: number, marked: boolean): HTMLElement {
    const element = this.chip(each.label, side, index);
    element.classList.toggle("differs", marked);
    element.classList.toggle("given", each.given);
    if (each.about) element.prepend(h("bdi", { class: "about" }, each.about));
    if (each.probability === null) element.append(h("span", { class: "chance" }, t("given")));
    else {
      const bar = h("span", { class: "bar" });
      paint(bar, "--share", `${100 * each.probability}%`);
      element.append(h("span", { class: "chance" }, percent(each.probability)), bar);
      element.setAttribute("aria-label", `${each.about} ${each.label}, ${t("probability")} ${percent(each.probability)}`.trim());
    }
    const open = (): void => this.tell(element, each);
    const close = (): void => void (this.card.hidden = true);
    element.addEventListener("pointerenter", open);
    element.addEventListener("focus", open);
    element.addEventListener("pointerleave", close);
    element.addEventListener("blur", close);
    return element;
  }

  /** The likeliest symbols at one place, in a card below it. */
  private tell(element: HTMLElement, each: Written): void {
    if (!each.rivals.length) return;
    const rows = each.rivals.map((rival) => {
      const bar = h("span", { class: "bar" });
      paint(bar, "--share", `${100 * rival.probability}%`);
      return h("li", { class: rival.label === each.label ? "chosen" : "" }, h("bdi", {}, rival.label), h("span", {}, percent(rival.probability)), bar);
    });
    put(this.card, h("b", {}, t("rivals")), h("ol", {}, ...rows));
    this.card.hidden = false;
    const [chip, home] = [element.getBoundingClientRect(), this.element.getBoundingClientRect()];
    paint(this.card, "left", `${Math.max(0, Math.min(chip.left - home.left, home.width - 236))}px`);
    paint(this.card, "top", `${chip.bottom - home.top + 6}px`);
  }

  /** Which query, which key a chip is in the chosen attention. */
  private place(side: Side | "", index: number): [number, number] {
    if (!this.look || !side) return [-1, -1];
    const attention = chosen(this.look, this.app.state);
    const as = (which: Side): number => (which === side ? index : which === "fed" && side === "target" && index + 1 < attention.columns ? index + 1 : -1);
    return [as(attention.queries), as(attention.keys)];
  }

  private point(side: Side | "", index: number): void {
    const [query, key] = this.place(side, index);
    this.app.pointer.at(query, key);
  }

  private hold(side: Side | "", index: number): void {
    const [query, key] = this.place(side, index);
    this.app.store.set({ ...(query >= 0 ? { query } : {}), ...(key >= 0 ? { key } : {}) });
  }

  /** Blue on what the query looks at, orange on who looks at the key; of what is pointed at, else held. */
  async colour(): Promise<void> {
    const { look, app } = this;
    if (!look) return;
    const attention = chosen(look, app.state);
    const head = chosenHead(attention, app.state);
    const pointed = app.pointer.query >= 0 || app.pointer.key >= 0;
    const query = within(pointed ? app.pointer.query : app.state.query, attention.rows);
    const key = within(pointed ? app.pointer.key : app.state.key, attention.columns);
    const turn = ++this.glance;
    let found: { looks: Float32Array | undefined; seen: Float32Array | undefined } = { looks: undefined, seen: undefined };
    if (query >= 0 || key >= 0) {
      try {
        found = await app.glances.of(look.key, attention.name, head, query, key);
      } catch (error) {
        app.failed(error);
      }
    }
    if (turn !== this.glance) return;
    for (const chip of this.chips) {
      const [asQuery, asKey] = this.place(chip.side, chip.index);
      paint(chip.element, "--looks-share", String(asKey >= 0 ? (found.looks?.[asKey] ?? 0) : 0));
      paint(chip.element, "--seen-share", String(asQuery >= 0 ? (found.seen?.[asQuery] ?? 0) : 0));
      chip.element.classList.toggle("query", asQuery >= 0 && asQuery === query);
      chip.element.classList.toggle("key", asKey >= 0 && asKey === key && query < 0);
    }
  }
}

function within(place: number, count: number): number {
  return place < count ? place : -1;
}

/** Which symbols of `look` another answer does not have at that place. */
function different(look: Look, other?: Look): (place: number) => boolean {
  if (!other) return () => false;
  return (place) => look.written[place]?.label !== other.written[place]?.label;
}
