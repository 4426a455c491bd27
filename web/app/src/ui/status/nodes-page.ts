import type { Feed } from '../../status/feed.ts';
import { filterNodes, nodeFilterQuery, type NodeFilter, type NodeSort, parseNodeFilter } from '../../status/filter.ts';
import { mbps, percent, quality } from '../../status/format.ts';
import type { Node as MediaNode } from '../../status/model.ts';
import { h } from '../dom.ts';
import { type AllNodes, loadNodes } from './nodes.ts';
import { type Column, meter, nodeLink, nothing, state, table, value } from './parts.ts';
import { Page, sentence, warning } from './page.ts';
import { world } from './world.ts';

/** Rows of the table; a filter finds the others. */
const mostRows = 200;

const placeWords: Record<string, string> = {
  none: 'none declared', declared: 'declared only', 'confirmed-possible': 'possible', doubted: 'doubted', refuted: 'refuted',
};

export function placeWord(finding: string | undefined): string {
  return placeWords[finding ?? ''] ?? finding ?? '–';
}

export class NodesPage extends Page {
  title = 'Nodes';
  private all: AllNodes | undefined;
  private filter: NodeFilter = parseNodeFilter(location.search);

  async load(feed: Feed): Promise<void> {
    this.all = await loadNodes(feed);
  }

  draw(): (Node | string | undefined | false)[] {
    const all = this.all;
    if (!all) return [];
    if (all.nodes.length === 0) return [nothing(all.problem ? 'The Registry does not answer.' : 'No node has registered yet.', all.problem ? sentence(all.problem) : 'A Media Node appears here some seconds after it was started.')];
    const shown = filterNodes(all.nodes, this.filter);
    return [
      all.problem ? warning(`Shown is what was last heard: ${all.problem}.`) : undefined,
      all.more ? warning(`This network has more than ${all.nodes.length} nodes; these are the first by id.`) : undefined,
      this.form(all.nodes),
      h('p', { class: 'count', role: 'status' }, count(shown.length, all.nodes.length)),
      world(shown),
      shown.length === 0
        ? nothing('No node is like that.', 'Take a word away, or choose another state or region.')
        : table('Media Nodes', columns, shown.slice(0, mostRows), (node) => node.nodeId),
      shown.length > mostRows ? h('p', {}, `${shown.length - mostRows} more are not listed: narrow the search to see them.`) : undefined,
    ];
  }

  private form(nodes: readonly MediaNode[]): HTMLElement {
    const regions = [...new Set(nodes.map((node) => node.region ?? '').filter(Boolean))].sort();
    return h(
      'form',
      { class: 'filter', role: 'search', 'aria-label': 'Find nodes', onsubmit: (event) => event.preventDefault() },
      h('label', {}, 'Find', input('text', this.filter.text, 'id, place, owner, version', (text) => this.set({ text }))),
      h('label', {}, 'State', select(this.filter.state, [['', 'all'], ['up', 'up'], ['suspect', 'silent'], ['unknown', 'not heard yet'], ['down', 'down'], ['draining', 'draining']], (to) => this.set({ state: to }))),
      h('label', {}, 'Region', select(this.filter.region, [['', 'all'], ...regions.map((name): [string, string] => [name, name])], (region) => this.set({ region }))),
      h('label', {}, 'Order', select(this.filter.sort, [['place', 'by place'], ['id', 'by id'], ['quality', 'worst quality first'], ['availability', 'least available first'], ['load', 'fullest first'], ['capacity', 'largest first']], (sort) => this.set({ sort: sort as NodeSort }))),
    );
  }

  private set(change: Partial<NodeFilter>): void {
    this.filter = { ...this.filter, ...change };
    history.replaceState(null, '', `${location.pathname}${nodeFilterQuery(this.filter)}`);
    this.redraw();
  }
}

const columns: Column<MediaNode>[] = [
  { head: 'Node', cell: (node) => nodeLink(node.nodeId, node.placeName || 'no place') },
  { head: 'State', cell: (node) => state(node.state, node.draining) },
  { head: 'Region', cell: (node) => node.region ?? '–' },
  { head: 'Quality', cell: (node) => value(quality(node.quality)), number: true },
  { head: 'Availability', cell: (node) => value(percent(node.availability)), number: true },
  {
    head: 'Load',
    cell: (node) => h('span', { class: 'with-meter' }, meter(node.capacityMbps === 0 ? 0 : node.loadMbps / node.capacityMbps), value(mbps(node.loadMbps)), ' of ', value(mbps(node.capacityMbps))),
    number: true,
  },
  { head: 'Sessions', cell: (node) => (node.maxSessions ? `${node.sessions} of ${node.maxSessions}` : String(node.sessions)), number: true },
  { head: 'Place', cell: (node) => placeWord(node.placeVerdict) },
  { head: 'Version', cell: (node) => node.version ?? '–' },
];

function count(shown: number, all: number): string {
  return shown === all ? `${all} ${all === 1 ? 'node' : 'nodes'}` : `${shown} of ${all} nodes`;
}

export function input(name: string, text: string, placeholder: string, changed: (text: string) => void): HTMLElement {
  return h('input', { type: 'search', name, value: text, placeholder, autocomplete: 'off', spellcheck: 'false', oninput: (event) => changed((event.target as HTMLInputElement).value) });
}

export function select(chosen: string, options: [value: string, text: string][], changed: (value: string) => void): HTMLElement {
  const element = h(
    'select',
    { onchange: (event) => changed((event.target as HTMLSelectElement).value) },
    ...options.map(([value, text]) => h('option', { value, selected: value === chosen }, text)),
  );
  element.value = chosen;
  return element;
}
