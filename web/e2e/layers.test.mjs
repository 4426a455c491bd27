// The layer that is forwarded follows the size in which the viewer shows it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from './browser.mjs';
import { currentDevnet } from './devnet.mjs';
import { freshRoom, until } from './exchange.mjs';
import { record } from './figures.mjs';

const devnet = currentDevnet();
const room = freshRoom('layers');
const full = { width: 960, height: 540, fps: 15 };
let browser;
let publisher;
let viewer;

before(async () => {
  browser = await openBrowser();
  publisher = await browser.client('layers-publisher');
  viewer = await browser.client('layers-viewer');
  await publisher.join(devnet.signalUrl, devnet.token('layers-publisher', room));
  await viewer.join(devnet.signalUrl, devnet.token('layers-viewer', room));
  await publisher.publish({ ...full, audio: false });
  await viewer.watch('layers-publisher', 160);
});
after(() => browser?.close());

async function widthBecomes(test, limit, what) {
  const start = Date.now();
  const since = await viewer.now();
  let width = 0;
  await until(async () => test((width = (await viewer.media('layers-publisher')).width)), limit, what).catch((error) => {
    throw new Error(`${error.message} (it is ${width})`);
  });
  const took = Date.now() - start;
  const gap = Math.round(await viewer.gap('layers-publisher', since));
  record(`layers: ${what}`, `${width} px after ${took} ms, largest gap ${gap} ms`);
}

test('160 px wide: a low layer', () => widthBecomes((width) => width > 0 && width <= 320, 8000, 'picture at most 320 px wide'));

test('1280 px wide: the high layer', async () => {
  await viewer.resize('layers-publisher', 1280);
  await widthBecomes((width) => width === full.width, 15_000, 'picture 960 px wide');
});

test('160 px again: a low layer again, and the picture goes on', async () => {
  await viewer.resize('layers-publisher', 160);
  await widthBecomes((width) => width > 0 && width <= 320, 8000, 'picture at most 320 px wide again');
  const before = await viewer.media('layers-publisher');
  await until(async () => (await viewer.media('layers-publisher')).framesDecoded > before.framesDecoded + 15, 5000, 'another 15 frames');
});

test('layers that nobody wants are switched off at the publisher', async () => {
  const start = Date.now();
  await until(async () => (await publisher.call('encodings')).f === false, 12_000, 'encoding f inactive');
  const encodings = await publisher.call('encodings');
  record('layers: unwanted top layer off after', `${Date.now() - start} ms more`);
  assert.equal(encodings.q, true, `the wanted layer stays on: ${JSON.stringify(encodings)}`);
});
