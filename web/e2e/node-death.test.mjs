// A Media Node dies or freezes in mid-call: the call goes on at another node, and the application hears of nothing but that
// its signalling reconnected.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openBrowser } from './browser.mjs';
import { signToken, startDevnet } from './devnet.mjs';
import { dataArrives, freshRoom, mediaFlows, until } from './exchange.mjs';
import { record } from './figures.mjs';

const room = freshRoom('death');
const people = ['death-ada', 'death-ben'];
let devnet; // of its own, as its nodes do not survive
let browsers = []; // one each: two pages of one browser share a camera, and both restart it at once
let ada;
let ben;
let frozen;

before(async () => {
  const dir = join(process.env.DRTC_E2E_DIR, 'node-death');
  mkdirSync(dir, { recursive: true });
  devnet = await startDevnet(process.env.DRTC_BIN, dir);
  browsers = await Promise.all(people.map(() => openBrowser()));
  [ada, ben] = await Promise.all(people.map((label, index) => browsers[index].client(label)));
  const url = devnet.ready.url.replace(/^http/, 'ws');
  for (const client of [ada, ben]) await client.join(url, token(client.label));
  await ada.publish();
  await ben.publish();
  await Promise.all([ada.watch('death-ben'), ben.watch('death-ada')]);
  await mediaFlows([[ada, 'death-ben'], [ben, 'death-ada']], 2, 'node death, before');
});
after(async () => {
  thaw();
  await Promise.all(browsers.map((browser) => browser.close()));
  const left = await devnet?.stop();
  assert.deepEqual(left ?? [], [], 'processes that outlived their network');
});

function token(identity) {
  return signToken(devnet.ready, { identity, room });
}

/** The node that carries somebody, by the Orchestrator; undefined while there is none. */
async function nodeOf(identity) {
  const response = await fetch(`${devnet.ready.url}/drtc/v1/session?access_token=${token(identity)}`);
  if (!response.ok) return undefined;
  const { id } = (await response.json()).node;
  return devnet.ready.nodes.find((node) => node.id === id);
}

/** What the application is told of participants and tracks, and of a reconnect in full. */
async function news(client) {
  return (await client.events()).filter(({ name }) => /^(participant|trackPub|trackUn|trackSub|reconnecting)/.test(name));
}

function thaw() {
  if (frozen) process.kill(frozen.pid, 'SIGCONT');
  frozen = undefined;
}

/** Does something to the node that carries the call, and demands the call back on another one. */
async function survives(strike, label, bar) {
  const struck = await nodeOf('death-ada');
  assert.ok(struck, 'the Orchestrator names the node that carries the call');
  assert.equal((await nodeOf('death-ben'))?.id, struck.id, 'one node carries the room');
  const events = new Map();
  const heard = new Map();
  for (const client of [ada, ben]) {
    events.set(client, (await client.events('reconnected')).length);
    heard.set(client, await news(client));
  }
  const since = await Promise.all([ada.now(), ben.now()]);

  strike(struck);
  const start = Date.now();
  for (const client of [ada, ben]) {
    await until(async () => (await client.events('reconnected')).length > events.get(client), bar, `${client.label} is connected again`);
  }
  record(`${label}: both connected again after`, `${Date.now() - start} ms`);
  for (const [viewer, identity] of [[ada, 'death-ben'], [ben, 'death-ada']]) {
    const { shownFrames } = await viewer.media(identity);
    await until(async () => (await viewer.media(identity)).shownFrames > shownFrames, bar, `${viewer.label} sees ${identity} again`);
  }
  await mediaFlows([[ada, 'death-ben'], [ben, 'death-ada']], 3, `${label}, after`);

  const gaps = await Promise.all([ada.gap('death-ben', since[0]), ben.gap('death-ada', since[1])]);
  record(`${label}: largest gap between shown frames`, `${gaps.map(Math.round).join(' and ')} ms`, `<= ${bar}`);
  assert.ok(Math.max(...gaps) <= bar, `gaps in ms: ${gaps.map(Math.round).join(' ')}`);
  await dataArrives(ada, ben, label);
  await dataArrives(ben, ada, label);

  const carriers = await Promise.all([nodeOf('death-ada'), nodeOf('death-ben')]);
  assert.ok(carriers[0] && carriers[0].id !== struck.id, 'another node carries the call');
  assert.equal(carriers[0].id, carriers[1]?.id, 'one node carries the room');
  for (const client of [ada, ben]) {
    assert.deepEqual(await client.events('disconnected'), [], `${client.label} was not thrown out`);
    assert.equal(await client.call('state'), 'connected');
    assert.equal((await client.events('reconnected')).length, events.get(client) + 1, `${client.label} reconnected once`);
    assert.deepEqual(await news(client), heard.get(client), `${client.label} heard of nobody and of no track`);
  }
  return { ...struck, at: start };
}

test('the node that carries the call is killed', async () => {
  const killed = await survives((node) => process.kill(node.pid, 'SIGKILL'), 'node killed', 5000);

  const log = () => readFileSync(devnet.logFile, 'utf8').split('\n');
  assert.ok(log().some((line) => line.includes(`(pid ${killed.pid}) ended after`)), `the network reports the death of pid ${killed.pid}`);
  const listed = async () => {
    const response = await fetch(`${devnet.ready.registries[0]}/getMediaNodes`);
    assert.ok(response.ok, `the Registry answers: ${response.status}`);
    return (await response.json()).nodes.map((node) => node.nodeId);
  };
  const others = devnet.ready.nodes.filter((node) => node.id !== killed.id).map((node) => node.id);
  await until(async () => !(await listed()).includes(killed.id), 15_000 - (Date.now() - killed.at), 'the Registry forgets the node');
  record('node killed: the Registry forgot it after', `${Date.now() - killed.at} ms`, '<= 15000, polled after the call');
  assert.deepEqual((await listed()).sort(), others.sort(), 'the Registry keeps the others');
});

test('the node that carries the call now freezes', async () => {
  await survives((node) => {
    frozen = node;
    process.kill(node.pid, 'SIGSTOP');
  }, 'node frozen', 8000);
});

test('the frozen node wakes up and the call stays where it is', async () => {
  const carrier = await nodeOf('death-ada');
  thaw();
  await mediaFlows([[ada, 'death-ben'], [ben, 'death-ada']], 4, 'node awake again');
  assert.equal((await nodeOf('death-ada'))?.id, carrier.id, 'the call does not move again');
});
