/** What a page of the status pages is, and the sentences about what cannot be asked. */

import type { Answer, Feed } from '../../status/feed.ts';
import type { FromChain } from '../../status/model.ts';
import { h } from '../dom.ts';
import { moment, nothing } from './parts.ts';

export abstract class Page {
  /** What is written above and in the window's title; `load` may change it. */
  abstract title: string;
  /** Shows the page anew from what it has; set by who shows it. */
  redraw: () => void = () => undefined;

  /** Asks for everything that the page shows. */
  abstract load(feed: Feed): Promise<void>;
  /** What stands below the title, from what was last loaded. */
  abstract draw(): (Node | string | undefined | false)[];
}

/** What stands in place of something out of the chain, or undefined where that is there. */
export function chainAway<T extends FromChain>(answer: Answer<T> | undefined): HTMLElement | undefined {
  if (answer === undefined || answer.kind === 'ok' || answer.kind === 'away' && answer.value) return undefined;
  if (answer.kind === 'missing') {
    return answer.code === 'no_chain'
      ? nothing('This network runs without a chain.', 'There are no epochs, pools or payouts. Give a Registry the table [chain] to have them.')
      : nothing('This Registry knows nothing of that.');
  }
  return nothing('The chain cannot be read.', sentence(answer.problem));
}

/** Says that what is shown of the chain is old; undefined while it is current. */
export function chainOld<T extends FromChain>(answer: Answer<T> | undefined): HTMLElement | undefined {
  const value = answer && answer.kind !== 'missing' ? answer.value : undefined;
  const problem = answer?.kind === 'away' ? answer.problem : value?.problem;
  if (!problem || !value) return undefined;
  return warning('Shown is what was last read of the chain', value.readAt ? moment(value.readAt) : undefined, `: ${problem}.`);
}

export function warning(...words: (Node | string | undefined | false)[]): HTMLElement {
  return h('p', { class: 'warning' }, ...words.map((word) => (word instanceof Node ? h('span', {}, ' ', word) : word)));
}

export function sentence(text: string): string {
  return text === '' ? '' : `${text[0]!.toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;
}
