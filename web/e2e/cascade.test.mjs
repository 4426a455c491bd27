// One room over four Media Nodes of four owners in four regions: everybody has one connection, to the node that is
// near, and sees and hears everybody else over links between the nodes. One node speaks the previous version of the relay
// protocol, so the room has links of both. Then a node dies with those who are on it.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openBrowser } from './browser.mjs';
import { startDevnet } from './devnet.mjs';
import { dataArrives, freshRoom, mediaFlows, until } from './exchange.mjs';
import { record } from './figures.mjs';
import { onlyLowIsEncoded, pairsOf, SpanningRoom, sum } from './spanning.mjs';

const places = { ada: '50.1,8.7', ben: '38.9,-77.4', cem: '1.3,103.8', dor: '-23.5,-46.6' }; // the nodes' own
const names = Object.keys(places);
const small = { width: 480, height: 270, fps: 10 }; // of which the client makes two layers
const older = 2; // cem's node, which speaks the previous relay version
let devnet; // of its own: a node of it dies
let room;
let browsers = [];
let people = {};
let adasHome;

before(async () => {
  const dir = join(process.env.DRTC_E2E_DIR, 'cascade');
  mkdirSync(dir, { recursive: true });
  devnet = await startDevnet(process.env.DRTC_BIN, dir, ['--nodes', '4']);
  await devnet.reconfigure({ [older]: (text) => `relay_max_version = 1\n${text}` });
  room = new SpanningRoom(devnet, freshRoom('cascade'));
  browsers = await Promise.all([openBrowser({ fps: 10 }), openBrowser({ fps: 10 })]);
  const clients = await Promise.all(names.map((name, index) => browsers[index % 2].client(name)));
  people = Object.fromEntries(names.map((name, index) => [name, clients[index]]));
});
after(async () => {
  await Promise.all(browsers.map((browser) => browser.close()));
  const left = await devnet?.stop();
  assert.deepEqual(left ?? [], [], 'processes that outlived their network');
});

const pairs = (list = names) => pairsOf(people, list);
const homeOf = (name) => room.nodeOf(name);
const everywhere = names.length * 2 * (names.length - 1);

test('each of four joins the node that is near, and all see and hear all', async () => {
  for (const name of names) await room.join(people[name], places[name]);
  const homes = await Promise.all(names.map(homeOf));
  assert.equal(new Set(homes).size, 4, `homes: ${homes.join(' ')}`);
  assert.equal(homes[names.indexOf('cem')], devnet.ready.nodes[older].id, 'cem is on the node of the previous version');
  adasHome = homes[0];
  for (const name of names) await people[name].publish(small);
  const first = await Promise.all(pairs().map(([viewer, name]) => viewer.watch(name, 160)));
  record('cascade: first pictures after', `${first.map(Math.round).sort((a, b) => a - b).join(' ')} ms`);
  await mediaFlows(pairs(), 5, 'cascade');
});

test('a layer that nobody shows is on no link, and its publisher stops it', async () => {
  const start = Date.now();
  for (const name of names) await onlyLowIsEncoded(people[name]);
  record('cascade: unwanted layers off at all publishers after', `${Date.now() - start} ms more`);
  // Whatever the links, a microphone and a low layer of each of four come to each of three other nodes once.
  await room.layersBecome(everywhere);
  record('cascade: layers on the links, by sending node', (await room.layers()).join(' '), `${everywhere} together`);
});

test('one who looks closer gets the high layer, over one link', async () => {
  await people.ben.resize('ada', 960);
  await until(async () => (await people.ben.media('ada')).width === small.width, 12_000, 'ben sees ada in full width');
  assert.ok((await people.cem.media('ada')).width < small.width, 'cem, who shows her small, does not');
  const more = async () => sum(await room.layers()) - everywhere;
  await until(async () => (await more()) > 0, 6000, 'the high layer is counted');
  assert.ok((await more()) <= 3, `the high layer crosses ${await more()} links, want only those on its way to one node`);
  await people.ben.resize('ada', 160);
});

test('mute, stop and start, and data work over nodes', async () => {
  const seen = async (viewer, event, identity) => (await people[viewer].events(event)).filter((one) => one.identity === identity).length;
  for (const name of ['ben', 'cem']) {
    const before = await seen('dor', 'trackMuted', name);
    await people[name].call('mute', true);
    await until(async () => (await seen('dor', 'trackMuted', name)) > before, 5000, `dor sees that ${name} is mute`);
    await people[name].call('mute', false);
    await people[name].call('muteCamera', true);
    await people[name].call('muteCamera', false);
  }
  await mediaFlows(pairsOf(people).filter(([, name]) => name === 'ben' || name === 'cem'), 2, 'cascade, unmuted');
  await dataArrives(people.ada, people.cem, 'cascade');
  await dataArrives(people.dor, people.ben, 'cascade');
});

test('a screen is shared, ended and shared again', async () => {
  let rounds = 0;
  for (const round of ['first', 'second']) {
    rounds++;
    await people.cem.call('offerScreen', { width: 640, height: 360, frameRate: 5 });
    await people.cem.page.getByRole('button', { name: 'share' }).last().click();
    await until(async () => (await people.cem.events('screenShared')).length === rounds, 5000, `the ${round} share`);
    await people.ada.watch('cem', 320, 'screen_share');
    record('cascade: screen', `${round} share shown`);
    await people.cem.call('endScreen');
    await until(async () => (await people.ada.call('tracksOf', 'cem')).every((source) => source !== 'screen_share'), 5000, 'the share ends for ada');
  }
});

test('the node of one dies, and nobody hears of it but by a short gap', async () => {
  const struck = devnet.ready.nodes.find((node) => node.id === adasHome);
  const counts = {};
  for (const name of names) counts[name] = (await people[name].events()).filter((one) => /participant|trackUn|trackSub/.test(one.name)).length;
  const since = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await people[name].now()])));
  process.kill(struck.pid, 'SIGKILL');
  const start = Date.now();
  await until(async () => (await people.ada.events('reconnected')).length > 0 || (await people.ada.events('signalReconnecting')).length > 0, 8000, 'ada is told');
  await until(async () => {
    const home = await homeOf('ada').catch(() => undefined);
    return home && home !== struck.id;
  }, 8000, 'ada has another home');
  record('cascade: node killed, new home after', `${Date.now() - start} ms`);
  await Promise.all(
    pairs().map(async ([viewer, name]) => {
      const { shownFrames } = await viewer.media(name);
      await until(async () => (await viewer.media(name)).shownFrames > shownFrames, 5000, `${viewer.label} sees ${name} again`);
    }),
  );
  await mediaFlows(pairs(), 4, 'cascade, after');
  const gaps = await Promise.all(pairs().filter(([viewer, name]) => viewer === people.ada || name === 'ada').map(([viewer, name]) => viewer.gap(name, since[viewer.label])));
  record('cascade: node killed, largest gaps', `${gaps.map(Math.round).sort((a, b) => a - b).join(' ')} ms`, 'p95 below 1500 in make soak');
  assert.ok(Math.max(...gaps) < 5000, `gaps in ms: ${gaps.map(Math.round).join(' ')}`);
  for (const name of names) {
    const now = (await people[name].events()).filter((one) => /participant|trackUn|trackSub/.test(one.name));
    assert.equal(now.length, counts[name], `${name} heard of ${JSON.stringify(now.slice(counts[name]))}`);
  }
  await dataArrives(people.ada, people.ben, 'cascade, after');
});

test('one leaves and the others see it', async () => {
  await people.dor.leave();
  for (const name of ['ada', 'ben', 'cem']) await people[name].waitEvent('participantDisconnected', { identity: 'dor' }, 5000);
  await mediaFlows(pairs(['ada', 'ben', 'cem']), 2, 'cascade, three left');
});
