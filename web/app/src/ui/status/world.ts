/** A map of the world with nodes on it. The list of nodes beside it says the same in words. */

import { quality } from '../../status/format.ts';
import { height, landDots, project, width } from '../../status/land.ts';
import { type Node, type Place, placeOf } from '../../status/model.ts';
import { nodePath } from '../../status/route.ts';
import { h } from '../dom.ts';
import { s } from './dom.ts';

const step = 2.3;
let dots: string | undefined; // of land, made when the first map is

export type Spot = { id: string; name: string; at: Place; state: string; quality: number };

/** Nodes that declare a place. Those in one place are moved apart so that each is seen. */
export function spots(nodes: readonly Node[]): Spot[] {
  const taken = new Map<string, number>();
  return nodes.flatMap((node) => {
    const at = placeOf(node);
    if (!at) return [];
    const cell = `${Math.round(at.lat)} ${Math.round(at.lon)}`;
    const others = taken.get(cell) ?? 0;
    taken.set(cell, others + 1);
    const turn = others * 2.4;
    const away = others === 0 ? 0 : 1.6 * Math.sqrt(others);
    return [{ id: node.nodeId, name: node.placeName ?? '', at: { lat: at.lat + away * Math.sin(turn), lon: at.lon + away * Math.cos(turn) }, state: node.state, quality: node.quality }];
  });
}

/** Bands of quality, worst first: the size of a dot's ring. */
export function band(quality: number): 'low' | 'fair' | 'good' {
  if (quality < 0.5) return 'low';
  return quality < 0.9 ? 'fair' : 'good';
}

export function world(nodes: readonly Node[], registries: readonly { place?: Place }[] = []): HTMLElement {
  dots ??= landDots(step);
  const placed = spots(nodes);
  const counts = new Map<string, number>();
  for (const spot of placed) counts.set(spot.state, (counts.get(spot.state) ?? 0) + 1);
  const said = [...counts].map(([name, n]) => `${n} ${name}`).join(', ') || 'none';
  const picture = s(
    'svg',
    { viewBox: `0 0 ${width.toFixed(1)} ${height}`, class: 'world', role: 'group', 'aria-label': `Map of ${placed.length} nodes: ${said}. The list says the same in words.` },
    s('path', { class: 'land', d: dots }),
    ...registries.flatMap(({ place }) => {
      if (!place) return [];
      const { x, y } = project(place.lat, place.lon);
      return [s('rect', { class: 'registry', x: (x - 1.6).toFixed(1), y: (y - 1.6).toFixed(1), width: 3.2, height: 3.2 })];
    }),
    ...placed.map((spot) => {
      const { x, y } = project(spot.at.lat, spot.at.lon);
      const link = s('a', { href: nodePath(spot.id), class: `spot ${spot.state} ${band(spot.quality)}`, tabindex: -1, 'data-key': spot.id, 'aria-label': `${spot.name || spot.id}: ${spot.state}` });
      link.append(
        s('circle', { class: 'ring', cx: x.toFixed(1), cy: y.toFixed(1), r: 4.2 }),
        spot.state === 'down'
          ? s('path', { class: 'cross', d: `M${(x - 1.7).toFixed(1)} ${(y - 1.7).toFixed(1)}l3.4 3.4m0 -3.4l-3.4 3.4` })
          : s('circle', { class: 'core', cx: x.toFixed(1), cy: y.toFixed(1), r: 2.1 }),
        s('title', {}, `${spot.name || spot.id}: ${spot.state}, quality ${quality(spot.quality).text}`),
      );
      return link;
    }),
  );
  const missing = nodes.length - placed.length;
  return h(
    'figure',
    { class: 'map' },
    picture as unknown as globalThis.Node,
    h(
      'figcaption',
      {},
      h('span', { class: 'key up' }, 'up'),
      h('span', { class: 'key suspect' }, 'silent'),
      h('span', { class: 'key down' }, 'down'),
      h('span', { class: 'key quality' }, 'a full ring: good quality'),
      h('span', {}, 'Places are declared by nodes', missing > 0 ? `; ${missing} ${missing === 1 ? 'declares' : 'declare'} none` : '', '.'),
    ),
  );
}
