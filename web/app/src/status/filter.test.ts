import { expect, it } from 'vitest';
import { filterNodes, nodeFilterQuery, type NodeFilter, parseNodeFilter } from './filter.ts';
import type { Node, State } from './model.ts';

const all: NodeFilter = { text: '', region: '', state: '', sort: 'place' };

function node(n: number, more: Partial<Node> = {}): Node {
  return {
    nodeId: `0x${String(n).padStart(40, '0')}`, capacityMbps: 1000, loadMbps: 0, sessions: 0, generation: '0', seq: '1', issuedAt: '', expiresAt: '',
    quality: 1, availability: 1, state: 'up' as State, ...more,
  };
}

const nodes = [
  node(1, { placeName: 'Virginia', region: 'NAM', quality: 0.9, loadMbps: 500 }),
  node(2, { placeName: 'Frankfurt', region: 'EU', state: 'down', availability: 0.5 }),
  node(3, { region: 'EU', draining: true, capacityMbps: 10_000, features: ['data'] }),
];
const shown = (filter: Partial<NodeFilter>): number[] => filterNodes(nodes, { ...all, ...filter }).map((one) => Number(one.nodeId.slice(-2)));

it('shows nodes by place, those without one last', () => expect(shown({})).toEqual([2, 1, 3]));
it('finds by all words, in any letter case', () => {
  expect(shown({ text: 'FRANK eu' })).toEqual([2]);
  expect(shown({ text: 'data' })).toEqual([3]);
  expect(shown({ text: 'frank nam' })).toEqual([]);
});
it('narrows by region and state', () => {
  expect(shown({ region: 'EU' })).toEqual([2, 3]);
  expect(shown({ state: 'down' })).toEqual([2]);
  expect(shown({ state: 'draining' })).toEqual([3]);
});
it('orders by what one looks for', () => {
  expect(shown({ sort: 'quality' })).toEqual([1, 2, 3]);
  expect(shown({ sort: 'availability' })).toEqual([2, 1, 3]);
  expect(shown({ sort: 'load' })).toEqual([1, 2, 3]);
  expect(shown({ sort: 'capacity' })).toEqual([3, 1, 2]);
  expect(shown({ sort: 'id' })).toEqual([1, 2, 3]);
});
it('keeps a filter in the address, and nothing that is as usual', () => {
  expect(nodeFilterQuery(all)).toBe('');
  const filter: NodeFilter = { text: 'a b', region: 'EU', state: 'down', sort: 'load' };
  expect(parseNodeFilter(nodeFilterQuery(filter))).toEqual(filter);
  expect(parseNodeFilter('?sort=nonsense')).toEqual(all);
});
