// ForwardParticipant with unmodified clients: ada publishes in one room and is seen and heard in another, by ben on another
// node, whose room another Orchestrator of the operator has. Ada publishes once.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openBrowser } from './browser.mjs';
import { signToken, startDevnet } from './devnet.mjs';
import { freshRoom, mediaFlows, muteIsSeen, until } from './exchange.mjs';
import { record } from './figures.mjs';

const here = freshRoom('forward');
const there = freshRoom('forward-there');
const small = { width: 320, height: 180, fps: 10, simulcast: false };
let devnet; // of its own: two Orchestrators
let browser;
let ada;
let ben;
let cia;

const token = (identity, room) => signToken(devnet.ready, { identity, room });
const urlOf = (member, place) => `${devnet.ready.orchestrators[member].url.replace(/^http/, 'ws')}?place=${place}`;

async function order(method, body, room = here) {
  const grants = { roomCreate: true, roomList: true, roomAdmin: true, destinationRoom: room === here ? there : here };
  const server = signToken(devnet.ready, { identity: 'server', room, video: grants });
  const reply = await fetch(`${devnet.ready.orchestrators[0].url}/twirp/livekit.RoomService/${method}`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${server}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ room, ...body }),
  });
  return { status: reply.status, ...(await reply.json()) };
}

async function nodeOf(member, identity, room) {
  const response = await fetch(`${devnet.ready.orchestrators[member].url}/drtc/v1/session?access_token=${token(identity, room)}`);
  return response.ok ? (await response.json()).node.id : undefined;
}

const forward = (identity, room = here) => order('ForwardParticipant', { identity, destination_room: room === here ? there : here }, room);
const sees = (viewer, identity) => viewer.page.evaluate((name) => globalThis.room.remoteParticipants.has(name), identity);

before(async () => {
  const dir = join(process.env.DRTC_E2E_DIR, 'forward');
  mkdirSync(dir, { recursive: true });
  devnet = await startDevnet(process.env.DRTC_BIN, dir, ['--orchestrators', '2']);
  browser = await openBrowser({ fps: 10 });
  [ada, ben, cia] = await Promise.all(['ada', 'ben', 'cia'].map((label) => browser.client(label)));
  await ada.join(urlOf(0, '50.1,8.7'), token('ada', here));
  await cia.join(urlOf(0, '50.1,8.7'), token('cia', here));
  await ben.join(urlOf(1, '38.9,-77.4'), token('ben', there));
  await ada.publish(small);
  await cia.watch('ada');
});
after(async () => {
  await browser?.close();
  const left = await devnet?.stop();
  assert.deepEqual(left ?? [], [], 'processes that outlived their network');
});

test('a participant is seen and heard in another room, on another node', async () => {
  assert.notEqual(await nodeOf(0, 'ada', here), await nodeOf(1, 'ben', there), 'they are on two nodes');
  const start = Date.now();
  assert.deepEqual(await forward('ada'), { status: 200 });
  record('forward: first picture in the other room after', `${Math.round(await ben.watch('ada'))} ms of watching, ${Date.now() - start} ms in all`);
  await mediaFlows([[ben, 'ada'], [cia, 'ada']], 3, 'forward');
  const { participants } = await order('ListParticipants', {}, there);
  const guest = participants.find((p) => p.identity === 'ada');
  assert.deepEqual(guest.kind_details, ['FORWARDED']);
  assert.equal((await order('ListParticipants', {})).participants.find((p) => p.identity === 'ada').sid === guest.sid, false);
  assert.equal(await sees(ada, 'ben'), false, 'ada sees nobody of the other room');
  assert.deepEqual(await forward('ada'), { status: 200 }, 'doing it again');
});

test('mute and unmute travel', async () => {
  await muteIsSeen(ada, ben, 'forward');
  await mediaFlows([[ben, 'ada']], 2, 'forward, unmuted');
});

test('the other way round, and no further', async () => {
  await ben.publish(small);
  assert.deepEqual(await forward('ben', there), { status: 200 });
  await Promise.all([ada.watch('ben'), cia.watch('ben')]);
  await mediaFlows([[ada, 'ben'], [cia, 'ben'], [ben, 'ada']], 2, 'forward, both ways');
  const again = await forward('ada', there);
  assert.equal(again.code, 'failed_precondition', JSON.stringify(again));
  assert.equal((await order('RemoveParticipant', { identity: 'ben' })).status, 200);
  await ada.waitEvent('participantDisconnected', { identity: 'ben' });
  await mediaFlows([[ben, 'ada']], 2, 'forward, one way again');
});

test('an Orchestrator that dies takes nobody away', async () => {
  const start = Date.now();
  process.kill(devnet.ready.orchestrators[0].pid, 'SIGKILL'); // it has ada's room
  await sleep(1000);
  await mediaFlows([[ben, 'ada']], 10, 'forward, Orchestrator killed');
  assert.equal(await sees(ben, 'ada'), true);
  record('forward: seen without a gap of a second since the Orchestrator died', `${Date.now() - start} ms`);
  await devnet.revive('orchestrator', 0);
  await until(async () => (await cia.page.evaluate(() => globalThis.room.state)) === 'connected', 20_000, 'cia is back');
  await until(async () => (await ada.page.evaluate(() => globalThis.room.state)) === 'connected', 20_000, 'ada is back');
});

test('who leaves is gone in both rooms', async () => {
  await ada.leave();
  await cia.waitEvent('participantDisconnected', { identity: 'ada' });
  await ben.waitEvent('participantDisconnected', { identity: 'ada' });
});
