/** Messages of this call; they are not kept after it. */

import type { Message } from '../call/session.ts';
import { h } from './dom.ts';
import { icon } from './icons.ts';

export class ChatPanel {
  readonly element: HTMLElement;
  private readonly list = h('ol', { class: 'messages', role: 'log', 'aria-label': 'Messages' });
  private readonly input = h('textarea', {
    id: 'message',
    rows: 1,
    maxlength: 4000,
    placeholder: 'Write to everybody',
    'aria-label': 'Message to everybody',
    onkeydown: (event) => this.key(event as KeyboardEvent),
  });
  private readonly button = h('button', { type: 'submit', class: 'round', 'aria-label': 'Send', title: 'Send' }, icon('send'));
  private readonly empty = h('p', { class: 'hint' }, 'Nothing yet. Messages go to everybody in the room and are not kept after the call.');

  constructor(private readonly send: (text: string) => Promise<void>) {
    this.element = h(
      'div',
      { class: 'chat' },
      this.empty,
      this.list,
      h('form', { onsubmit: (event) => this.submit(event) }, this.input, this.button),
    );
  }

  focus(): void {
    this.input.focus();
  }

  setAllowed(allowed: boolean): void {
    this.input.disabled = !allowed;
    this.button.disabled = !allowed;
    this.input.placeholder = allowed ? 'Write to everybody' : 'Your token does not permit you to write';
  }

  receive(message: Message): void {
    this.empty.hidden = true;
    const time = new Date(message.at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
    this.list.append(
      h(
        'li',
        { class: message.own ? 'own' : '' },
        h('span', { class: 'by' }, message.own ? 'You' : message.from, ' ', h('time', {}, time)),
        h('p', {}, message.text),
      ),
    );
    this.list.lastElementChild?.scrollIntoView({ block: 'end' });
  }

  private key(event: KeyboardEvent): void {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.input.form?.requestSubmit();
  }

  private submit(event: Event): void {
    event.preventDefault();
    const text = this.input.value.trim();
    if (text === '') return;
    this.input.value = '';
    this.send(text).catch((error: unknown) => {
      this.input.value = text;
      this.empty.hidden = false;
      this.empty.textContent = `Your message was not sent: ${error instanceof Error ? error.message : error}`;
    });
  }
}
