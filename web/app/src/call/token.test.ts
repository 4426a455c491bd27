import { expect, test } from 'vitest';
import { AdmissionError, readClaims, requestToken } from './token.ts';

const request = { identity: 'ada-1', room: 'blue', name: 'Ada' };
const answering = (status: number, body: string) => async () => new Response(body, { status });

test('requestToken sends the three fields and returns token and address', async () => {
  let sent: unknown;
  const given = await requestToken(request, async (url, init) => {
    sent = [url, init?.method, JSON.parse(String(init?.body))];
    return new Response('{"token":"t","url":"ws://h"}');
  });
  expect(sent).toEqual(['/api/token', 'POST', request]);
  expect(given).toEqual({ token: 't', url: 'ws://h' });
});

test.each([
  ['a refusal with its reason', answering(403, 'room is full'), /403: room is full/],
  ['a body that is not JSON', answering(200, '<html>'), /no token/],
  ['a body without address', answering(200, '{"token":"t"}'), /no token/],
  ['no answer', async () => Promise.reject(new TypeError('fetch failed')), /did not answer/],
])('requestToken turns %s into a sentence', async (_case, fetcher, sentence) => {
  const failing = requestToken(request, fetcher as typeof fetch);
  await expect(failing).rejects.toThrow(AdmissionError);
  await expect(failing).rejects.toThrow(sentence);
});

test('readClaims reads identity, name and room, also beyond ASCII', () => {
  const payload = btoa(String.fromCharCode(...new TextEncoder().encode('{"sub":"ada","name":"Adá","video":{"room":"blue"}}')));
  const token = `x.${payload.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')}.y`;
  expect(readClaims(token)).toEqual({ identity: 'ada', name: 'Adá', room: 'blue' });
});

test.each(['', 'abc', 'a.!!!.c', 'a.bm90IGpzb24.c'])('readClaims refuses %j', (token) => {
  expect(readClaims(token)).toBeUndefined();
});
