import { type Answer, type Feed, valueOf } from '../../status/feed.ts';
import { bps, hudl, mbps, milliseconds, percent, quality, score } from '../../status/format.ts';
import { type EpochList, type Leaf, type NodeDetail, type PayoutList, placeOf, type PoolList, readLeaves, readTests, type Test } from '../../status/model.ts';
import { testsPath } from '../../status/route.ts';
import { h } from '../dom.ts';
import { payoutChart, qualityChart } from './charts.ts';
import { epochLink, facts, idText, moment, nothing, section, state, table, value } from './parts.ts';
import { type AllNodes, loadNodes, namesOf } from './nodes.ts';
import { placeWord } from './nodes-page.ts';
import { chainAway, chainOld, Page, sentence } from './page.ts';
import { noTests, testTable } from './tests-page.ts';
import { world } from './world.ts';

/** Epochs whose leaves are looked at for this node: each is another question. */
const leafEpochs = 6;

export class NodePage extends Page {
  title = 'Node';
  private detail: Answer<NodeDetail> | undefined;
  private pools: Answer<PoolList> | undefined;
  private payouts: Answer<PayoutList> | undefined;
  private tests: Answer<unknown> | undefined;
  private nodes: AllNodes | undefined;
  private leaves: { epoch: number; leaf: Leaf }[] = [];

  constructor(private readonly id: string) {
    super();
  }

  async load(feed: Feed): Promise<void> {
    let epochs: Answer<EpochList>;
    [this.detail, this.pools, this.payouts, this.tests, epochs, this.nodes] = await Promise.all([
      feed.get<NodeDetail>(`/network/node?node=${this.id}`),
      feed.get<PoolList>(`/network/pools?node=${this.id}`),
      feed.get<PayoutList>(`/network/payouts?node=${this.id}`),
      feed.get<unknown>(`/qos/results?node=${this.id}`),
      feed.get<EpochList>('/network/epochs?limit=20'),
      loadNodes(feed),
    ]);
    this.title = valueOf(this.detail)?.node.placeName || 'Node';
    const committed = (valueOf(epochs)?.epochs ?? []).filter((e) => e.status === 'committed' && (e.leaf_count ?? 1) > 0).slice(0, leafEpochs);
    const sets = await Promise.all(committed.map(async (e) => ({ epoch: e.epoch, leaves: readLeaves(valueOf(await feed.get<unknown>(`/epochs/${e.epoch}/leaves`))) })));
    this.leaves = sets.flatMap(({ epoch, leaves }) => leaves.filter((leaf) => leaf.node === this.id).map((leaf) => ({ epoch, leaf })));
  }

  draw(): (Node | string | undefined | false)[] {
    const detail = valueOf(this.detail);
    return [
      h('p', { class: 'subtitle' }, h('span', { class: 'id' }, this.id)),
      detail
        ? this.now(detail)
        : this.detail?.kind === 'away'
          ? nothing('The Registry does not answer.', sentence(this.detail.problem))
          : nothing('No live record of this node is held here.', 'It left, never was, or was silent for so long that its record ended. What the chain has of it stands below.'),
      detail && section('Place', ...this.place(detail)),
      section('Quality tests', ...this.quality()),
      section('Keys and pool', ...this.pool()),
      section('Earned', ...this.earned()),
      this.leaves.length > 0 && section('What epochs say of it', this.scores()),
      detail && section('Record', this.record(detail)),
    ];
  }

  private now({ node, since }: NodeDetail): HTMLElement {
    return facts(
      ['State', state(node.state, node.draining), since ? h('span', { class: 'soft' }, ' since ', moment(since)) : undefined],
      ['Availability', value(percent(node.availability))],
      ['Quality', value(quality(node.quality))],
      ['Load', value(mbps(node.loadMbps)), ' of ', value(mbps(node.capacityMbps))],
      ['Sessions', node.maxSessions ? `${node.sessions} of ${node.maxSessions}` : String(node.sessions)],
      ['Version', node.version],
    );
  }

  private place(detail: NodeDetail): (Node | undefined)[] {
    const { node, votes, place } = detail;
    const at = placeOf(node);
    const discs = new Map(place.discs.map((disc) => [disc.prober, disc]));
    type Row = NodeDetail['votes'][number];
    const columns = [
      { head: 'Registry', cell: (vote: Row) => idText(vote.registry) },
      { head: 'Says', cell: (vote: Row) => (vote.absent ? 'nothing fresh' : vote.down ? state('down') : state('up')) },
      { head: 'Last answer', cell: (vote: Row) => moment(vote.answeredAt) },
      { head: 'Shortest round trip', cell: (vote: Row) => (vote.rttMinMs ? value(milliseconds(vote.rttMinMs)) : '–'), number: true },
      { head: 'Median', cell: (vote: Row) => (vote.rttMedianMs ? value(milliseconds(vote.rttMedianMs)) : '–'), number: true },
      {
        head: 'So it is within',
        cell: (vote: Row) => {
          const disc = discs.get(vote.registry);
          return disc ? `${Math.round(disc.radiusKm)} km; it says ${Math.round(disc.distanceKm)} km` : '–';
        },
        number: true,
      },
    ];
    return [
      h('p', {}, at ? `It says that it is at ${node.placeName ? `${node.placeName}, ` : ''}${node.geolocation}${node.region ? ` (${node.region})` : ''}. ` : 'It declares no place. ', h('strong', {}, `Verdict: ${placeWord(place.finding)}.`)),
      place.reasons[0] ? h('p', { class: 'soft' }, sentence(place.reasons[0])) : undefined,
      at ? world([node], votes.flatMap((vote) => (vote.place ? [{ place: vote.place }] : []))) : undefined,
      votes.length > 0 ? table('What each prober says', columns, votes, (vote) => vote.registry) : nothing('No Registry watches over it yet.'),
    ];
  }

  private quality(): (Node | undefined)[] {
    const missing = noTests(this.tests);
    if (missing) return [missing];
    const own = readTests(valueOf(this.tests)).filter((test: Test) => test.prover === this.id);
    if (own.length === 0) return [nothing('No test of this node yet.')];
    return [qualityChart(own), testTable(own.slice(0, 8), namesOf(this.nodes)), h('p', {}, h('a', { href: testsPath(this.id) }, 'All its tests'))];
  }

  private pool(): (Node | undefined)[] {
    const away = chainAway(this.pools);
    if (away) return [away];
    const pool = valueOf(this.pools)?.pools?.[0];
    if (!pool) return [nothing('This node has no pool.', 'Without a pool nobody can delegate keys to it, and it is paid nothing. Its operator makes one with drtc pool create.')];
    return [
      chainOld(this.pools),
      facts(
        ['Keys', `${pool.keys} delegated, ${pool.counting} count in this epoch, ${pool.most} at most`],
        ['Commission', value(bps(pool.commission_bps)), pool.next_commission_bps !== pool.commission_bps ? h('span', {}, ', announced ', value(bps(pool.next_commission_bps))) : undefined],
        ['Proven rate', pool.proven_mbps ? value(mbps(pool.proven_mbps)) : 'not tested yet'],
        ['A key has earned', value(hudl(pool.per_key_wei))],
        ['Operator', idText(pool.operator)],
        ['Contract', idText(pool.address)],
      ),
    ];
  }

  private earned(): (Node | undefined)[] {
    const away = chainAway(this.payouts);
    if (away) return [away];
    const own = valueOf(this.payouts)?.payouts?.[0];
    if (!own) return [nothing('Nothing was paid to this node yet.', 'Rewards of an epoch can be claimed when its challenge window is over.')];
    return [chainOld(this.payouts), payoutChart('earned', 'Paid into its pool', [own], false)];
  }

  private scores(): HTMLElement {
    type Row = { epoch: number; leaf: Leaf };
    const cell = (pick: (leaf: Leaf) => number | undefined) => (row: Row) => value(score(pick(row.leaf)));
    const columns = [
      { head: 'Epoch', cell: (row: Row) => epochLink(row.epoch) },
      { head: 'Availability', cell: cell((leaf) => leaf.availability), number: true },
      { head: 'History', cell: cell((leaf) => leaf.history), number: true },
      { head: 'Location', cell: cell((leaf) => leaf.location), number: true },
      { head: 'Coverage', cell: cell((leaf) => leaf.coverage), number: true },
      { head: 'Quality', cell: cell((leaf) => leaf.quality), number: true },
    ];
    return table('Scores of this node by epoch', columns, this.leaves, (row) => String(row.epoch));
  }

  private record({ node }: NodeDetail): HTMLElement {
    return facts(
      ['Owner', node.owner ? idText(node.owner) : undefined],
      ['Control service', node.url],
      ['Media', node.mediaAddresses?.join(', ')],
      ['Cores', node.cores ? String(node.cores) : undefined],
      ['Features', node.features?.join(', ')],
      ['Public key', node.pubKey ? h('span', { class: 'id' }, node.pubKey) : undefined],
      ['Signed', moment(node.issuedAt)],
      ['Good until', moment(node.expiresAt)],
      ['Generation, sequence', `${node.generation}, ${node.seq}`],
    );
  }
}
