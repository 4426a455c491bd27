import { type Answer, type Feed, valueOf } from '../../status/feed.ts';
import { bytes, hudl } from '../../status/format.ts';
import type { Epoch, EpochList, Network } from '../../status/model.ts';
import { h } from '../dom.ts';
import { supplyChart } from './charts.ts';
import { type Column, epochLink, epochState, idText, moment, nothing, table, value } from './parts.ts';
import { chainAway, chainOld, Page } from './page.ts';

export class EpochsPage extends Page {
  title = 'Epochs';
  private list: Answer<EpochList> | undefined;
  private network: Answer<Network> | undefined;
  private readonly before = /^\d{1,15}$/.exec(new URLSearchParams(location.search).get('before') ?? '')?.[0];

  async load(feed: Feed): Promise<void> {
    [this.list, this.network] = await Promise.all([
      feed.get<EpochList>(`/network/epochs?limit=50${this.before ? `&before=${this.before}` : ''}`),
      feed.get<Network>('/network'),
    ]);
  }

  draw(): (Node | string | undefined | false)[] {
    const away = chainAway(this.list);
    if (away) return [away];
    const epochs = valueOf(this.list)?.epochs ?? [];
    const chain = valueOf(this.network)?.chain;
    const running = chain && h('p', {}, `Epoch ${chain.epoch} runs. An epoch takes ${chain.epoch_seconds} s here; ${chain.quorum || 'more than two thirds'} of ${chain.committee.length || 'the'} Registries sign what everybody earned.`);
    if (epochs.length === 0) {
      return [
        chainOld(this.list),
        running,
        this.before
          ? nothing('There are no older epochs here.', 'A Registry keeps the last 240 epochs, of 30 days at most.')
          : nothing('No epoch was opened yet.', 'Registries open an epoch on the chain when it is over, and commit what everybody earned in it.'),
      ];
    }
    const oldest = epochs.at(-1)!.epoch;
    return [
      chainOld(this.list),
      running,
      supplyChart(epochs),
      table('Epochs, the newest first', columns, epochs, (e) => String(e.epoch)),
      h(
        'nav',
        { class: 'pages', 'aria-label': 'More epochs' },
        this.before ? h('a', { href: '/status/epochs' }, 'Newest') : undefined,
        epochs.length === 50 ? h('a', { href: `/status/epochs?before=${oldest}` }, 'Older') : undefined,
      ),
    ];
  }
}

const columns: Column<Epoch>[] = [
  { head: 'Epoch', cell: (e) => epochLink(e.epoch) },
  { head: 'Ended', cell: (e) => moment(e.ends) },
  { head: 'Status', cell: (e) => epochState(e.status) },
  { head: 'Minted (M)', cell: (e) => value(hudl(e.mint_wei)), number: true },
  { head: 'Burned (B)', cell: (e) => value(hudl(e.settlement?.burn_wei)), number: true },
  { head: 'Claimed', cell: (e) => (e.mint_wei ? value(hudl(e.paid_wei)) : '–'), number: true },
  { head: 'Served', cell: (e) => value(bytes(e.total_bytes)), number: true },
  { head: 'Signers', cell: (e) => (e.signers ? String(e.signers.length) : '–'), number: true },
  { head: 'Root', cell: (e) => (e.root ? idText(e.root) : '–') },
];
