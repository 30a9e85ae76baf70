// How the model tells places apart, as pictures asked of its own modules; and the embeddings of the tokens looked at,
// as points in the plane in which they differ most.

import type { App } from "./app";
import { signedNumber } from "./colours";
import { h, paint, put, s, size } from "./dom";
import type { Block, Frame } from "./frames";
import type { Look, Model, PictureFacts, Points } from "./source";
import { digits, percent, t, type Word } from "./words";

const AXES: Record<string, Word> = { position: "position", column: "column", head: "headAxis", distance: "distanceAxis", plane: "plane" };
const PLANE = 460;

export class PlacesView {
  readonly element = h("div", { class: "places" });
  private pictures = h("section", { class: "pictures" });
  private cloud = h("section", { class: "cloud" });
  private turn = 0;

  constructor(private app: App) {
    put(this.element, this.pictures, this.cloud);
  }

  show(model: Model | undefined, look: Look | undefined): void {
    const turn = ++this.turn;
    const still = (): boolean => turn === this.turn;
    if (model)
      this.app.source
        .positions(model.name)
        .then((frame) => still() && this.draw(frame))
        .catch(this.app.failed);
    if (look)
      this.app.source
        .points(look.key, this.app.state.station)
        .then((points) => still() && this.scatter(points))
        .catch(this.app.failed);
    else put(this.cloud, h("h2", {}, t("embeddings")), h("p", { class: "hint" }, t("empty")));
  }

  private draw(frame: Frame<PictureFacts>): void {
    const found = frame.facts.pictures.map((facts, place) => picture(facts, frame.arrays[String(place)]));
    put(this.pictures, h("h2", {}, t("positionsTitle")), ...(found.length ? found : [h("p", { class: "hint" }, t("noPositions"))]));
  }

  private scatter(points: Points): void {
    const stations = h("select", { "data-control": "station", change: (event: Event) => this.app.store.set({ station: (event.target as HTMLSelectElement).value }) }, ...points.stations.map((each) => h("option", { value: each, selected: each === points.station }, each === "tokens" ? t("embeddingRows") : t("stream", { name: each }))));
    const title = h("div", { class: "line" }, h("h2", {}, t("embeddings")), stations);
    if (!points.places.length) {
      put(this.cloud, title, h("p", { class: "hint" }, t("noEmbeddings")));
      return;
    }
    const [xs, ys] = [points.places.map(([x]) => x), points.places.map(([, y]) => y)];
    const scale = (values: number[]) => {
      const [low, high] = [Math.min(...values), Math.max(...values)];
      return (value: number): number => 36 + ((value - low) / (high - low || 1)) * (PLANE - 72);
    };
    const [across, up] = [scale(xs), scale(ys)];
    const drawing = s("svg", { viewBox: `0 0 ${PLANE} ${PLANE}`, role: "img", "aria-label": t("embeddings") });
    points.places.forEach(([x, y], place) => {
      const side = points.sides[place] ?? "source";
      const group = s("g", { class: `point ${side}`, transform: `translate(${across(x).toFixed(1)} ${(PLANE - up(y)).toFixed(1)})` }, s("title", {}, `${points.labels[place] ?? ""} (${digits(x)}, ${digits(y)})`), s("circle", { r: 3.5 }), s("text", { x: 6, y: 4 }, points.labels[place] ?? ""));
      drawing.append(group);
    });
    const legend = [...new Set(points.sides)].map((side) => h("li", { class: `point ${side}` }, h("i", {}), t(`side_${points.sides.includes("fed") ? side : "text"}` as Word)));
    put(this.cloud, title, h("p", { class: "hint" }, t("embeddingsHint", { a: percent(points.explained[0]).replace(" %", ""), b: percent(points.explained[1]).replace(" %", "") })), drawing, h("ul", { class: "legend" }, ...legend));
  }
}

function picture(facts: PictureFacts["pictures"][number], block: Block | undefined): HTMLElement {
  const [rows = 0, columns = 0] = block?.shape ?? [];
  const values = (block?.values ?? new Float32Array()) as Float32Array;
  const most = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) || 1;
  const image = new ImageData(Math.max(1, columns), Math.max(1, rows));
  const pixels = new Uint32Array(image.data.buffer);
  values.forEach((value, place) => (pixels[place] = signedNumber(value / most)));
  const small = h("canvas", { width: image.width, height: image.height });
  small.getContext("2d")?.putImageData(image, 0, 0);
  const canvas = h("canvas", { class: "picture", role: "img", "aria-label": `${facts.name}: ${t(facts.kind)}` });
  const [width, height] = [Math.min(560, Math.max(280, columns * 4)), Math.min(380, Math.max(80, rows * (rows < 40 ? 16 : 2)))];
  const context = size(canvas, width, height);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, width, height);
  const told = h("output", { class: "readout" }, `${t(AXES[facts.axes[0]] ?? "position")} ↓ · ${t(AXES[facts.axes[1]] ?? "column")} →`);
  canvas.addEventListener("pointermove", (event) => {
    const [row, column] = [Math.min(rows - 1, Math.floor((event.offsetY / height) * rows)), Math.min(columns - 1, Math.floor((event.offsetX / width) * columns))];
    put(told, `${t(AXES[facts.axes[0]] ?? "position")} ${row}, ${t(AXES[facts.axes[1]] ?? "column")} ${column + facts.first}: ${digits(values[row * columns + column] ?? 0)}`);
  });
  paint(canvas, "max-width", "100%");
  return h("figure", { "data-name": facts.name }, h("figcaption", {}, h("b", {}, facts.name), ` ${t(facts.kind)}`), canvas, told);
}
