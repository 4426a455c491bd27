// Who may not do something is told so, with a reason that the client can show.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openBrowser } from './browser.mjs';
import { currentDevnet } from './devnet.mjs';
import { freshRoom } from './exchange.mjs';
import { record } from './figures.mjs';

const devnet = currentDevnet();
const room = freshRoom('refusal');
const past = Math.floor(Date.now() / 1000) - 3600;
let browser;

before(async () => {
  browser = await openBrowser();
});
after(() => browser?.close());

const refused = [
  ['expired', { claims: { exp: past } }, /expire/i],
  ['signed by somebody else', { secret: 'not-the-secret-of-this-network-0000' }, /signature|verif/i],
  ['from an unknown key', { key: 'unknown-key' }, /key/i],
  ['not good for joining', { video: { roomJoin: false } }, /join|permi/i],
];

for (const [what, more, cause] of refused) {
  test(`a token that is ${what} is refused as not allowed, with the cause`, async () => {
    const client = await browser.client(`refusal-${what}`);
    const token = devnet.token('refusal-guest', room, more);
    const error = await client.attempt('join', devnet.signalUrl, token);
    assert.ok(error, 'joining must fail');
    assert.equal(error.name, 'ConnectionError', error.message);
    assert.equal(error.reason, 'NotAllowed', error.message);
    assert.ok([401, 403].includes(error.status), `status ${error.status}`);
    const said = error.message.replace(/^could not establish signal connection: /, '').trim(); // the SDK's own words
    record(`refusal: token ${what}`, `${error.status} ${said.slice(0, 80)}`);
    assert.match(said, cause);
    assert.ok(!error.message.includes(token.slice(0, 40)), 'the token is not repeated');
  });
}

test('a participant without permission to publish is refused with a reason, others get nothing', async () => {
  const witness = await browser.client('refusal-witness');
  const muted = await browser.client('refusal-muted');
  await witness.join(devnet.signalUrl, devnet.token('refusal-witness', room));
  await muted.join(devnet.signalUrl, devnet.token('refusal-muted', room, { video: { canPublish: false } }));
  assert.equal((await muted.call('permissions')).canPublish, false, 'the client knows its permissions');
  const error = await muted.attempt('publish', { audio: false });
  assert.ok(error, 'publishing must fail');
  assert.match(error.message, /permission/i);
  record('refusal: publishing without permission', `${error.name}: ${error.message}`);

  await muted.call('pretend');
  void muted.attempt('publish', { audio: false }).catch(() => undefined);
  await sleep(3000);
  assert.deepEqual(await witness.events('trackPublished'), [], 'nor does a tampered client get through');
  assert.deepEqual(await witness.call('people'), ['refusal-muted']);
});

test('a participant without permission to send data reaches nobody', async () => {
  const witness = await browser.client('refusal-listener');
  const silent = await browser.client('refusal-silent');
  await witness.join(devnet.signalUrl, devnet.token('refusal-listener', room));
  await silent.join(devnet.signalUrl, devnet.token('refusal-silent', room, { video: { canPublishData: false } }));
  await silent.attempt('sendData', 'hear me', true, 'e2e');
  await sleep(1500);
  assert.deepEqual(await witness.events('dataReceived'), []);
});
