import { type Answer, type Feed, valueOf } from '../../status/feed.ts';
import { milliseconds, percent, score, short } from '../../status/format.ts';
import { fullTest, isId, readTests, type Side, type Test } from '../../status/model.ts';
import { h } from '../dom.ts';
import { type AllNodes, loadNodes, namesOf } from './nodes.ts';
import { input, select } from './nodes-page.ts';
import { badge, type Column, epochLink, moment, nodeLink, nothing, table, value } from './parts.ts';
import { Page, sentence } from './page.ts';

/** Rows that are added at once. */
const someRows = 50;

/** What stands in place of tests, or undefined where there are some. */
export function noTests(answer: Answer<unknown> | undefined): HTMLElement | undefined {
  if (answer?.kind === 'away' && answer.value === undefined) return nothing('The Registry does not answer.', sentence(answer.problem));
  if (readTests(valueOf(answer)).length > 0) return undefined;
  return nothing('No tests yet.', 'Registries have nodes test each other in every epoch. What both sides measured is shown here once a Registry has judged it.');
}

export class TestsPage extends Page {
  title = 'Tests';
  private answer: Answer<unknown> | undefined;
  private nodes: AllNodes | undefined;
  private rows = someRows;
  private filter: { node: string; epoch: string; outcome: string };

  constructor() {
    super();
    const query = new URLSearchParams(location.search);
    this.filter = { node: query.get('node') ?? '', epoch: query.get('epoch') ?? '', outcome: query.get('outcome') ?? '' };
  }

  async load(feed: Feed): Promise<void> {
    const query = new URLSearchParams();
    if (isId(this.filter.node)) query.set('node', this.filter.node);
    if (/^\d{1,15}$/.test(this.filter.epoch)) query.set('epoch', this.filter.epoch);
    [this.answer, this.nodes] = await Promise.all([feed.get<unknown>(`/qos/results${query.size > 0 ? `?${query}` : ''}`), loadNodes(feed)]);
  }

  draw(): (Node | string | undefined | false)[] {
    const missing = noTests(this.answer);
    const filtered = this.filter.node !== '' || this.filter.epoch !== '';
    const shown = this.matching(readTests(valueOf(this.answer)));
    const about = h('p', {}, 'A challenger takes a stream from a prover, and both sign what they measured. ', h('strong', {}, 'v'), ' is the quality that pays; ', h('strong', {}, 'v_paper'), ' is what the three scores of the whitepaper say alone, which see how steady a stream is and not how good.');
    if (missing && !filtered) return [about, missing];
    return [
      about,
      this.form(),
      h('p', { class: 'count', role: 'status' }, `${shown.length} ${shown.length === 1 ? 'test' : 'tests'}`),
      shown.length === 0 ? nothing('No test is like that.') : testTable(shown.slice(0, this.rows), namesOf(this.nodes)),
      shown.length > this.rows ? h('button', { type: 'button', class: 'more', onclick: () => this.more() }, `Show more of ${shown.length}`) : undefined,
    ];
  }

  private matching(tests: Test[]): Test[] {
    const name = namesOf(this.nodes);
    const wanted = this.filter.node.toLowerCase();
    const says = (id: string): boolean => id.includes(wanted) || (name(id) ?? '').toLowerCase().includes(wanted);
    return tests.filter((t) => {
      if (wanted !== '' && !says(t.prover) && !says(t.challenger)) return false;
      if (this.filter.epoch !== '' && String(t.epoch) !== this.filter.epoch) return false;
      if (this.filter.outcome === 'counts') return t.void === '';
      if (this.filter.outcome === 'void') return t.void !== '';
      return this.filter.outcome !== 'low' || (t.void === '' && (t.v ?? 1) < 0.9);
    });
  }

  private form(): HTMLElement {
    return h(
      'form',
      { class: 'filter', role: 'search', 'aria-label': 'Find tests', onsubmit: (event) => event.preventDefault() },
      h('label', {}, 'Node', input('node', this.filter.node, 'id or place', (node) => this.set({ node }))),
      h('label', {}, 'Epoch', input('epoch', this.filter.epoch, 'number', (epoch) => this.set({ epoch }))),
      h('label', {}, 'Outcome', select(this.filter.outcome, [['', 'all'], ['counts', 'counts'], ['low', 'below 0.9'], ['void', 'void']], (outcome) => this.set({ outcome }))),
    );
  }

  private more(): void {
    this.rows += someRows;
    this.redraw();
  }

  private set(change: Partial<TestsPage['filter']>): void {
    this.filter = { ...this.filter, ...change };
    const query = new URLSearchParams(Object.entries(this.filter).filter(([, text]) => text !== ''));
    history.replaceState(null, '', `${location.pathname}${query.size > 0 ? `?${query}` : ''}`);
    this.redraw();
  }
}

export function testTable(tests: readonly Test[], name: (id: string) => string | undefined = () => undefined): HTMLElement {
  const columns: Column<Test>[] = [
    { head: 'Prover', cell: (t) => nodeLink(t.prover, name(t.prover), true) },
    { head: 'Challenger', cell: (t) => nodeLink(t.challenger, name(t.challenger), true) },
    { head: 'When', cell: (t) => h('span', { class: 'lines' }, h('span', { class: 'nowrap' }, 'epoch ', epochLink(t.epoch)), t.at ? h('span', { class: 'soft' }, moment(t.at)) : undefined) },
    { head: 'v', cell: (t) => (t.void ? h('span', { class: 'state void' }, t.void) : value(score(t.v), 'strong')), number: true },
    { head: 'v_paper', cell: (t) => value(score(t.vPaper)), number: true },
    { head: 'Adequacy', cell: (t) => value(score(t.adequacy)), number: true },
    { head: 'Bitrate · latency · loss', cell: (t) => h('span', { class: 'nowrap' }, value(score(t.bitrateScore)), ' · ', value(score(t.latencyScore)), ' · ', value(score(t.lossScore))), number: true },
    { head: 'Both sides measured', cell: (t) => h('span', { class: 'lines' }, h('span', {}, 'prover ', side(t.sides.prover)), h('span', {}, 'challenger ', side(t.sides.challenger))), number: true },
    { head: 'Kind', cell: (t) => h('span', { class: 'lines' }, t.kind, shortTest(t)) },
  ];
  return table('Results of tests, the newest first', columns, tests, (t) => `${t.test} ${t.prover} ${t.challenger}`);
}

function side(s: Side | undefined): Node | string {
  if (!s) return '–';
  const parts = [
    s.bitrateKbps === undefined ? '' : `${short(s.bitrateKbps)}\u00a0kbit/s`,
    s.rttMs === undefined ? '' : milliseconds(s.rttMs).text,
    s.loss === undefined ? '' : `${percent(s.loss).text} lost`,
  ].filter(Boolean);
  return parts.length > 0 ? h('span', { class: 'nowrap' }, parts.join(' · ')) : '–';
}

function shortTest(t: Test): Node | undefined {
  if (t.seconds === undefined || t.seconds >= fullTest) return undefined;
  return badge('development', `It took ${t.seconds} s instead of ${fullTest / 60} min: good for trying out, not as a score.`);
}
