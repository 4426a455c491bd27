import { expect, test } from 'vitest';
import { announce } from './sentences.ts';

test('with a picture nothing covers it', () => {
  expect(announce({ kind: 'connected', picture: true, sound: false }, 'ada').title).toBe('');
});

test.each([
  ['', /Nobody in the room is sending\./],
  ['ada', /“ada” is not sending\./],
])('nothing to see of %j says that the page stays connected', (identity, want) => {
  const said = announce({ kind: 'connected', picture: false, sound: false }, identity);
  expect(said.detail).toMatch(want);
  expect(said.detail).toMatch(/stays connected/);
  expect(said.final).toBe(false);
});

test('sound alone is said', () => {
  expect(announce({ kind: 'connected', picture: false, sound: true }, '').title).toBe('Sound only');
});

test('a refusal gives the cause of the server, without the token, and is final', () => {
  const said = announce({ kind: 'refused', status: 403, said: 'the access token eyJabc.def.ghi is for another room\nmore' }, '');
  expect(said.detail).toBe('The access token (token) is for another room.');
  expect(said.final).toBe(true);
});

test('a refusal without a word names the status', () => {
  expect(announce({ kind: 'refused', status: 404, said: '' }, '').detail).toMatch(/404/);
});

test.each([
  [{ kind: 'offline' }, /offline/],
  [{ kind: 'retrying', seconds: 4, said: 'the room is full' }, /lost/],
  [{ kind: 'connecting' }, /Connecting/],
  [{ kind: 'stopped' }, /Stopped/],
] as const)('%j has a title', (state, want) => expect(announce(state, '').title).toMatch(want));

test('a retry says why and when', () => {
  expect(announce({ kind: 'retrying', seconds: 4, said: 'the room is full' }, '').detail).toBe('The room is full. Trying again in 4 s.');
});
