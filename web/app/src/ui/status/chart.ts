/** Bars and lines over epochs, each with the same numbers as a table. */

import { type Reading, short } from '../../status/format.ts';
import { labelled, line, round, ticks } from '../../status/scale.ts';
import { h } from '../dom.ts';
import { s } from './dom.ts';
import { value } from './parts.ts';

export type Series = {
  name: string;
  /** One of 1 to 4: colour and dash. */
  look: number;
  /** By position on the axis; undefined is a gap. */
  values: (number | undefined)[];
  read: (at: number) => Reading;
};

export type Chart = {
  key: string;
  title: string;
  unit: string;
  /** What is written below each position. */
  axis: string[];
  axisName: string;
  series: Series[];
  kind: 'bars' | 'lines';
  /** Greatest value of the axis; by itself that of the values. */
  top?: number;
  small?: boolean;
};

const frame = { left: 46, right: 8, top: 10, bottom: 24 };

export function chart(c: Chart): HTMLElement {
  const size = c.small ? { width: 320, height: 120 } : { width: 860, height: 210 };
  const wide = size.width - frame.left - frame.right;
  const tall = size.height - frame.top - frame.bottom;
  const greatest = c.top ?? Math.max(0, ...c.series.flatMap((one) => one.values.map((v) => v ?? 0)));
  const marks = ticks(greatest, c.small ? 2 : 4);
  const scale = marks.at(-1)!;
  const slot = wide / Math.max(1, c.axis.length);
  const x = (i: number): number => frame.left + slot * (i + 0.5);
  const y = (v: number): number => frame.top + tall * (1 - v / scale);
  const label = `${c.title}, ${c.unit}. The same numbers are in the table below.`;
  const picture = s(
    'svg',
    { viewBox: `0 0 ${size.width} ${size.height}`, class: 'chart', role: 'img', 'aria-label': label },
    ...marks.map((mark) => s('line', { class: 'grid', x1: frame.left, x2: size.width - frame.right, y1: round(y(mark)), y2: round(y(mark)) })),
    ...marks.map((mark) => s('text', { class: 'tick', x: frame.left - 6, y: round(y(mark) + 4), 'text-anchor': 'end' }, short(mark))),
    ...labelled(c.axis.length, c.small ? 4 : 10).map((i) => s('text', { class: 'tick', x: round(x(i)), y: size.height - 6, 'text-anchor': 'middle' }, c.axis[i]!)),
    ...c.series.flatMap((one, n) => (c.kind === 'bars' ? bars(c, one, n, slot, x, y) : lines(c, one, x, y))),
  );
  return h(
    'figure',
    { class: c.small ? 'figure small' : 'figure', 'data-key': c.key },
    h('figcaption', {}, h('span', { class: 'title' }, c.title), c.series.length > 1 ? legend(c.series) : h('span', { class: 'unit' }, c.unit)),
    picture as unknown as Node,
    numbers(c),
  );
}

function bars(c: Chart, one: Series, n: number, slot: number, x: (i: number) => number, y: (v: number) => number): SVGElement[] {
  const each = Math.min(28, (slot * 0.72) / c.series.length);
  return one.values.flatMap((v, i) => {
    if (v === undefined) return [];
    const left = x(i) - (each * c.series.length) / 2 + each * n;
    const rise = Math.max(v > 0 ? 1.5 : 0, y(0) - y(v));
    const bar = s('rect', { class: `mark look-${one.look}`, x: round(left), y: round(y(0) - rise), width: round(Math.max(1, each - 1)), height: round(rise), rx: 1.5 });
    bar.append(s('title', {}, `${c.axisName} ${c.axis[i]}, ${one.name}: ${one.read(i).exact}`));
    return [bar];
  });
}

function lines(c: Chart, one: Series, x: (i: number) => number, y: (v: number) => number): SVGElement[] {
  const points = one.values.map((v, i) => (v === undefined ? undefined : { x: x(i), y: y(v) }));
  return [
    s('path', { class: `line look-${one.look}`, d: line(points) }),
    ...points.flatMap((point, i) => {
      if (!point) return [];
      const dot = s('circle', { class: `mark look-${one.look}`, cx: round(point.x), cy: round(point.y), r: 3 });
      dot.append(s('title', {}, `${c.axisName} ${c.axis[i]}, ${one.name}: ${one.read(i).exact}`));
      return [dot];
    }),
  ];
}

function legend(series: readonly Series[]): HTMLElement {
  return h('span', { class: 'legend' }, ...series.map((one) => h('span', { class: `look-${one.look}` }, one.name)));
}

/** Newest first, since that is what one looks for. */
function numbers(c: Chart): HTMLElement {
  const rows = c.axis.map((_, i) => i).reverse();
  return h(
    'details',
    { class: 'numbers' },
    h('summary', {}, 'Numbers', h('span', { class: 'hidden' }, ` of ${c.title}`)),
    h(
      'div',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': `${c.title}, numbers` },
      h(
        'table',
        {},
        h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, c.axisName), ...c.series.map((one) => h('th', { scope: 'col', class: 'number' }, one.name)))),
        h(
          'tbody',
          {},
          ...rows.map((i) =>
            h('tr', {}, h('th', { scope: 'row' }, c.axis[i]!), ...c.series.map((one) => h('td', { class: 'number' }, one.values[i] === undefined ? '–' : value(one.read(i))))),
          ),
        ),
      ),
    ),
  );
}
