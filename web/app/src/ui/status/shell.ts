/** What surrounds every status page: the way to the others, what network it is, and whether it is current. */

import type { Network } from '../../status/model.ts';
import { h, setText } from '../dom.ts';
import { morph } from './dom.ts';
import type { Page } from './page.ts';

const links: [path: string, name: string][] = [
  ['/status', 'Overview'],
  ['/status/nodes', 'Nodes'],
  ['/status/tests', 'Tests'],
  ['/status/epochs', 'Epochs'],
  ['/status/payouts', 'Payouts'],
];

const remembered = 'drtc-status-exact';

export class Shell {
  readonly elements: HTMLElement[];
  private readonly nav = h('ul', {}, ...links.map(([path, name]) => h('li', {}, h('a', { href: path }, name))));
  private readonly title = h('h1', { tabindex: -1 });
  private readonly body = h('div', { class: 'body' });
  private readonly development = h('p', { class: 'development', hidden: true }, h('strong', {}, 'A development network. '), 'Places, scores and amounts are for trying things out: tests are short, and HUDL here is worth nothing.');
  private readonly offline = h('p', { class: 'warning', role: 'status' });
  private readonly foot = h('p', {});
  private readonly exact = h('input', { type: 'checkbox', id: 'exact', onchange: () => this.setExact() });

  constructor() {
    this.exact.checked = recall();
    this.elements = [
      h('a', { class: 'skip', href: '#main', 'data-plain': true }, 'Skip to the page'),
      h(
        'header',
        { class: 'head' },
        h('a', { class: 'brand', href: '/status' }, 'drtc', h('span', {}, ' status')),
        h('nav', { 'aria-label': 'Pages' }, this.nav),
        h('label', { class: 'switch', for: 'exact' }, this.exact, 'Exact numbers'),
      ),
      h('main', { id: 'main', tabindex: -1, 'aria-busy': true }, this.development, this.offline, this.title, this.body),
      h('footer', {}, this.foot, h('p', {}, 'Everything here is also JSON: ', h('a', { href: '/network', 'data-plain': true }, '/network'), ', ', h('a', { href: '/network/nodes', 'data-plain': true }, '/network/nodes'), ', ', h('a', { href: '/network/epochs', 'data-plain': true }, '/network/epochs'), '.')),
    ];
    this.setExact();
  }

  /** Says which page is on its way. */
  mark(path: string): void {
    for (const link of this.nav.querySelectorAll('a')) {
      const own = link.getAttribute('href')!;
      const current = own === '/status' ? path.replace(/\/$/, '') === own : path.startsWith(own);
      if (current) link.setAttribute('aria-current', path.replace(/\/$/, '') === own ? 'page' : 'true');
      else link.removeAttribute('aria-current');
    }
  }

  /** Shows another page. */
  replace(page: Page): void {
    this.write(page);
    this.body.replaceChildren(...content(page));
    this.body.parentElement!.removeAttribute('aria-busy');
  }

  /** Brings the shown page up to date. */
  show(page: Page): void {
    this.write(page);
    morph(this.body, h('div', { class: 'body' }, ...content(page)));
  }

  focusTitle(): void {
    this.title.focus({ preventScroll: true });
  }

  network(network: Network | undefined, problem: string | undefined): void {
    this.development.hidden = !network?.development;
    setText(this.offline, problem ? `Not current: ${problem}. Trying again.` : '');
    if (network) setText(this.foot, `Network ${network.network}, as Registry ${network.registry} sees it. drtc ${network.version}.`);
  }

  private write(page: Page): void {
    setText(this.title, page.title);
    const title = `${page.title} · drtc status`;
    if (document.title !== title) document.title = title;
  }

  private setExact(): void {
    document.documentElement.classList.toggle('show-exact', this.exact.checked);
    try {
      sessionStorage.setItem(remembered, this.exact.checked ? '1' : '');
    } catch {
      // a browser that remembers nothing
    }
  }
}

function recall(): boolean {
  try {
    return sessionStorage.getItem(remembered) === '1';
  } catch {
    return false;
  }
}

function content(page: Page): (Node | string)[] {
  return page.draw().filter((child): child is Node | string => child !== undefined && child !== false);
}
