// A lobby with unmodified client SDKs: who waits is connected, alone and silent until a host lets it in, without another
// connection; then the host hands over, mutes and removes.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openBrowser } from './browser.mjs';
import { signToken, startDevnet } from './devnet.mjs';
import { freshRoom, mediaFlows } from './exchange.mjs';

const room = freshRoom('lobby');
let devnet; // of its own: its rooms have a policy
let browser;
let ann;
let bob;

const tokenOf = (identity) => signToken(devnet.ready, { identity, room });

/** Asks for something as a participant; resolves to the status. */
async function moderate(identity, action, body) {
  const reply = await fetch(`${devnet.ready.url}/drtc/v1/rooms/${room}/${action}`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${tokenOf(identity)}` },
    body: JSON.stringify(body),
  });
  await reply.text();
  return reply.status;
}

const sees = (client) => client.page.evaluate(() => [...globalThis.room.remoteParticipants.values()].map((p) => [p.identity, { ...p.attributes }]));
const own = (client) => client.page.evaluate(() => ({ ...globalThis.room.localParticipant.attributes }));

before(async () => {
  const dir = join(process.env.DRTC_E2E_DIR, 'lobby');
  mkdirSync(dir, { recursive: true });
  const policy = fileURLToPath(new URL('../../examples/meeting/drtc.toml', import.meta.url));
  devnet = await startDevnet(process.env.DRTC_BIN, dir, ['--orchestrator-config', policy]);
  browser = await openBrowser({ fps: 10 });
  ann = await browser.client('lobby-ann');
  bob = await browser.client('lobby-bob');
});
after(async () => {
  await browser?.close();
  const left = await devnet?.stop();
  assert.deepEqual(left ?? [], [], 'nothing of the network is left');
});

const small = { width: 320, height: 180, fps: 10, simulcast: false };

test('the first one is host, the second one is connected and waits', async () => {
  await ann.join(devnet.ready.url.replace(/^http/, 'ws'), tokenOf('lobby-ann'));
  assert.deepEqual(await own(ann), { 'drtc.role': 'host' });
  await ann.publish(small);
  await bob.join(devnet.ready.url.replace(/^http/, 'ws'), tokenOf('lobby-bob'));
  assert.deepEqual(await own(bob), { 'drtc.lobby': 'waiting' });
  assert.deepEqual(await sees(bob), []);
  assert.equal(await bob.page.evaluate(() => globalThis.room.state), 'connected');
  await ann.waitEvent('participantConnected', { identity: 'lobby-bob' });
  assert.deepEqual(await sees(ann), [['lobby-bob', { 'drtc.lobby': 'waiting' }]]);
  assert.ok(await bob.attempt('publish', small), 'one who waits published');
});

test('data for everybody does not reach it', async () => {
  await ann.page.evaluate(() => globalThis.room.localParticipant.publishData(new TextEncoder().encode('among us'), { reliable: true }));
  await ann.page.evaluate(() =>
    globalThis.room.localParticipant.publishData(new TextEncoder().encode('for bob'), { reliable: true, destinationIdentities: ['lobby-bob'] }),
  );
  await bob.waitEvent('dataReceived', { text: 'for bob' });
  assert.deepEqual((await bob.events('dataReceived')).map((event) => event.text), ['for bob']);
});

test('only a host lets it in, in the same connection', async () => {
  assert.equal(await moderate('lobby-bob', 'accept', { identity: 'lobby-bob' }), 403);
  assert.equal(await moderate('lobby-ann', 'accept', { identity: 'lobby-bob' }), 200);
  await bob.waitEvent('participantConnected', { identity: 'lobby-ann' });
  await bob.page.waitForFunction(() => globalThis.room.localParticipant.permissions.canPublish);
  assert.deepEqual(await own(bob), {});
  await bob.publish(small);
  await Promise.all([ann.watch('lobby-bob'), bob.watch('lobby-ann')]);
  await mediaFlows([[ann, 'lobby-bob'], [bob, 'lobby-ann']], 2, 'after the lobby');
  assert.deepEqual(await bob.events('reconnecting'), []);
  assert.deepEqual(await ann.events('participantDisconnected'), []);
});

test('a host hands over, the new one mutes and removes', async () => {
  assert.equal(await moderate('lobby-ann', 'host', { identity: 'lobby-bob' }), 200);
  await bob.page.waitForFunction(() => globalThis.room.localParticipant.attributes['drtc.role'] === 'host');
  assert.equal(await moderate('lobby-ann', 'mute', { identity: 'lobby-bob' }), 403);
  assert.equal(await moderate('lobby-bob', 'mute', { identity: 'lobby-ann' }), 200);
  await bob.waitEvent('trackMuted', { identity: 'lobby-ann', source: 'microphone' });
  await ann.page.waitForFunction(() => !globalThis.room.localParticipant.isMicrophoneEnabled);
  assert.equal(await moderate('lobby-bob', 'remove', { identity: 'lobby-ann' }), 200);
  await ann.waitEvent('disconnected', { reason: 'PARTICIPANT_REMOVED' });
  await bob.waitEvent('participantDisconnected', { identity: 'lobby-ann' });
});
