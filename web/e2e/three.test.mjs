// Three participants at once: everyone sees and hears the two others.

import { after, before, test } from 'node:test';
import { openBrowser } from './browser.mjs';
import { currentDevnet } from './devnet.mjs';
import { freshRoom, mediaFlows } from './exchange.mjs';
import { record } from './figures.mjs';

const devnet = currentDevnet();
const room = freshRoom('three');
const names = ['three-ada', 'three-ben', 'three-cy'];
let browser;
let people;

before(async () => {
  browser = await openBrowser();
  people = await Promise.all(names.map((name) => browser.client(name)));
});
after(() => browser?.close());

const pairs = () => people.flatMap((viewer) => names.filter((name) => name !== viewer.label).map((name) => [viewer, name]));

test('all join at the same time', async () => {
  const joins = await Promise.all(people.map((person) => person.join(devnet.signalUrl, devnet.token(person.label, room))));
  record('three: connect returned after', `${joins.map(Math.round).join(' ')} ms`);
});

test('everyone sees and hears the two others', async () => {
  await Promise.all(people.map((person) => person.publish({ width: 320, height: 180 })));
  const first = await Promise.all(pairs().map(([viewer, name]) => viewer.watch(name, 320)));
  record('three: first pictures after', `${first.map(Math.round).join(' ')} ms`);
  await mediaFlows(pairs(), 5, 'three');
});
