import { type Answer, type Feed, valueOf } from '../../status/feed.ts';
import { bps, hudl } from '../../status/format.ts';
import type { PayoutList, Payouts, Pool, PoolList } from '../../status/model.ts';
import { h } from '../dom.ts';
import { axisOf, payoutChart } from './charts.ts';
import { type AllNodes, loadNodes, namesOf } from './nodes.ts';
import { type Column, epochLink, nodeLink, nothing, section, table, value } from './parts.ts';
import { chainAway, chainOld, Page } from './page.ts';

/** Pools with a chart of their own: those that were paid most. */
const mostCharts = 12;

export class PayoutsPage extends Page {
  title = 'Payouts';
  private pools: Answer<PoolList> | undefined;
  private payouts: Answer<PayoutList> | undefined;
  private nodes: AllNodes | undefined;

  async load(feed: Feed): Promise<void> {
    [this.pools, this.payouts, this.nodes] = await Promise.all([
      feed.get<PoolList>('/network/pools'),
      feed.get<PayoutList>('/network/payouts'),
      loadNodes(feed),
    ]);
  }

  draw(): (Node | string | undefined | false)[] {
    const away = chainAway(this.payouts);
    if (away) return [away];
    const pools = valueOf(this.pools)?.pools ?? [];
    const payouts = valueOf(this.payouts)?.payouts ?? [];
    if (pools.length === 0 && payouts.length === 0) {
      return [chainOld(this.payouts), nothing('There are no pools yet.', 'A node is paid through its pool, to the owners of the keys that are delegated to it. Its operator makes one with drtc pool create.')];
    }
    return [chainOld(this.payouts), ...this.charts(payouts), section('Pools', this.list(pools))];
  }

  private charts(payouts: Payouts[]): (Node | undefined)[] {
    if (payouts.length === 0) return [nothing('Nothing was paid yet.', 'Rewards of an epoch can be claimed when its challenge window is over.')];
    const name = namesOf(this.nodes);
    const sum = (one: Payouts): bigint => one.epochs.reduce((total, e) => total + BigInt(e.wei), 0n);
    const axis = axisOf(payouts.flatMap((p) => p.epochs.map((e) => e.epoch)));
    const first = axis[0]!;
    const top = Math.max(...payouts.flatMap((p) => p.epochs.filter((e) => e.epoch >= first).map((e) => Number(e.wei) / 1e18)));
    const greatest = [...payouts].sort((a, b) => (sum(b) > sum(a) ? 1 : -1)).slice(0, mostCharts);
    return [
      payoutChart('all', 'Paid to all pools', payouts, false, axis),
      section(
        'By pool',
        h('p', { class: 'soft' }, 'All on one scale, in HUDL by epoch.'),
        h('div', { class: 'multiples' }, ...greatest.map((one) => payoutChart(one.node, name(one.node) ?? `${one.node.slice(0, 10)}…`, [one], true, axis, top))),
      ),
    ];
  }

  private list(pools: Pool[]): HTMLElement {
    if (pools.length === 0) return nothing('There are no pools yet.');
    const name = namesOf(this.nodes);
    const columns: Column<Pool>[] = [
      { head: 'Node', cell: (p) => nodeLink(p.node, name(p.node)) },
      { head: 'Keys', cell: (p) => `${p.keys} of ${p.most}`, number: true },
      { head: 'Commission', cell: (p) => value(bps(p.commission_bps)), number: true },
      { head: 'A key has earned', cell: (p) => value(hudl(p.per_key_wei)), number: true },
      { head: 'Paid lately', cell: (p) => value(hudl(p.paid_wei)), number: true },
      { head: 'Last paid epoch', cell: (p) => (p.last_epoch === undefined ? 'none' : epochLink(p.last_epoch)), number: true },
    ];
    return table('Pools', columns, pools, (p) => p.node);
  }
}
