// The heads while they learnt: the maps of a sentence that the run recorded at each validation, played back or moved
// through by hand.

import type { App } from "./app";
import { palette } from "./colours";
import { h, put, size } from "./dom";
import type { Block } from "./frames";
import type { Model, Recording } from "./source";
import { t } from "./words";

const PAUSE = 700;
const SIDE = 84;

export class Playback {
  readonly element = h("section", { class: "playback" });
  private recording: Recording | undefined;
  private sentence = 0;
  private timer: ReturnType<typeof setInterval> | undefined;
  private slider = h("input", { type: "range", min: 0, "data-control": "moment", "aria-label": t("playback"), input: () => this.app.store.set({ moment: Number(this.slider.value) }) });
  private told = h("output", { class: "readout" });
  private maps = h("div", { class: "moments" });
  private turn = 0;

  constructor(
    private app: App,
    private model: Model,
  ) {
    if (!model.recorded) put(this.element, h("h2", {}, t("playback")), h("p", { class: "hint" }, t("noRecording")));
    else
      app.source
        .recording(model.name)
        .then((recording) => this.build(recording))
        .catch(app.failed);
  }

  private build(recording: Recording): void {
    this.recording = recording;
    const sentences = recording.frames[0]?.sentences ?? [];
    this.slider.max = String(recording.frames.length - 1);
    const choice = h("select", { "data-control": "sentence", "aria-label": t("sentence"), change: (event: Event) => { this.sentence = Number((event.target as HTMLSelectElement).value); this.show(); } }, ...sentences.map((each, place) => h("option", { value: place }, each.source.join(" ").replace(/▁/g, " ").slice(0, 80))));
    put(this.element, h("h2", {}, t("playback")), h("div", { class: "line" }, h("button", { type: "button", "data-control": "play", "aria-label": t("play"), click: () => this.play() }, "▶"), this.slider, this.told, choice), this.maps);
    this.show();
  }

  /** From the start to the end, once; pressed again, it stops. */
  private play(): void {
    if (this.timer !== undefined) {
      this.stop();
      return;
    }
    let next = 0;
    this.timer = setInterval(() => {
      if (!this.recording || next >= this.recording.frames.length || !this.element.isConnected) this.stop();
      else this.app.store.set({ moment: next++ });
    }, PAUSE);
  }

  private stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** The moment that the state points at; the last one when it points at none. */
  show(): void {
    const frames = this.recording?.frames;
    if (!frames?.length) return;
    const wanted = this.app.state.moment;
    const place = wanted >= 0 && wanted < frames.length ? wanted : frames.length - 1;
    this.slider.value = String(place);
    put(this.told, t("update", { n: (frames[place]?.update ?? 0).toLocaleString("en") }));
    const turn = ++this.turn;
    this.app.source
      .moment(this.model.name, place, this.sentence)
      .then((frame) => turn === this.turn && this.draw(frame.arrays))
      .catch(this.app.failed);
  }

  private draw(arrays: Record<string, Block>): void {
    const names = this.model.attentions.filter((name) => name in arrays);
    put(this.maps, ...names.map((name) => h("div", { class: "layer" }, h("span", { class: "name" }, name), h("div", { class: "heads" }, ...small(arrays[name])))));
  }
}

function small(block: Block | undefined): HTMLCanvasElement[] {
  const [heads = 0, rows = 0, columns = 0] = block?.shape ?? [];
  return Array.from({ length: heads }, (_, head) => {
    const image = new ImageData(Math.max(1, columns), Math.max(1, rows));
    const pixels = new Uint32Array(image.data.buffer);
    const { table } = palette();
    for (let place = 0; place < rows * columns; place++) pixels[place] = table[block?.values[head * rows * columns + place] ?? 0] ?? 0;
    const one = h("canvas", { width: image.width, height: image.height });
    one.getContext("2d")?.putImageData(image, 0, 0);
    const canvas = h("canvas", { role: "img", "aria-label": t("head", { n: head }) });
    const context = size(canvas, SIDE, Math.min(SIDE, Math.max(30, (SIDE * rows) / Math.max(1, columns))));
    context.imageSmoothingEnabled = false;
    context.drawImage(one, 0, 0, canvas.clientWidth || SIDE, Math.min(SIDE, Math.max(30, (SIDE * rows) / Math.max(1, columns))));
    return canvas;
  });
}
