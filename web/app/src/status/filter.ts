/** Which nodes of a list are shown, and in what order. */

import type { Node } from './model.ts';

export type NodeFilter = { text: string; region: string; state: string; sort: NodeSort };
export type NodeSort = 'id' | 'place' | 'quality' | 'availability' | 'load' | 'capacity';

const sorts: readonly NodeSort[] = ['place', 'id', 'quality', 'availability', 'load', 'capacity'];

export function parseNodeFilter(search: string): NodeFilter {
  const query = new URLSearchParams(search);
  return {
    text: query.get('text') ?? '',
    region: query.get('region') ?? '',
    state: query.get('state') ?? '',
    sort: sorts.find((name) => name === query.get('sort')) ?? 'place',
  };
}

/** The query of an address, without what is as it is by itself. */
export function nodeFilterQuery(filter: NodeFilter): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) if (value !== '' && !(name === 'sort' && value === 'place')) query.set(name, value);
  return query.size > 0 ? `?${query}` : '';
}

export function filterNodes(nodes: readonly Node[], filter: NodeFilter): Node[] {
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
  return nodes
    .filter((node) => {
      if (filter.region !== '' && node.region !== filter.region) return false;
      if (filter.state !== '' && (filter.state === 'draining' ? !node.draining : node.state !== filter.state)) return false;
      const where = `${node.nodeId} ${node.placeName ?? ''} ${node.region ?? ''} ${node.owner ?? ''} ${node.version ?? ''} ${(node.features ?? []).join(' ')}`.toLowerCase();
      return words.every((word) => where.includes(word));
    })
    .sort(order(filter.sort));
}

function order(sort: NodeSort): (a: Node, b: Node) => number {
  const byId = (a: Node, b: Node): number => (a.nodeId < b.nodeId ? -1 : 1);
  const load = (node: Node): number => (node.capacityMbps === 0 ? 0 : node.loadMbps / node.capacityMbps);
  const keys: Record<NodeSort, (a: Node, b: Node) => number> = {
    id: () => 0,
    place: (a, b) => (a.placeName ?? '\uffff').localeCompare(b.placeName ?? '\uffff'),
    quality: (a, b) => a.quality - b.quality,
    availability: (a, b) => a.availability - b.availability,
    load: (a, b) => load(b) - load(a),
    capacity: (a, b) => b.capacityMbps - a.capacityMbps,
  };
  return (a, b) => keys[sort](a, b) || byId(a, b);
}
