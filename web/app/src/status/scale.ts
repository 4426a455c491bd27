/** Axes and shapes of charts, in numbers and SVG path data. */

/** Round numbers from 0 to at least `max`, some `count` of them. */
export function ticks(max: number, count = 4): number[] {
  if (!(max > 0) || !Number.isFinite(max)) return [0, 1];
  const raw = max / count;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * size).find((n) => n >= raw * 0.999) ?? 10 * size;
  const list: number[] = [];
  for (let i = 0; i === 0 || list[i - 1]! < max * 0.9999; i++) list.push(Number((i * step).toPrecision(12)));
  return list;
}

/** At most `most` of the indices of a list, the first and last among them, evenly apart. */
export function labelled(length: number, most: number): number[] {
  if (length <= most) return Array.from({ length }, (_, i) => i);
  const step = Math.ceil((length - 1) / (most - 1));
  const list: number[] = [];
  for (let i = length - 1; i >= 0; i -= step) list.unshift(i);
  return list;
}

/** A line through points; a gap where a value is undefined. */
export function line(points: readonly ({ x: number; y: number } | undefined)[]): string {
  let path = '';
  let pen = false;
  for (const point of points) {
    if (point) path += `${pen ? 'L' : 'M'}${round(point.x)} ${round(point.y)}`;
    pen = point !== undefined;
  }
  return path;
}

export function round(value: number): string {
  return String(Math.round(value * 10) / 10);
}
