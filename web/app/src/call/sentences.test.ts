import { expect, test } from 'vitest';
import { deviceSentence, endedSentence, joinSentence, publishSentence } from './sentences.ts';

const reasons = ['CLIENT_INITIATED', 'DUPLICATE_IDENTITY', 'SERVER_SHUTDOWN', 'PARTICIPANT_REMOVED', 'ROOM_DELETED', 'STATE_MISMATCH', 'JOIN_FAILURE', 'MIGRATION', 'SIGNAL_CLOSE', 'MEDIA_FAILURE', 'UNKNOWN_REASON', ''];

test.each(reasons)('%j ends in a full sentence without jargon', (reason) => {
  expect(endedSentence(reason)).toMatch(/^[A-Z].*\.$/);
  expect(endedSentence(reason)).not.toMatch(/_/);
});

test('a refusal repeats what the Orchestrator said, once and with a full stop', () => {
  expect(joinSentence({ kind: 'refused', status: 401, said: 'token expired at 12:00\ntrace' })).toBe('The Orchestrator refused you: token expired at 12:00.');
  expect(joinSentence({ kind: 'refused', status: 403, said: '' })).toBe('The Orchestrator refused you: it answered 403.');
});

test('a device that is blocked, missing or busy is told apart', () => {
  const said = ['NotAllowedError', 'NotFoundError', 'NotReadableError', 'Odd'].map((name) => deviceSentence('camera', name));
  expect(new Set(said).size).toBe(4);
  expect(said[0]).toContain('blocked');
  expect(said[3]).toContain('Odd');
});

test('a publication without permission says that watching still works', () => {
  expect(publishSentence('camera', true, '')).toContain('does not permit');
  expect(publishSentence('screen', false, 'timed out')).toBe('Your screen was not sent: timed out.');
});

test('a token that somebody quotes is not shown', () => {
  const said = 'could not establish signal connection: invalid token: eyJhbGciOiJI.eyJpc3MiOiJk.c2ln, error: expired';
  expect(joinSentence({ kind: 'refused', status: 401, said })).toBe('The Orchestrator refused you: invalid token: (token), error: expired.');
});
