// The server API with real clients: what an application's server orders is what the unmodified client SDK shows.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openBrowser } from './browser.mjs';
import { currentDevnet } from './devnet.mjs';
import { freshRoom, mediaFlows } from './exchange.mjs';

const devnet = currentDevnet();
const room = freshRoom('server');
const other = freshRoom('server-other');
let browser;
let ada;
let ben;
let cia;

async function order(method, body, video = {}) {
  const token = devnet.token('server', room, { video: { roomCreate: true, roomList: true, roomAdmin: true, destinationRoom: other, ...video } });
  const reply = await fetch(`${devnet.signalUrl.replace(/^ws/, 'http')}/twirp/livekit.RoomService/${method}`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ room, ...body }),
  });
  const answer = await reply.json();
  assert.equal(reply.status, 200, JSON.stringify(answer));
  return answer;
}

before(async () => {
  browser = await openBrowser({ fps: 10 });
  ada = await browser.client('server-ada');
  ben = await browser.client('server-ben');
  cia = await browser.client('server-cia');
  await order('CreateRoom', { name: room, metadata: 'made' });
  await ada.join(devnet.signalUrl, devnet.token('server-ada', room));
  await ben.join(devnet.signalUrl, devnet.token('server-ben', room));
  await cia.join(devnet.signalUrl, devnet.token('server-cia', other));
  const small = { width: 320, height: 180, fps: 10, simulcast: false };
  await ada.publish(small);
  await ben.publish(small);
  await Promise.all([ada.watch('server-ben'), ben.watch('server-ada')]);
});
after(() => browser?.close());

test('participants and rooms are listed', async () => {
  const { participants } = await order('ListParticipants', {});
  assert.deepEqual(participants.map((p) => p.identity).sort(), ['server-ada', 'server-ben']);
  const { rooms } = await order('ListRooms', { names: [room] });
  assert.equal(rooms[0].metadata, 'made');
});

test('a server mutes a camera', async () => {
  const ada1 = await order('GetParticipant', { identity: 'server-ada' });
  const camera = ada1.tracks.find((t) => t.type === 'VIDEO');
  await order('MutePublishedTrack', { identity: 'server-ada', track_sid: camera.sid, muted: true });
  await ben.waitEvent('trackMuted', { identity: 'server-ada', source: 'camera' });
  await ada.page.waitForFunction(() => !globalThis.room.localParticipant.isCameraEnabled);
  await ada.page.evaluate(() => globalThis.room.localParticipant.setCameraEnabled(true));
  await ben.waitEvent('trackUnmuted', { identity: 'server-ada', source: 'camera' });
});

test('a server sends data', async () => {
  await order('SendData', { data: Buffer.from('to all').toString('base64'), kind: 'RELIABLE', topic: 't' });
  await ada.waitEvent('dataReceived', { text: 'to all', topic: 't' });
  await ben.waitEvent('dataReceived', { text: 'to all', topic: 't' });
  await order('SendData', { data: Buffer.from('to ben').toString('base64'), destination_identities: ['server-ben'] });
  await ben.waitEvent('dataReceived', { text: 'to ben' });
  assert.equal((await ada.events('dataReceived')).some((e) => e.text === 'to ben'), false);
});

test('a server takes a permission away and gives it back', async () => {
  await order('UpdateParticipant', { identity: 'server-ben', permission: { can_subscribe: true, can_publish: false } });
  await ada.waitEvent('trackUnsubscribed', { identity: 'server-ben', source: 'camera' });
  assert.equal(await ben.page.evaluate(() => globalThis.room.localParticipant.permissions.canPublish), false);
  await ben.page.waitForFunction(() => globalThis.room.localParticipant.trackPublications.size === 0);
  await order('UpdateParticipant', { identity: 'server-ben', permission: { can_subscribe: true, can_publish: true } });
  await sleep(300);
  await ben.publish({ width: 320, height: 180, fps: 10, simulcast: false });
  await mediaFlows([[ada, 'server-ben']], 2, 'permission given back');
});

test('a server moves a participant, whose media goes on in the other room', async () => {
  const at = Date.now();
  await order('MoveParticipant', { identity: 'server-ada', destination_room: other });
  await ben.waitEvent('participantDisconnected', { identity: 'server-ada' });
  await cia.waitEvent('trackSubscribed', { identity: 'server-ada', source: 'camera' });
  console.log(`moved and seen after ${Date.now() - at} ms`);
  await cia.watch('server-ada');
  await mediaFlows([[cia, 'server-ada']], 2, 'after the move');
  await ada.page.waitForFunction(() => globalThis.room.state === 'connected');
  assert.equal(await ada.page.evaluate(() => globalThis.room.name), other);
  assert.deepEqual(await ada.page.evaluate(() => [...globalThis.room.remoteParticipants.keys()]), ['server-cia']);
  console.log((await ada.call('eventsOf')).map((e) => e.name + ':' + (e.identity ?? e.state ?? '')).join(' '));
  await sleep(2500);
  await cia.publish({ width: 320, height: 180, fps: 10, simulcast: false });
  await ada.waitEvent('trackSubscribed', { identity: 'server-cia', source: 'camera' });
});

test('a server removes a participant, and the room', async () => {
  await order('RemoveParticipant', { identity: 'server-ben' });
  await ben.waitEvent('disconnected', { reason: 'PARTICIPANT_REMOVED' });
  await order('DeleteRoom', { room: other });
  await cia.waitEvent('disconnected', { reason: 'ROOM_DELETED' });
  await ada.waitEvent('disconnected', { reason: 'ROOM_DELETED' });
});
