// A regional room: two Media Nodes of one region share its members, and one link goes to the node of another region. Each
// layer that is wanted crosses each link once, however many want it behind.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openBrowser } from './browser.mjs';
import { startDevnet } from './devnet.mjs';
import { dataArrives, freshRoom, mediaFlows, until } from './exchange.mjs';
import { record } from './figures.mjs';
import { onlyLowIsEncoded, pairsOf, SpanningRoom, sum } from './spanning.mjs';

const frankfurt = '50.1,8.7';
const places = { eva: frankfurt, fay: frankfurt, gus: frankfurt, hal: '1.3,103.8' };
const names = Object.keys(places);
const small = { width: 480, height: 270, fps: 10 }; // of which the client makes two layers
let devnet; // of its own: its rooms are regional, and its second node is in Amsterdam
let room;
let browsers = [];
let people = {};
let near; // two of the region on one of its nodes
let apart; // the third one, on the other
let links;

/** A node's configuration, moved to Amsterdam. */
const toAmsterdam = (text) =>
  text
    .replace(/^region = .*$/m, 'region = "EU"')
    .replace(/^place_name = .*$/m, 'place_name = "Amsterdam"')
    .replace(/^(\s*)lat = .*$/m, '$1lat = 52.37')
    .replace(/^(\s*)lon = .*$/m, '$1lon = 4.9');

before(async () => {
  const dir = join(process.env.DRTC_E2E_DIR, 'regional');
  mkdirSync(dir, { recursive: true });
  const policy = join(dir, 'orchestrator.toml');
  writeFileSync(policy, '[plan]\nstrategy = "regional"\n');
  devnet = await startDevnet(process.env.DRTC_BIN, dir, ['--nodes', '3', '--orchestrator-config', policy]);
  await devnet.reconfigure({ 1: toAmsterdam });
  room = new SpanningRoom(devnet, freshRoom('regional'));
  browsers = await Promise.all([openBrowser({ fps: 10 }), openBrowser({ fps: 10 })]);
  const clients = await Promise.all(names.map((name, index) => browsers[index % 2].client(name)));
  people = Object.fromEntries(names.map((name, index) => [name, clients[index]]));
});
after(async () => {
  await Promise.all(browsers.map((browser) => browser.close()));
  const left = await devnet?.stop();
  assert.deepEqual(left ?? [], [], 'processes that outlived their network');
});

test('three of a region share its two nodes, and all see and hear all', async () => {
  for (const name of names) await room.join(people[name], places[name]);
  const homes = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await room.nodeOf(name)])));
  const index = (name) => devnet.ready.nodes.findIndex((node) => node.id === homes[name]);
  const members = [0, 0, 0];
  for (const name of names) members[index(name)]++;
  assert.deepEqual([...members].sort(), [1, 1, 2], `members by node: ${members}`);
  assert.equal(index('hal'), 2, 'hal is on the node of the other region');
  apart = names.find((name) => name !== 'hal' && members[index(name)] === 1);
  near = names.filter((name) => name !== 'hal' && name !== apart);
  for (const name of names) await people[name].publish(small);
  await Promise.all(pairsOf(people).map(([viewer, name]) => viewer.watch(name, 160)));
  await mediaFlows(pairsOf(people), 3, 'regional');
});

test('each wanted layer is on each link once', async () => {
  await Promise.all(names.map((name) => onlyLowIsEncoded(people[name])));
  links = sum(await room.count('relay_links_count')) / 2;
  assert.equal(links, 2, 'one link in the region, and one out of it');
  // Whichever the links of this tree, each carries a microphone and a low layer of each of four, one way.
  await room.layersBecome(2 * names.length * links);
  record('regional: layers on the links, by sending node', (await room.layers()).join(' '), `${2 * names.length * links} together`);
});

test('two behind one link look in different sizes and each gets theirs', async () => {
  const [close, far] = near.map((name) => people[name]);
  await close.resize(apart, 960);
  await until(async () => (await close.media(apart)).width === small.width, 12_000, `${close.label} sees ${apart} in full width`);
  await room.layersBecome(2 * names.length * links + 1); // both layers, on the one link between them
  const { width, shownFrames } = await far.media(apart);
  assert.ok(width > 0 && width < small.width, `${far.label}, on the same node, shows ${width} px, want less than ${small.width}`);
  await until(async () => (await far.media(apart)).shownFrames > shownFrames + 10, 4000, `${far.label} still sees ${apart}`);
  // The other one wants it, too: no copy more.
  await far.resize(apart, 960);
  await until(async () => (await far.media(apart)).width === small.width, 12_000, `${far.label} sees ${apart} in full width`);
  await until(async () => sum(await room.layers()) <= 2 * names.length * links + 1, 4000, 'one copy for both');
  await Promise.all([close, far].map((viewer) => viewer.resize(apart, 160)));
  await room.layersBecome(2 * names.length * links, 12_000);
  await dataArrives(people.hal, people[apart], 'regional');
});
