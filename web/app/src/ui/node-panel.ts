/** "Your node": which Media Node carries you, where it stands, and how well it does. */

import * as format from '../call/format.ts';
import { equator, graticule } from '../call/globe.ts';
import type { NodeReport } from '../call/node-report.ts';
import { h, setText, svg } from './dom.ts';

const radius = 78;
const period = 2000;
const remembered = 45;

export class NodePanel {
  readonly element: HTMLElement;
  private readonly globe = h('div', { class: 'globe' });
  private readonly place = h('p', { class: 'place' }, 'Asking the Orchestrator…');
  private readonly region = h('p', { class: 'hint' });
  private readonly rtt = figure('Round trip');
  private readonly loss = figure('Loss');
  private readonly up = figure('Sent');
  private readonly down = figure('Received');
  private readonly curve = h('div', { class: 'curve' });
  private readonly id = h('code', { class: 'node-id' });
  private readonly version = h('dd', {});
  private readonly reasons = h('ul', { class: 'reasons' });
  private readonly why = h('section', {}, h('h3', {}, 'Why this node'), this.reasons);
  private readonly identityCard = h('dl', { class: 'rows' }, row('Node', this.id), row('Version', this.version));
  private readonly history: number[] = [];
  private last: { at: number; up: number; down: number } | undefined;
  private drawnAt = '';
  private timer: number | undefined;

  constructor(private readonly ask: () => Promise<NodeReport>) {
    this.why.hidden = true;
    this.identityCard.hidden = true;
    this.element = h(
      'div',
      { class: 'node' },
      this.globe,
      this.place,
      this.region,
      h('dl', { class: 'figures' }, this.rtt.element, this.loss.element, this.up.element, this.down.element),
      this.curve,
      this.identityCard,
      this.why,
    );
    this.draw(0, 0, false);
  }

  /** Asks every 2 s until close. */
  open(): void {
    const turn = async (): Promise<void> => {
      this.show(await this.ask(), performance.now());
      if (this.timer !== undefined) this.timer = window.setTimeout(() => void turn(), period);
    };
    this.timer = 0;
    void turn();
  }

  close(): void {
    if (this.timer !== undefined) clearTimeout(this.timer);
    this.timer = undefined;
  }

  private show(report: NodeReport, now: number): void {
    const { node } = report;
    if (node) {
      setText(this.place, node.placeName || node.region || 'A place it does not tell');
      setText(this.region, [node.placeName ? node.region : '', node.place ? format.coordinates(node.place.lat, node.place.lon) : ''].filter(Boolean).join(' · '));
      setText(this.id, format.shortId(node.id));
      this.id.title = node.id;
      this.id.dataset['id'] = node.id;
      setText(this.version, node.version || '–');
      if (node.place) this.draw(node.place.lat, node.place.lon, true);
    } else {
      setText(this.place, 'The Orchestrator does not say');
      setText(this.region, 'The figures below are measured by this browser.');
    }
    this.identityCard.hidden = node === undefined;
    this.rtt.set(report.rttMs === undefined ? '–' : format.milliseconds(report.rttMs));
    this.loss.set(report.loss === undefined ? '–' : format.percent(report.loss));
    this.traffic(report, now);
    this.remember(report.rttMs);
    this.why.hidden = report.reasons.length === 0;
    const said = report.reasons.join('\n');
    if (this.reasons.dataset['said'] !== said) {
      this.reasons.dataset['said'] = said;
      this.reasons.replaceChildren(...report.reasons.map((reason) => h('li', {}, reason)));
    }
  }

  private traffic(report: NodeReport, now: number): void {
    const next = { at: now, up: report.upBytes ?? 0, down: report.downBytes ?? 0 };
    const seconds = this.last ? (next.at - this.last.at) / 1000 : 0;
    const speed = (bytes: number, before: number): string =>
      seconds > 0.2 ? format.rate(Math.max(0, bytes - before) / seconds) : '';
    this.up.set(format.bytes(next.up), this.last && speed(next.up, this.last.up));
    this.down.set(format.bytes(next.down), this.last && speed(next.down, this.last.down));
    this.last = next;
  }

  private remember(rttMs: number | undefined): void {
    if (rttMs === undefined) return;
    this.history.push(rttMs);
    if (this.history.length > remembered) this.history.shift();
    if (this.history.length < 2) return;
    const most = Math.max(...this.history, 1) * 1.15;
    const points = this.history.map((value, index) => `${(((index + remembered - this.history.length) / (remembered - 1)) * 300).toFixed(1)},${(48 - (value / most) * 44).toFixed(1)}`);
    this.curve.replaceChildren(
      svg(`<svg viewBox="0 0 300 48" preserveAspectRatio="none"><polyline points="${points.join(' ')}" fill="none" vector-effect="non-scaling-stroke"/></svg>`),
      h('small', {}, 'Round trip, last 90 s'),
    );
  }

  private draw(lat: number, lon: number, known: boolean): void {
    const where = `${lat} ${lon} ${known}`;
    if (where === this.drawnAt) return;
    this.drawnAt = where;
    const size = radius + 6;
    this.globe.replaceChildren(
      svg(
        `<svg viewBox="${-size} ${-size} ${2 * size} ${2 * size}"><circle class="sea" r="${radius}"/>` +
          `<path class="grid" d="${graticule(lat, lon, radius, 15)}"/><path class="equator" d="${equator(lat, lon, radius)}"/>` +
          `<circle class="rim" r="${radius}"/>${known ? '<circle class="halo" r="13"/><circle class="spot" r="5"/>' : ''}</svg>`,
      ),
    );
  }
}

function figure(label: string): { element: HTMLElement; set(value: string, detail?: string): void } {
  const value = h('span', {}, '–');
  const detail = h('small', {});
  return {
    element: h('div', {}, h('dt', {}, label), h('dd', {}, value, detail)),
    set(text, more = '') {
      setText(value, text);
      setText(detail, more);
    },
  };
}

function row(label: string, value: HTMLElement): HTMLElement {
  return h('div', {}, h('dt', {}, label), value.tagName === 'DD' ? value : h('dd', {}, value));
}
