/** Which room to watch, for an address that does not say. */

import { h } from './dom.ts';
import { icon } from './icons.ts';

export type WatchChoice = { room: string; identity: string };

export function watchForm(given: WatchChoice, onWatch: (choice: WatchChoice) => void): HTMLElement {
  const field = { maxlength: 64, autocomplete: 'off', spellcheck: 'false' };
  const room = h('input', { ...field, id: 'room', name: 'room', required: true, value: given.room });
  const identity = h('input', { ...field, id: 'identity', name: 'identity', value: given.identity, 'aria-describedby': 'whom' });
  const submit = (event: Event): void => {
    event.preventDefault();
    onWatch({ room: room.value.trim(), identity: identity.value.trim() });
  };
  return h(
    'main',
    { class: 'lobby narrow' },
    h('header', { class: 'brand' }, icon('node'), h('span', {}, 'drtc')),
    h(
      'form',
      { class: 'entry', onsubmit: submit },
      h('h1', {}, 'Watch a room'),
      h('p', { class: 'lead' }, 'You see and hear, and nobody sees or hears you.'),
      h('label', { for: 'room' }, 'Room'),
      room,
      h('label', { for: 'identity' }, 'Person'),
      identity,
      h('p', { class: 'hint', id: 'whom' }, 'The identity in the room. Leave it empty to see whoever speaks.'),
      h('button', { type: 'submit', class: 'primary' }, 'Watch'),
      h('p', { class: 'hint' }, h('a', { href: '/' }, 'Join a call instead')),
    ),
  );
}
