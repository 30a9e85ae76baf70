// Binary frames as `service/looking/frames.py` writes them: a header in JSON, then arrays of numbers.

export type Numbers = Uint8Array | Float32Array | Int32Array;

export interface Block {
  shape: number[];
  values: Numbers;
}

export interface Frame<Facts> {
  facts: Facts;
  arrays: Record<string, Block>;
}

interface Entry {
  name: string;
  dtype: string;
  shape: number[];
  offset: number;
}

/** What a frame holds; float16 becomes float32. */
export function readFrame<Facts>(buffer: ArrayBuffer): Frame<Facts> {
  const view = new DataView(buffer);
  const length = view.getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length))) as Facts & { arrays: Entry[] };
  const arrays: Record<string, Block> = {};
  for (const entry of header.arrays) {
    const count = entry.shape.reduce((product, side) => product * side, 1);
    arrays[entry.name] = { shape: entry.shape, values: numbers(buffer, entry.dtype, 4 + length + entry.offset, count) };
  }
  return { facts: header, arrays };
}

function numbers(buffer: ArrayBuffer, dtype: string, offset: number, count: number): Numbers {
  switch (dtype) {
    case "uint8":
      return new Uint8Array(buffer, offset, count);
    case "float32":
      return new Float32Array(buffer, offset, count);
    case "int32":
      return new Int32Array(buffer, offset, count);
    case "float16":
      return Float32Array.from(new Uint16Array(buffer, offset, count), half);
    default:
      throw new Error(`a frame holds an array of ${dtype}, which this page does not read`);
  }
}

/** The number that 16 bits stand for (IEEE 754 binary16). */
export function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
