import { type Answer, type Feed, valueOf } from '../../status/feed.ts';
import { bytes, hudl, mbps, short } from '../../status/format.ts';
import type { Chain, Epoch, EpochList, Network } from '../../status/model.ts';
import { h } from '../dom.ts';
import { epochLink, epochState, idText, lasting, meter, moment, nothing, section, table, value } from './parts.ts';
import { Page, sentence, warning } from './page.ts';
import { type AllNodes, loadNodes } from './nodes.ts';
import { world } from './world.ts';

export class OverviewPage extends Page {
  title = 'Network';
  private network: Answer<Network> | undefined;
  private nodes: AllNodes | undefined;
  private epochs: Answer<EpochList> | undefined;

  async load(feed: Feed): Promise<void> {
    [this.network, this.nodes, this.epochs] = await Promise.all([
      feed.get<Network>('/network'),
      loadNodes(feed),
      feed.get<EpochList>('/network/epochs?limit=5'),
    ]);
    const network = valueOf(this.network);
    if (network) this.title = `Network ${network.network}`;
  }

  draw(): (Node | string | undefined | false)[] {
    const network = valueOf(this.network);
    if (!network) return [nothing('The Registry does not answer.', this.network?.kind === 'away' ? sentence(this.network.problem) : '')];
    return [
      this.cards(network),
      section(
        'Nodes on the map',
        this.nodes && this.nodes.nodes.length > 0
          ? world(this.nodes.nodes, network.registries)
          : nothing('No node has registered yet.', 'A Media Node appears here some seconds after it was started.'),
        this.regions(network),
      ),
      section('Latest epochs', ...this.latest(network)),
      section('Registries', this.registries(network)),
    ];
  }

  private cards(network: Network): HTMLElement {
    const { states, capacityMbps, loadMbps, sessions, owners } = network.nodes;
    const up = (states.up ?? 0) + (states.suspect ?? 0) + (states.unknown ?? 0);
    const down = states.down ?? 0;
    const part = capacityMbps === 0 ? 0 : loadMbps / capacityMbps;
    return h(
      'ul',
      { class: 'cards' },
      card('Nodes up', h('a', { href: '/status/nodes' }, String(up)), down > 0 ? h('a', { href: '/status/nodes?state=down', class: 'bad' }, `${down} down`) : `of ${owners} ${owners === 1 ? 'owner' : 'owners'}`),
      card('Capacity', value(mbps(capacityMbps)), h('span', { class: 'with-meter' }, meter(part), `${Math.round(part * 100)}\u00a0% in use`)),
      card('Sessions', short(sessions), 'of clients with nodes'),
      card('Registries', String(network.registries.length), network.chain && network.chain.committee.length > 0 ? `${network.chain.quorum} of ${network.chain.committee.length} sign an epoch` : 'with a live record'),
      ...chainCards(network),
    );
  }

  private regions(network: Network): HTMLElement | undefined {
    const regions = Object.entries(network.nodes.regions).sort(([, a], [, b]) => b - a);
    if (regions.length === 0) return undefined;
    return h('ul', { class: 'chips', 'aria-label': 'Nodes by region' }, ...regions.map(([name, count]) => h('li', {}, h('a', { href: `/status/nodes?region=${name}` }, h('strong', {}, name), ` ${count}`))));
  }

  private latest(network: Network): (Node | undefined)[] {
    if (!network.chain && !network.chainProblem) return [nothing('This network runs without a chain.', 'There are no epochs, pools or payouts.')];
    if (!network.chain) return [nothing('The chain cannot be read.', sentence(network.chainProblem ?? ''))];
    const old = network.chainProblem ? chainWarning(network) : undefined;
    const epochs = valueOf(this.epochs)?.epochs ?? [];
    if (epochs.length === 0) return [old, nothing('No epoch was opened yet.', 'Registries open an epoch on the chain when it is over, and commit what everybody earned in it.')];
    const columns = [
      { head: 'Epoch', cell: (e: Epoch) => epochLink(e.epoch) },
      { head: 'Ended', cell: (e: Epoch) => moment(e.ends) },
      { head: 'Status', cell: (e: Epoch) => epochState(e.status) },
      { head: 'Minted', cell: (e: Epoch) => value(hudl(e.mint_wei)), number: true },
      { head: 'Served', cell: (e: Epoch) => value(bytes(e.total_bytes)), number: true },
    ];
    return [old, table('Latest epochs, the newest first', columns, epochs, (e) => String(e.epoch)), h('p', {}, h('a', { href: '/status/epochs' }, 'All epochs'))];
  }

  private registries(network: Network): HTMLElement {
    const committee = new Set(network.chain?.committee ?? []);
    type Row = Network['registries'][number];
    const columns = [
      { head: 'Registry', cell: (r: Row) => idText(r.registry) },
      { head: 'Signs epochs', cell: (r: Row) => (network.chain ? (committee.size === 0 ? 'not known before the first epoch' : committee.has(r.registry) ? 'yes' : 'no') : '–') },
      {
        head: 'Its own status',
        cell: (r: Row) => (r.registry === network.registry ? h('strong', {}, 'this one') : r.url && /^https?:/.test(r.url) ? h('a', { href: `${r.url}/status`, rel: 'noreferrer' }, 'open') : '–'),
      },
    ];
    return table('Registries with a live record', columns, network.registries, (r) => r.registry);
  }
}

function card(name: string, amount: Node | string, under: Node | string): HTMLElement {
  return h('li', { class: 'card', 'data-key': name }, h('span', { class: 'name' }, name), h('span', { class: 'amount' }, amount), h('span', { class: 'under' }, under));
}

function chainCards(network: Network): HTMLElement[] {
  const chain: Chain | undefined = network.chain;
  if (!chain) return [];
  const begins = Date.parse(chain.genesis) + chain.epoch * chain.epoch_seconds * 1000;
  const ends = new Date(begins + chain.epoch_seconds * 1000).toISOString();
  const over = Date.parse(ends) <= Date.now();
  return [
    card('Epoch', String(chain.epoch), over ? 'over, says the clock' : h('span', {}, 'ends in ', lasting(ends))),
    card('Supply', value(hudl(chain.supply_wei)), `${short(chain.keys_sold)} ${chain.keys_sold === 1 ? 'key' : 'keys'} sold, ${short(chain.pools)} ${chain.pools === 1 ? 'pool' : 'pools'}`),
  ];
}

function chainWarning(network: Network): HTMLElement {
  return warning('Shown is what was last read of the chain', network.chainReadAt ? moment(network.chainReadAt) : undefined, `: ${network.chainProblem}.`);
}
