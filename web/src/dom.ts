// Elements out of plain data. Text goes in by textContent alone, so whatever a token says is shown and never obeyed.

export type Child = Node | string | number | null | undefined | false;

type Attributes = Record<string, string | number | boolean | ((event: never) => void) | undefined>;

/** An element with attributes (functions are listeners, `true` is an empty attribute) and children (strings are text). */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), attributes, children);
}

const SVG = "http://www.w3.org/2000/svg";

/** The same for SVG. */
export function s<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill<E extends Element>(element: E, attributes: Attributes, children: Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value as EventListener);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child): child is Node | string | number => child !== null && child !== undefined && child !== false).map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

/** Everything in `parent` replaced by `children`. */
export function put(parent: Element, ...children: Child[]): void {
  parent.replaceChildren();
  fill(parent, {}, children);
}

/** A custom property of an element's style; the policy of the page forbids style attributes, not this. */
export function paint(element: HTMLElement | SVGElement, property: string, value: string): void {
  element.style.setProperty(property, value);
}

/** A canvas of so many CSS pixels, sharp on any screen, and its context scaled to them. */
export function size(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D {
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  paint(canvas, "width", `${width}px`);
  paint(canvas, "height", `${height}px`);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("this browser has no canvas");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}
