import { expect, test } from 'vitest';
import { inviteLink, parseLink, withoutToken } from './link.ts';

test('parseLink reads the four parameters and trims them', () => {
  expect(parseLink('?room=%20blue%20&name=Ada&url=ws://h:1&token=t')).toEqual({ room: 'blue', name: 'Ada', url: 'ws://h:1', token: 't' });
  expect(parseLink('')).toEqual({ room: '', name: '', url: '', token: '' });
});

test('withoutToken removes the token and keeps the rest', () => {
  const shown = withoutToken('https://call.example/?room=blue&token=secret&name=Ada#x');
  expect(shown).toBe('/?room=blue&name=Ada#x');
  expect(shown).not.toContain('secret');
});

test('inviteLink holds the room and nothing about the inviter', () => {
  expect(inviteLink('https://call.example/?name=Ada&room=blue&url=ws://x', 'a & b')).toBe('https://call.example/?room=a+%26+b');
});
