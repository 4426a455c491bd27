// The same identity joins twice: the first session is ended, with that reason.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from './browser.mjs';
import { currentDevnet } from './devnet.mjs';
import { freshRoom } from './exchange.mjs';

const devnet = currentDevnet();
const room = freshRoom('duplicate');
let browser;

before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

test('the first session gets DUPLICATE_IDENTITY, the second stays, a witness sees one of them', async () => {
  const witness = await browser.client('duplicate-witness');
  const first = await browser.client('duplicate-first');
  const second = await browser.client('duplicate-second');
  await witness.join(devnet.signalUrl, devnet.token('duplicate-witness', room));
  await first.join(devnet.signalUrl, devnet.token('twice', room));
  await second.join(devnet.signalUrl, devnet.token('twice', room));
  await first.waitEvent('disconnected', { reason: 'DUPLICATE_IDENTITY' });
  assert.equal(await first.call('state'), 'disconnected');
  assert.equal(await second.call('state'), 'connected');
  assert.deepEqual(await witness.call('people'), ['twice']);
  assert.deepEqual(await second.events('disconnected'), []);
});
