// The frame of the page: which model, which text, which view; and the one place where answers are asked for when the
// state changes.

import { App, asked, writes } from "./app";
import { CompareView } from "./compare";
import { h, put } from "./dom";
import { LookView } from "./lookview";
import { PlacesView } from "./places";
import type { Look, Model, Source } from "./source";
import { Store, type State, type View } from "./state";
import { TableView } from "./table";
import { TrainingView } from "./training";
import { speak, t, type Word } from "./words";

const VIEWS: View[] = ["look", "compare", "table", "training", "places"];
const OFFLINE: View[] = ["look", "table"];
const PAUSE = 200;
const EXAMPLES: Record<string, string> = { translation: "3 mars 2024", "language-model": "Once upon a time" };

export class Page {
  private app: App;
  private store = new Store();
  private bar = h("header", { class: "top" });
  private form = h("form", { class: "ask", submit: (event: Event) => this.submit(event) });
  private message = h("div", { class: "message", role: "status", "aria-live": "polite" });
  private main = h("main", {});
  private views: { look: LookView; compare: CompareView; table: TableView; training: TrainingView; places: PlacesView };
  private turn = 0;
  private busy = 0;

  constructor(
    private root: Element,
    source: Source,
  ) {
    this.app = new App(this.store, source, (error) => this.complain(error));
    speak(this.store.state.lang);
    this.dress();
    this.views = this.fresh();
  }

  async start(): Promise<void> {
    put(this.root, this.bar, this.form, this.message, this.main);
    try {
      this.app.models = await this.app.source.models();
    } catch (error) {
      this.complain(error);
      return;
    }
    this.store.hear((state, before) => this.changed(state, before));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redress());
    const { text, live } = this.app.source;
    if (!live && text && this.store.state.text !== text) this.store.set({ text, view: "look" });
    this.frame();
    this.render();
  }

  private fresh(): Page["views"] {
    const { app } = this;
    return { look: new LookView(app), compare: new CompareView(app), table: new TableView(app), training: new TrainingView(app), places: new PlacesView(app) };
  }

  private changed(state: State, before: State): void {
    if (state.lang !== before.lang || state.theme !== before.theme) {
      this.redress();
      return;
    }
    this.frame();
    this.render();
  }

  private redress(): void {
    speak(this.store.state.lang);
    this.dress();
    this.views = this.fresh();
    this.frame();
    this.render();
  }

  private dress(): void {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset["theme"] = this.store.state.theme || (dark ? "dark" : "light");
  }

  /** The parts around the view. What has the focus keeps it. */
  private frame(): void {
    const active = document.activeElement;
    const focused = active instanceof HTMLElement && (this.bar.contains(active) || this.form.contains(active)) ? active.dataset["control"] : undefined;
    const typing = active instanceof HTMLTextAreaElement || active instanceof HTMLInputElement ? active : undefined;
    const model = this.app.model();
    const views = this.app.source.live ? VIEWS : OFFLINE;
    document.title = this.store.state.text ? `${this.store.state.text.slice(0, 60)} · Clearhead` : "Clearhead";
    put(
      this.bar,
      h("a", { class: "brand", href: "#" }, "Clearhead"),
      this.chooseModel(model),
      h("nav", { "aria-label": t("menu") }, ...views.map((view) => h("button", { type: "button", "data-control": `view-${view}`, "aria-pressed": String(this.store.state.view === view), click: () => this.store.set({ view }, { step: true }) }, t(view)))),
      h(
        "span",
        { class: "tools" },
        h("button", { type: "button", "data-control": "language", lang: t("language") === "English" ? "en" : "zh", click: () => this.store.set({ lang: t("language") === "English" ? "en" : "zh" }) }, t("language")),
        h("button", { type: "button", "data-control": "theme", "aria-label": t("theme"), title: t("theme"), click: () => this.store.set({ theme: document.documentElement.dataset["theme"] === "dark" ? "light" : "dark" }) }, "◐"),
      ),
    );
    if (!typing || !this.form.contains(typing)) this.fillForm(model);
    if (focused) this.root.querySelector<HTMLElement>(`[data-control="${focused}"]`)?.focus();
  }

  private chooseModel(model: Model | undefined): HTMLElement {
    const facts = model ? `${model.task} · ${model.architecture} · ${t("parameters", { n: model.parameters.toLocaleString("en") })}` : "";
    const choice =
      this.app.models.length > 1
        ? h("select", { "data-control": "model", "aria-label": t("model"), change: (event: Event) => this.store.set({ model: (event.target as HTMLSelectElement).value, attention: "", off: {}, query: -1, key: -1 }, { step: true }) }, ...this.app.models.map((each) => h("option", { value: each.name, selected: each === model }, each.name)))
        : h("b", {}, model?.name ?? "");
    return h("span", { class: "model" }, choice, h("small", {}, facts));
  }

  private fillForm(model: Model | undefined): void {
    const { state } = this.store;
    const live = this.app.source.live;
    const wide = h("textarea", { rows: 1, id: "text", "data-control": "text", spellcheck: "false", autocomplete: "off", placeholder: t("sentenceHint"), "aria-label": t("sentence"), readonly: !live, keydown: (event: KeyboardEvent) => { if (event.key === "Enter" && !event.shiftKey && !event.isComposing) this.submit(event); } });
    wide.value = state.text;
    const field = (name: "target" | "beam" | "tokens", label: Word, hint: string, kind = "text"): HTMLElement => {
      const input = h("input", { type: kind, name, "data-control": name, placeholder: hint, min: kind === "number" ? 1 : undefined, max: name === "beam" ? 16 : 512, autocomplete: "off" });
      input.value = state[name];
      return h("label", { class: name }, h("span", {}, t(label)), input);
    };
    put(
      this.form,
      h("div", { class: "line" }, wide, live && h("button", { type: "submit", class: "go" }, t("look"))),
      !live && h("p", { class: "hint" }, t("fileOnly"), (this.app.source.leftOut ?? []).length > 0 && ` ${t("leftOut", { what: (this.app.source.leftOut ?? []).join(", ") })}`),
      live && model && writes(model) && h("div", { class: "line more" }, field("target", "target", t("targetHint")), field("beam", "beam", t("asRecipe"), "number"), model.architecture === "decoder" && field("tokens", "tokens", "24", "number")),
    );
  }

  private submit(event: Event): void {
    event.preventDefault();
    const value = (name: string): string => this.form.querySelector<HTMLInputElement | HTMLTextAreaElement>(`[data-control="${name}"]`)?.value ?? "";
    const text = value("text");
    this.store.set({ text, target: value("target"), beam: value("beam"), tokens: value("tokens"), query: -1, key: -1 }, { step: true });
  }

  private render(): void {
    void this.draw().catch((error: unknown) => this.app.failed(error));
  }

  private async draw(): Promise<void> {
    const turn = ++this.turn;
    const { view } = this.store.state;
    if (view === "training") {
      this.place(this.views.training.element);
      this.views.training.show(this.app.model());
      return;
    }
    const question = this.app.question(true);
    if (!question) {
      if (view === "places") this.places(undefined);
      else this.place(this.welcome());
      return;
    }
    const silenced = Boolean(question.silenced);
    const waits = setTimeout(() => put(this.message, t("working")), PAUSE);
    this.busy++;
    this.main.setAttribute("aria-busy", "true");
    try {
      const look = await this.app.ask(question);
      const intact = silenced ? await this.app.ask(this.app.question(false) ?? question) : undefined;
      if (turn !== this.turn) return;
      await this.present(look, intact);
      this.message.classList.remove("wrong");
    } catch (error) {
      if (turn === this.turn) throw error; // nobody waits for the answer to an older question
    } finally {
      clearTimeout(waits);
      if (turn === this.turn && !this.message.classList.contains("wrong")) put(this.message);
      this.busy--;
      if (!this.busy) this.main.removeAttribute("aria-busy");
    }
  }

  private async present(look: Look, intact: Look | undefined): Promise<void> {
    const { state } = this.store;
    if (state.view === "places") this.places(look);
    else if (state.view === "table") {
      this.place(this.views.table.element);
      this.views.table.show(look);
    } else if (state.view === "compare") {
      const second = this.app.models.find((model) => model.name === state.model2) ?? this.app.model();
      this.place(this.views.compare.element);
      const other = second && (state.text2 || state.model2) ? await this.app.ask(asked(second, state.text2 || state.text, state, {})) : undefined;
      this.views.compare.show(look, other);
    } else {
      this.place(this.views.look.element);
      this.views.look.show(look, intact);
    }
  }

  private places(look: Look | undefined): void {
    this.place(this.views.places.element);
    this.views.places.show(this.app.model(), look);
  }

  private place(element: Element): void {
    if (this.main.firstChild !== element) put(this.main, element);
  }

  private welcome(): HTMLElement {
    const example = EXAMPLES[this.app.model()?.task ?? ""];
    return h("div", { class: "welcome" }, h("p", {}, t("empty")), example && this.app.source.live && h("p", {}, `${t("try")}: `, h("button", { type: "button", class: "plain", click: () => this.store.set({ text: example }, { step: true }) }, example)));
  }

  private complain(error: unknown): void {
    this.message.classList.add("wrong");
    put(this.message, t("wrong", { why: error instanceof Error ? error.message : String(error) }));
  }
}
