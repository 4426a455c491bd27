// Two participants in one room, from joining to leaving.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openBrowser } from './browser.mjs';
import { commandToken, currentDevnet } from './devnet.mjs';
import { dataArrives, freshRoom, leavingIsSeen, mediaFlows, muteIsSeen } from './exchange.mjs';
import { record } from './figures.mjs';

const devnet = currentDevnet();
const room = freshRoom('call');
let browser;
let ada;
let ben;

before(async () => {
  browser = await openBrowser();
  ada = await browser.client('call-ada');
  ben = await browser.client('call-ben');
});
after(() => browser?.close());

test('both join, one with a token of the command, and see each other', async () => {
  const joins = [await ada.join(devnet.signalUrl, devnet.token('call-ada', room)), await ben.join(devnet.signalUrl, commandToken(devnet, 'call-ben', room))];
  record('call: connect returned after', `${joins.map(Math.round).join(' and ')} ms`);
  await ada.waitEvent('participantConnected', { identity: 'call-ben' });
  assert.deepEqual(await ada.call('people'), ['call-ben']);
  assert.deepEqual(await ben.call('people'), ['call-ada']);
});

test('camera and microphone of both flow for 10 s', async () => {
  await ada.publish();
  await ben.publish();
  const first = await Promise.all([ada.watch('call-ben'), ben.watch('call-ada')]);
  record('call: first picture after', `${first.map(Math.round).join(' and ')} ms`);
  await mediaFlows([[ada, 'call-ben'], [ben, 'call-ada']], 10, 'call');
});

test('mute and unmute are seen', () => muteIsSeen(ada, ben, 'call'));

test('reliable and lossy packets arrive both ways', async () => {
  await dataArrives(ada, ben, 'call');
  await dataArrives(ben, ada, 'call');
});

test('one leaves and the other sees it', () => leavingIsSeen(ben, ada));
