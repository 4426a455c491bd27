import { type Answer, type Feed, valueOf } from '../../status/feed.ts';
import { bps, bytes, credits, hudl, mbps, price, score } from '../../status/format.ts';
import { type Epoch, type Leaf, type Network, type OneEpoch, readLeaves, readManifest } from '../../status/model.ts';
import { h } from '../dom.ts';
import { type AllNodes, loadNodes, namesOf } from './nodes.ts';
import { type Column, epochLink, epochState, facts, idText, longFacts, moment, nodeLink, nothing, section, table, value } from './parts.ts';
import { chainAway, chainOld, Page } from './page.ts';

type Charge = NonNullable<Epoch['charges']>[number];

/** Leaves and charges that are listed. */
const mostRows = 200;

export class EpochPage extends Page {
  title: string;
  private answer: Answer<OneEpoch> | undefined;
  private network: Answer<Network> | undefined;
  private leaves: Answer<unknown> | undefined;
  private manifest: Answer<unknown> | undefined;
  private nodes: AllNodes | undefined;

  constructor(private readonly number: number) {
    super();
    this.title = `Epoch ${number}`;
  }

  async load(feed: Feed): Promise<void> {
    [this.answer, this.network, this.leaves, this.manifest, this.nodes] = await Promise.all([
      feed.get<OneEpoch>(`/network/epoch?epoch=${this.number}`),
      feed.get<Network>('/network'),
      feed.get<unknown>(`/epochs/${this.number}/leaves`),
      feed.get<unknown>(`/epochs/${this.number}/manifest`),
      loadNodes(feed),
    ]);
  }

  draw(): (Node | string | undefined | false)[] {
    const away = this.answer?.kind === 'missing' && this.answer.code === 'not_found'
      ? nothing(`The chain says nothing of epoch ${this.number}.`, 'It was not opened, or is too long ago to be held here.')
      : chainAway(this.answer);
    const e = valueOf(this.answer)?.epoch;
    if (away || !e) return [away, this.around()];
    return [
      chainOld(this.answer),
      facts(
        ['Status', epochState(e.status), e.cut ? ', cut to the cap on net mint' : undefined],
        ['Began', moment(e.begins)],
        ['Ended', moment(e.ends)],
        ['Committed', e.committed_at ? moment(e.committed_at) : undefined],
        ['Rewards can be claimed', e.claimable_from ? moment(e.claimable_from) : undefined],
      ),
      section('Money', this.money(e)),
      section('Who signed', ...this.signers(e)),
      section('Charges', ...this.charges(e)),
      section('Leaves', ...this.leafList(e)),
      section('Proof', this.proof(e)),
      this.around(),
    ];
  }

  private money(e: Epoch): HTMLElement {
    const settled = e.settlement;
    return facts(
      ['Minted (M)', value(hudl(e.mint_wei))],
      ['Rewards before the cap (M0)', e.reward_total_wei ? value(hudl(e.reward_total_wei)) : undefined],
      ['Claimed of it', e.mint_wei ? value(hudl(e.paid_wei)) : undefined],
      ['Burned (B)', value(hudl(settled?.burn_wei))],
      ['Received for credits (Q)', settled && value(hudl(settled.received_wei))],
      ['Filled up (Y)', settled && settled.filler_wei !== '0' ? value(hudl(settled.filler_wei)) : undefined],
      ['Credits consumed', settled && value(credits(settled.consumed_credits))],
      ['Served', value(bytes(e.total_bytes))],
      ['Price of HUDL, lowest', value(price(e.low8))],
      ['Price of HUDL, highest', value(price(e.high8))],
      ['Greatest reward for a GB (r_max)', e.r_max_wei ? value(hudl(e.r_max_wei)) : undefined],
      ['Supply after it', settled && value(hudl(settled.supply_wei))],
      ['Beta of the next', settled && value(bps(settled.beta_bps))],
      ['Parameters', e.parameters_version ? `version ${e.parameters_version}` : undefined],
    );
  }

  private signers(e: Epoch): (Node | undefined)[] {
    if (!e.root) return [nothing('Nobody has signed it yet.')];
    const committee = valueOf(this.network)?.chain?.committee ?? [];
    if (!e.signers) return [nothing('Signers are not known here.', 'The commit was sent through another contract.')];
    const missing = committee.filter((id) => !e.signers!.includes(id));
    return [
      h('p', {}, `${e.signers.length} signed${committee.length > 0 ? ` of ${committee.length} in the committee now` : ''}.`),
      h('ul', { class: 'ids' }, ...e.signers.map((id) => h('li', {}, h('span', { class: 'yes', 'aria-hidden': 'true' }, '✓'), h('span', { class: 'id' }, id)))),
      missing.length > 0 ? h('p', { class: 'soft' }, 'Not among them: ', ...missing.flatMap((id, i) => [i > 0 ? ', ' : '', h('span', { class: 'id' }, id)])) : undefined,
    ];
  }

  private charges(e: Epoch): (Node | undefined)[] {
    const list = e.charges ?? [];
    if (list.length === 0) return [nothing(e.charge_count ? 'The charges came in transactions that are not read here.' : e.root ? 'Nobody was charged.' : 'None yet.')];
    const columns: Column<Charge>[] = [
      { head: 'Application', cell: (c) => idText(c.application) },
      { head: 'Orchestrator', cell: (c) => idText(c.orchestrator) },
      { head: 'Bytes', cell: (c) => value(bytes(c.bytes)), number: true },
    ];
    const more = (e.charge_count ?? 0) - list.length;
    return [table('Charges', columns, list, (c) => `${c.application} ${c.orchestrator}`), more > 0 ? h('p', {}, `${more} more.`) : undefined];
  }

  private leafList(e: Epoch): (Node | undefined)[] {
    const leaves = readLeaves(valueOf(this.leaves));
    if (leaves.length === 0) {
      return [nothing(e.leaf_count ? `The chain has ${e.leaf_count} ${e.leaf_count === 1 ? 'leaf' : 'leaves'}; this Registry publishes none of them yet.` : e.root ? 'No node has a leaf in it.' : 'None yet.')];
    }
    const name = namesOf(this.nodes);
    const cell = (pick: (leaf: Leaf) => number | undefined) => (leaf: Leaf) => value(score(pick(leaf)));
    const columns: Column<Leaf>[] = [
      { head: 'Node', cell: (leaf) => nodeLink(leaf.node, name(leaf.node)) },
      { head: 'Client bytes', cell: (leaf) => value(bytes(leaf.clientBytes)), number: true },
      { head: 'Relay bytes', cell: (leaf) => value(bytes(leaf.relayBytes)), number: true },
      { head: 'Quality', cell: cell((leaf) => leaf.quality), number: true },
      { head: 'Availability', cell: cell((leaf) => leaf.availability), number: true },
      { head: 'History', cell: cell((leaf) => leaf.history), number: true },
      { head: 'Location', cell: cell((leaf) => leaf.location), number: true },
      { head: 'Coverage', cell: cell((leaf) => leaf.coverage), number: true },
      { head: 'Proven', cell: (leaf) => (leaf.provenMbps ? value(mbps(leaf.provenMbps)) : '–'), number: true },
    ];
    return [
      table('Leaves: what each node did', columns, leaves.slice(0, mostRows), (leaf) => leaf.node),
      leaves.length > mostRows ? h('p', {}, `${leaves.length - mostRows} more.`) : undefined,
      h('p', {}, h('a', { href: `/epochs/${this.number}/leaves`, 'data-plain': true }, 'The whole set, as JSON')),
    ];
  }

  private proof(e: Epoch): HTMLElement {
    const evidence = Object.entries(readManifest(valueOf(this.manifest)));
    const whole = (text: string | undefined): Node | undefined => (text ? h('span', { class: 'id' }, text) : undefined);
    return longFacts(
      ['Root', whole(e.root) ?? 'none yet'],
      ['Previous root', whole(e.previous_root)],
      ['Hash of the published data', whole(e.data_hash)],
      ['Transaction', whole(e.transaction)],
      ['Block', e.block ? String(e.block) : undefined],
      ['Evidence', evidence.length > 0 ? evidence.map(([kind, count]) => `${count} ${kind}`).join(', ') : undefined],
      ['Recompute it', h('code', {}, `drtc epoch audit ${e.epoch}`)],
    );
  }

  private around(): HTMLElement {
    return h(
      'nav',
      { class: 'pages', 'aria-label': 'Other epochs' },
      this.number > 0 ? h('span', {}, 'Before: ', epochLink(this.number - 1)) : undefined,
      h('span', {}, 'After: ', epochLink(this.number + 1)),
      h('a', { href: '/status/epochs' }, 'All epochs'),
    );
  }
}
