// Colours that everybody can tell apart. One hue from the ground to its fullest for weights, so that lightness alone
// says how much; blue against orange (Okabe and Ito) for signs and for looking against being looked at.

type Rgb = readonly [number, number, number];

const LIGHT: Rgb[] = [[255, 255, 255], [222, 235, 247], [158, 202, 225], [66, 146, 198], [8, 81, 156], [8, 40, 92]];
const DARK: Rgb[] = [[22, 25, 31], [24, 48, 82], [32, 88, 148], [62, 143, 208], [150, 207, 240], [250, 250, 214]];
const MINUS: Rgb = [0, 114, 178];
const PLUS: Rgb = [213, 94, 0];
const STEPS = 256;

export interface Palette {
  dark: boolean;
  /** `STEPS` colours as one RGBA number each, for weights from 0 to 1. */
  table: Uint32Array;
}

const made = new Map<boolean, Palette>();

export function isDark(): boolean {
  return document.documentElement.dataset["theme"] === "dark";
}

/** The colours of weights on the present ground. */
export function palette(dark = isDark()): Palette {
  let found = made.get(dark);
  if (!found) {
    const stops = dark ? DARK : LIGHT;
    const table = new Uint32Array(STEPS);
    for (let step = 0; step < STEPS; step++) table[step] = packed(between(stops, step / (STEPS - 1)));
    found = { dark, table };
    made.set(dark, found);
  }
  return found;
}

/** The colour of a weight as CSS. */
export function shade(weight: number, dark = isDark()): string {
  return css(between(dark ? DARK : LIGHT, clamp(weight)));
}

/** Black or white, whichever is legible on the shade of a weight. */
export function ink(weight: number, dark = isDark()): string {
  return dark ? (weight > 0.62 ? "#101216" : "#f2f4f7") : weight > 0.5 ? "#ffffff" : "#14181f";
}

/** A signed value from −1 to 1: blue below, orange above, the ground at 0. */
export function signed(value: number, dark = isDark()): string {
  const share = clamp(Math.abs(value));
  const ground = (dark ? DARK : LIGHT)[0] as Rgb;
  return css(mixed(ground, value < 0 ? MINUS : PLUS, share));
}

/** The same as one RGBA number. */
export function signedNumber(value: number, dark = isDark()): number {
  const share = clamp(Math.abs(value));
  const ground = (dark ? DARK : LIGHT)[0] as Rgb;
  return packed(mixed(ground, value < 0 ? MINUS : PLUS, share));
}

function between(stops: Rgb[], share: number): Rgb {
  const place = clamp(share) * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  return mixed(stops[low] as Rgb, stops[low + 1] as Rgb, place - low);
}

function mixed(a: Rgb, b: Rgb, share: number): Rgb {
  return [a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, a[2] + (b[2] - a[2]) * share];
}

function clamp(value: number): number {
  return Math.min(1, Math.max(0, value));
}

function packed([red, green, blue]: Rgb): number {
  return ((255 << 24) | (Math.round(blue) << 16) | (Math.round(green) << 8) | Math.round(red)) >>> 0;
}

function css([red, green, blue]: Rgb): string {
  return `rgb(${Math.round(red)} ${Math.round(green)} ${Math.round(blue)})`;
}
