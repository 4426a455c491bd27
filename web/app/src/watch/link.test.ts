import { expect, test } from 'vitest';
import { parseWatchLink, watchLink, whepAddress } from './link.ts';

test('the address names room, person, Orchestrator and token', () => {
  expect(parseWatchLink('?room=blue+room&identity=ada&url=wss://o&token=t')).toEqual({ room: 'blue room', identity: 'ada', url: 'wss://o', token: 't' });
  expect(parseWatchLink('')).toEqual({ room: '', identity: '', url: '', token: '' });
});

test('a link for somebody else holds room and person, and no secret', () => {
  expect(watchLink('https://h/watch?token=t&url=x#y', 'blue room', 'ada')).toBe('https://h/watch?room=blue+room&identity=ada');
  expect(watchLink('https://h/watch', 'blue', '')).toBe('https://h/watch?room=blue');
});

test.each([
  ['ws://h:1', 'r', 'ada', 'http://h:1/whep/r/ada'],
  ['wss://h/', 'blue room', 'a/b', 'https://h/whep/blue%20room/a%2Fb'],
  ['https://h', 'r', '', 'https://h/whep/r'],
])('whepAddress of %s, %s and %j', (url, room, identity, want) => expect(whepAddress(url, room, identity)).toBe(want));
