// A Media Node is killed, another one drained, and their clients go on elsewhere: the same PeerConnections, sections, tracks
// and data channels, for which each node is told what the one before knew. The test is the Orchestrator; the pages are plain WebRTC.

import { DataPacket, UserPacket } from '@livekit/protocol';
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openBrowser } from './browser.mjs';
import { until } from './exchange.mjs';
import { record } from './figures.mjs';

const dir = join(process.env.DRTC_E2E_DIR ?? '.', 'migrate');
const root = fileURLToPath(new URL('../..', import.meta.url));
const children = [];
const live = {}; // node name -> track -> the last TrackLive
const needed = []; // every NegotiationNeeded
let signer;
let nodes;
let server;
let browser;
let ada; // publishes
let ben; // watches

before(async () => {
  mkdirSync(dir, { recursive: true });
  const program = join(dir, 'signer');
  execFileSync('go', ['build', '-o', program, './web/e2e/signer'], { cwd: root });
  const child = start(program, []);
  child.stdout.setEncoding('utf8');
  [signer] = await once(child.stdout, 'data');
  signer = signer.trim();
  nodes = Object.fromEntries(await Promise.all(['first', 'second', 'third'].map(async (name) => [name, await startNode(name)])));
  server = http.createServer((_, response) => response.writeHead(200, { 'Content-Type': 'text/html' }).end('<!doctype html><title>moves</title>'));
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  browser = await openBrowser();
  [ada, ben] = await Promise.all(['migrate-ada', 'migrate-ben'].map((label) => participant(label)));
});
after(async () => {
  await browser?.close();
  server?.close();
  for (const child of children) child.kill('SIGKILL');
});

function start(program, args) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return child;
}

async function startNode(name) {
  const config = join(dir, `${name}.toml`);
  const ready = join(dir, `${name}.json`);
  rmSync(ready, { force: true });
  const lines = [
    `key_file = "${join(dir, `${name}.key`)}"`,
    'listen = "127.0.0.1:0"',
    'media_listen = ["127.0.0.1:0"]',
    'metrics_listen = ""',
    'region = "EU"',
    'log_level = "error"',
    '[admission]',
    'mode = "anyone"',
  ];
  writeFileSync(config, lines.join('\n'));
  const child = start(process.env.DRTC_BIN, ['medianode', '--config', config, '--ready-file', ready]);
  await until(() => existsSync(ready) && readFileSync(ready, 'utf8').endsWith('}\n'), 10_000, `${name} node is ready`);
  const node = { name, child, config, ...JSON.parse(readFileSync(ready, 'utf8')) };
  live[name] = {};
  void follow(node).catch(() => {}); // it ends with the node
  return node;
}

function ask(node, method, body, contentType = 'application/json') {
  return fetch(`${signer}/drtc.medianode.v1.ControlService/${method}`, {
    method: 'POST',
    headers: { 'Content-Type': contentType, 'X-Node-ID': node.id, 'X-Node-URL': node.control },
    body,
  });
}

async function call(node, method, message) {
  const response = await ask(node, method, JSON.stringify(message));
  const answer = await response.json();
  assert.ok(response.ok, `${method} at the ${node.name} node: ${answer.message}`);
  return answer;
}

/** Reads a node's event stream: messages of a flag byte, a length and JSON. */
async function follow(node) {
  const response = await ask(node, 'Events', new Uint8Array([0, 0, 0, 0, 2, 0x7b, 0x7d]), 'application/connect+json');
  let waiting = Buffer.alloc(0);
  for await (const chunk of response.body) {
    waiting = Buffer.concat([waiting, chunk]);
    while (waiting.length >= 5 && waiting.length >= 5 + waiting.readUInt32BE(1)) {
      const end = 5 + waiting.readUInt32BE(1);
      const event = JSON.parse(waiting.subarray(5, end).toString() || '{}');
      waiting = waiting.subarray(end);
      if (event.trackLive) live[node.name][event.trackLive.track] = event.trackLive;
      if (event.negotiationNeeded) needed.push(event.negotiationNeeded);
    }
  }
}

async function participant(label) {
  const page = await browser.page(label);
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.evaluate(inPage);
  return {
    label,
    run: (method, ...args) => page.evaluate(([name, parameters]) => globalThis.moves[name](...parameters), [method, args]),
    session: `SE_${label}`,
    placed: {},
  };
}

/** What runs in the page: one PeerConnection, and a note of everything that happens to it. */
function inPage() {
  const pc = new RTCPeerConnection();
  const events = [];
  const received = [];
  const frames = [];
  const channels = ['_reliable', '_lossy'].map((label) => {
    const lossy = label === '_lossy';
    const channel = pc.createDataChannel(label, lossy ? { ordered: false, maxRetransmits: 0 } : {});
    channel.binaryType = 'arraybuffer';
    channel.onmessage = ({ data }) => received.push({ label, bytes: [...new Uint8Array(data)] });
    channel.onclose = () => events.push(`${label} closed`);
    return channel;
  });
  pc.ontrack = ({ track, transceiver }) => {
    events.push(`track ${transceiver.mid}`);
    track.onended = () => events.push(`ended ${transceiver.mid}`);
    const video = document.createElement(track.kind);
    Object.assign(video, { muted: track.kind === 'video', autoplay: true, srcObject: new MediaStream([track]) });
    document.body.append(video);
    if (track.kind !== 'video') return;
    const shown = (now) => {
      frames.push(now);
      video.requestVideoFrameCallback(shown);
    };
    video.requestVideoFrameCallback(shown);
  };
  globalThis.moves = {
    async publish() {
      const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 1280, height: 720, frameRate: 20 } });
      const encodings = [
        { rid: 'q', scaleResolutionDownBy: 4, maxBitrate: 150_000 },
        { rid: 'h', scaleResolutionDownBy: 2, maxBitrate: 400_000 },
        { rid: 'f', maxBitrate: 1_000_000 },
      ];
      pc.addTransceiver(media.getAudioTracks()[0], { direction: 'sendonly' });
      pc.addTransceiver(media.getVideoTracks()[0], { direction: 'sendonly', sendEncodings: encodings });
      return media.getTracks().map(({ id, kind }) => ({ id, kind }));
    },
    receive: () => ['audio', 'video'].forEach((kind) => pc.addTransceiver(kind, { direction: 'recvonly' })),
    async offer(iceRestart) {
      await pc.setLocalDescription(await pc.createOffer({ iceRestart }));
      return pc.localDescription.sdp;
    },
    answer: (sdp) => pc.setRemoteDescription({ type: 'answer', sdp }),
    state: () => pc.connectionState,
    channels: () => channels.map(({ label, id, readyState }) => ({ label, id, readyState })),
    send: (label, bytes) => channels.find((channel) => channel.label === label).send(new Uint8Array(bytes)),
    events: () => events,
    received: () => received,
    now: () => performance.now(),
    firstFrameAfter: (at) => frames.find((frame) => frame > at),
    gap(since) {
      const times = frames.slice(Math.max(0, frames.findLastIndex((frame) => frame <= since)));
      return Math.max(...times.slice(1).map((time, index) => time - times[index]));
    },
    transceivers: () => pc.getTransceivers().map((one) => [one.mid, one.currentDirection, one.receiver.track.id, one.receiver.track.readyState].join(' ')),
    async inbound() {
      const found = { audio: 0, video: 0, frames: 0, energy: 0 };
      (await pc.getStats()).forEach((entry) => {
        if (entry.type !== 'inbound-rtp') return;
        found[entry.kind] += entry.packetsReceived;
        found.frames += entry.framesDecoded ?? 0;
        found.energy += entry.totalAudioEnergy ?? 0;
      });
      return found;
    },
  };
}

async function negotiate(node, who, more = {}, iceRestart = false) {
  const sdp = await who.run('offer', iceRestart);
  const answer = await call(node, 'Offer', { session: who.session, sdp, ...more });
  await who.run('answer', answer.sdp);
  who.placed = answer.midToTrack ?? {};
  return { offer: sdp, answer };
}

function createSession(node, who) {
  return call(node, 'CreateSession', {
    session: who.session, mode: 'MODE_SINGLE', room: 'RM_moves', participant: `PA_${who.label}`, identity: who.label,
    permissions: { publish: true, subscribe: true, publishData: true },
  });
}

const tracks = [];
const publications = () =>
  tracks.map(({ id, kind, track }) => ({
    cid: id, track, kind: kind === 'video' ? 'KIND_VIDEO' : 'KIND_AUDIO',
    layers: kind === 'video' ? [['q', 320, 180], ['h', 640, 360], ['f', 1280, 720]].map(([rid, width, height]) => ({ rid, width, height })) : [],
  }));
const subscriptions = () => tracks.map(({ track }) => ({ track, stream: 'PA_ada|camera', settings: { width: 1280, height: 720 } }));

const flows = async () => {
  const start = await ben.run('inbound');
  await until(async () => {
    const now = await ben.run('inbound');
    return now.frames > start.frames + 10 && now.audio > start.audio + 20 && now.energy > start.energy;
  }, 8000, 'ben sees and hears ada');
};

/** A message on both channels, both ways; each is sent again until it is there, as a page that just moved would. */
async function dataFlows(words) {
  for (const [from, to] of [[ada, ben], [ben, ada]]) {
    for (const label of ['_reliable', '_lossy']) {
      const payload = new TextEncoder().encode(`${words} ${label}`);
      const bytes = [...new DataPacket({ value: { case: 'user', value: new UserPacket({ payload }) } }).toBinary()];
      const arrived = async () =>
        (await to.run('received')).some((one) => {
          const packet = DataPacket.fromBinary(new Uint8Array(one.bytes));
          return one.label === label && packet.participantIdentity === from.label && new TextDecoder().decode(packet.value.value.payload) === `${words} ${label}`;
        });
      await from.run('send', label, bytes);
      await until(async () => {
        if (await arrived()) return true;
        if (label === '_lossy') await from.run('send', label, bytes);
        return false;
      }, 5000, `${words} of ${from.label} on ${label}`);
    }
  }
}

test('simulcast, audio and data between two clients of one node', async () => {
  for (const who of [ada, ben]) await createSession(nodes.first, who);
  for (const [index, one] of (await ada.run('publish')).entries()) tracks.push({ ...one, track: `TR_${index}_${one.kind}` });
  await ben.run('receive');
  await negotiate(nodes.first, ada, { publications: publications() });
  await negotiate(nodes.first, ben);
  for (const who of [ada, ben]) await until(async () => (await who.run('state')) === 'connected', 5000, `${who.label} is connected`);
  await until(() => tracks.every(({ track }) => live.first[track]), 5000, 'the node names the streams');
  const subscribed = await call(nodes.first, 'Subscribe', { session: ben.session, subscriptions: subscriptions() });
  assert.deepEqual([subscribed.refused ?? {}, subscribed.negotiationNeeded], [{}, true]);
  await negotiate(nodes.first, ben);
  await flows();
  await until(() => live.first['TR_1_video'].layers?.length === 3, 15_000, 'three layers arrive');
  await dataFlows('before');
  await sleep(2000); // so long, Chromium labels its packets no more
});

/** Moves both to another node, the viewer first: what it watches is not there yet. Resolves to the milliseconds without a picture. */
async function move(from, to, label, leave) {
  const before = await Promise.all([ada, ben].map((who) => who.run('transceivers')));
  const events = await Promise.all([ada, ben].map(async (who) => [...(await who.run('events'))]));
  const sources = Object.values(live[from.name]).flatMap(({ mid, layers }) => layers.map(({ rid, ssrc, repairSsrc }) => ({ mid, rid, ssrc, repairSsrc })));
  const kinds = new Map(tracks.map(({ track, kind }) => [track, kind === 'video' ? 'KIND_VIDEO' : 'KIND_AUDIO']));
  const promised = Object.entries(ben.placed).map(([mid, track]) => ({
    mid, track, stream: 'PA_ada|camera', kind: kinds.get(track), mime: live[from.name][track].mime,
  }));
  const channels = () => Promise.all([ada, ben].map((who) => who.run('channels')));
  const open = await channels();
  const named = open.map((list) => list.map(({ label, id }) => ({ label, id })));

  await leave?.();
  const at = await ben.run('now');
  const start = Date.now();
  await createSession(to, ben);
  const moved = await negotiate(to, ben, { restore: { tracks: promised, channels: named[1] } }, true);
  assert.deepEqual(ben.placed, Object.fromEntries(promised.map(({ mid, track }) => [mid, track])), 'what ben was sent is on the same sections');
  assert.match(moved.offer, /a=setup:actpass/);
  const subscribed = await call(to, 'Subscribe', { session: ben.session, subscriptions: subscriptions() });
  assert.deepEqual(subscribed, {}, 'no section is missing, nothing is refused, nothing is to be negotiated');
  await createSession(to, ada);
  const published = await negotiate(to, ada, { publications: publications(), restore: { sources, channels: named[0] } }, true);
  assert.deepEqual(published.answer.published.map((one) => one.track).sort(), tracks.map(({ track }) => track).sort());

  for (const who of [ada, ben]) await until(async () => (await who.run('state')) === 'connected', 5000, `${who.label} is connected again`);
  record(`${label}: both connected to the other node after`, `${Date.now() - start} ms`);
  await until(async () => (await ben.run('firstFrameAfter', at + 100)) !== undefined, 5000, 'ben sees ada again');
  await flows();
  await until(() => live[to.name]['TR_1_video']?.layers?.length === 3, 10_000, 'all three layers arrive at the other node');
  const layers = (node) => live[node.name]['TR_1_video'].layers.map(({ rid, ssrc }) => [rid, ssrc]);
  assert.deepEqual(layers(to), layers(from), 'the layers have the streams that they had');
  await dataFlows(label);

  assert.deepEqual(await Promise.all([ada, ben].map((who) => who.run('transceivers'))), before, 'the same transceivers and tracks');
  assert.deepEqual(await Promise.all([ada, ben].map((who) => who.run('events'))), events, 'no track came, ended or changed, no channel closed');
  assert.deepEqual(await channels(), open, 'the channels are as they were');
  assert.deepEqual(needed, [], 'the other node needs no negotiation');
  return ben.run('gap', at);
}

test('the node is killed: both go on at another one', async () => {
  const gap = await move(nodes.first, nodes.second, 'node killed', async () => {
    nodes.first.child.kill('SIGKILL');
    await once(nodes.first.child, 'exit');
  });
  record('node killed: largest gap between shown frames', `${Math.round(gap)} ms`, '<= 1000');
  assert.ok(gap <= 1000, `the picture stops for ${Math.round(gap)} ms`);
});

test('later negotiations go on from there', async () => {
  await negotiate(nodes.second, ben);
  await negotiate(nodes.second, ada, { publications: publications() });
  await flows();
  const unsubscribed = await call(nodes.second, 'Unsubscribe', { session: ben.session, tracks: ['TR_1_video'] });
  assert.equal(unsubscribed.negotiationNeeded, true);
  await negotiate(nodes.second, ben);
  assert.deepEqual(Object.values(ben.placed), ['TR_0_audio']);
  const again = await call(nodes.second, 'Subscribe', { session: ben.session, subscriptions: subscriptions() });
  assert.equal(again.negotiationNeeded, true);
  await negotiate(nodes.second, ben);
  await flows();
});

test('the node is drained: both move before it is stopped', async () => {
  const drain = (...flags) => start(process.env.DRTC_BIN, ['node', 'drain', '--config', nodes.second.config, '--url', nodes.second.control, '--json', ...flags]);
  const waiting = drain('--wait');
  const gone = once(waiting, 'exit');
  const [first] = await once(waiting.stdout.setEncoding('utf8'), 'data');
  assert.deepEqual(JSON.parse(first), { node: nodes.second.id, draining: true, sessions: 2 });
  const refusal = await ask(nodes.second, 'CreateSession', JSON.stringify({ session: 'SE_late', mode: 'MODE_SINGLE', room: 'RM', participant: 'PA', identity: 'late' }));
  assert.match((await refusal.json()).message, /draining/);

  const gap = await move(nodes.second, nodes.third, 'node drained');
  record('node drained: largest gap between shown frames', `${Math.round(gap)} ms`, '<= 1000');
  assert.ok(gap <= 1000, `the picture stops for ${Math.round(gap)} ms`);
  for (const who of [ada, ben]) await call(nodes.second, 'CloseSession', { session: who.session });
  assert.deepEqual(await gone, [0, null], 'the node says that it may be stopped');
  nodes.second.child.kill('SIGTERM');
  await once(nodes.second.child, 'exit');
  await flows();
  await dataFlows('at the third node');
  assert.equal(await ben.run('state'), 'connected');
});
