/** What all status pages are put together from: values with their exact form, times, ids, tables, sentences for nothing. */

import { clock, relative, type Reading, shortId, span } from '../../status/format.ts';
import { epochPath, nodePath } from '../../status/route.ts';
import { round } from '../../status/scale.ts';
import { h } from '../dom.ts';
import { s } from './dom.ts';

type Child = Node | string | undefined | false;

/** A number; its exact form is a tooltip, and what is shown when "Exact numbers" is on. */
export function value(reading: Reading, className = ''): HTMLElement {
  return h(
    'span',
    { class: `value ${className}`.trim(), title: reading.exact },
    h('span', { class: 'rounded' }, reading.text),
    h('span', { class: 'exact' }, reading.exact),
  );
}

/** A moment, as it is from now; the ticking of the page keeps it right. */
export function moment(iso: string | undefined): Child {
  if (!iso) return '–';
  const at = Date.parse(iso);
  const { text, exact } = clock(at);
  return h(
    'time',
    { datetime: iso, title: `${text} (${exact})`, class: 'value' },
    h('span', { class: 'rounded', 'data-at': at }, relative(at, Date.now())),
    h('span', { class: 'exact' }, text),
  );
}

/** How long it is since, or until. */
export function lasting(iso: string): HTMLElement {
  return h('span', { 'data-span': Date.parse(iso) }, span(Date.parse(iso) - Date.now()));
}

/** Brings every relative time below an element up to date. */
export function tick(root: Element): void {
  for (const element of root.querySelectorAll<HTMLElement>('[data-at]')) write(element, relative(Number(element.dataset.at), Date.now()));
  for (const element of root.querySelectorAll<HTMLElement>('[data-span]')) write(element, span(Number(element.dataset.span) - Date.now()));
}

function write(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function idText(id: string): HTMLElement {
  return h('span', { class: 'id value', title: id }, h('span', { class: 'rounded' }, shortId(id)), h('span', { class: 'exact' }, id));
}

/** `brief` leaves the id to the tooltip where there is a name. */
export function nodeLink(id: string, name?: string, brief = false): HTMLElement {
  if (brief && name) return h('a', { href: nodePath(id), class: 'node-link', title: id }, h('span', { class: 'name' }, name));
  return h('a', { href: nodePath(id), class: 'node-link' }, name ? h('span', { class: 'name' }, name) : undefined, idText(id));
}

export function epochLink(number: number): HTMLElement {
  return h('a', { href: epochPath(number) }, String(number));
}

export type Column<T> = { head: string; cell: (row: T) => Child; number?: boolean };

/**
 * A table that is a list of cards on a phone. The roles are said aloud because a table that is laid out as blocks is
 * none any more to some screen readers.
 */
export function table<T>(caption: string, columns: readonly Column<T>[], rows: readonly T[], keyOf: (row: T) => string): HTMLElement {
  return h(
    'table',
    { class: 'list', role: 'table' },
    h('caption', { class: 'hidden' }, caption),
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, ...columns.map((c) => h('th', { scope: 'col', role: 'columnheader', class: c.number ? 'number' : undefined }, c.head)))),
    h(
      'tbody',
      { role: 'rowgroup' },
      ...rows.map((row) =>
        h(
          'tr',
          { role: 'row', 'data-key': keyOf(row) },
          ...columns.map((c, i) => {
            const classes = c.number ? 'number' : undefined;
            const content = c.cell(row);
            return i === 0
              ? h('th', { scope: 'row', role: 'rowheader', 'data-label': c.head, class: classes }, content)
              : h('td', { role: 'cell', 'data-label': c.head, class: classes }, content);
          }),
        ),
      ),
    ),
  );
}

/** Terms and what they are; those without a value are left out. */
export function facts(...entries: [term: string, ...value: Child[]][]): HTMLElement {
  return h(
    'dl',
    { class: 'facts' },
    ...entries
      .filter(([, ...content]) => content.some((child) => child !== undefined && child !== false && child !== ''))
      .map(([term, ...content]) => h('div', {}, h('dt', {}, term), h('dd', {}, ...content))),
  );
}

/** Facts below each other: long ones. */
export function longFacts(...entries: Parameters<typeof facts>): HTMLElement {
  const list = facts(...entries);
  list.classList.add('wide');
  return list;
}

export function section(title: string, ...children: Child[]): HTMLElement {
  const id = `s-${title.toLowerCase().replace(/\W+/g, '-')}`;
  return h('section', { 'aria-labelledby': id, 'data-key': id }, h('h2', { id }, title), ...children);
}

/** Why there is nothing to see, and what would make it otherwise. */
export function nothing(what: string, why = ''): HTMLElement {
  return h('div', { class: 'nothing' }, h('p', {}, h('strong', {}, what)), why ? h('p', {}, why) : undefined);
}

const stateWords: Record<string, string> = { up: 'Up', suspect: 'Silent', unknown: 'Not heard yet', down: 'Down' };

/** A state in a word and a shape, not by colour alone. */
export function state(name: string, draining = false): HTMLElement {
  return h('span', { class: `state ${name}` }, stateWords[name] ?? name, draining ? h('span', { class: 'tag' }, 'draining') : undefined);
}

const epochWords: Record<string, string> = { none: 'Not opened', open: 'Open', charging: 'Charging', committed: 'Committed', void: 'Void' };

export function epochState(name: string): HTMLElement {
  return h('span', { class: `state ${name}` }, epochWords[name] ?? name);
}

/** A bar for a fraction of 1, for the eye alone; the number stands beside it. */
export function meter(fraction: number): Node {
  const full = Math.min(1, Math.max(0, Number.isFinite(fraction) ? fraction : 0)) * 100;
  return s(
    'svg',
    { class: 'meter', viewBox: '0 0 100 8', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    s('rect', { class: 'whole', width: 100, height: 8 }),
    s('rect', { class: 'part', width: round(full), height: 8 }),
  );
}

export function badge(text: string, title: string): HTMLElement {
  return h('span', { class: 'badge', title }, text);
}
