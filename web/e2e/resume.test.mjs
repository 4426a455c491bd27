// The signalling line breaks in mid-call: media goes on, nobody seems to leave, and everything works afterwards.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openBrowser } from './browser.mjs';
import { currentDevnet } from './devnet.mjs';
import { dataArrives, freshRoom, leavingIsSeen, mediaFlows, muteIsSeen } from './exchange.mjs';
import { record } from './figures.mjs';

const devnet = currentDevnet();
const room = freshRoom('resume');
let browser;
let ada;
let ben;

before(async () => {
  browser = await openBrowser();
  ada = await browser.client('resume-ada');
  ben = await browser.client('resume-ben');
  await ada.join(devnet.signalUrl, devnet.token('resume-ada', room));
  await ben.join(devnet.signalUrl, devnet.token('resume-ben', room));
  await ada.publish();
  await ben.publish();
  await Promise.all([ada.watch('resume-ben'), ben.watch('resume-ada')]);
  await mediaFlows([[ada, 'resume-ben'], [ben, 'resume-ada']], 2, 'resume, before');
});
after(() => browser?.close());

test('signal-reconnect: the session resumes and pictures hardly stop', async () => {
  const since = await Promise.all([ada.now(), ben.now()]);
  await ada.call('simulate', 'signal-reconnect');
  await ada.waitEvent('reconnected', {}, 15_000);
  await sleep(3000); // the client itself keeps a reconnect open for 2 s
  const gaps = await Promise.all([ada.gap('resume-ben', since[0]), ben.gap('resume-ada', since[1])]);
  record('resume: largest gap between shown frames, reconnecting viewer and other', `${gaps.map(Math.round).join(' and ')} ms`, '<= 1000');
  assert.ok(Math.max(...gaps) <= 1000, `media stops for ${Math.round(Math.max(...gaps))} ms while only signalling reconnects`);
  assert.equal(await ada.call('state'), 'connected');
});

test('nobody seemed to leave and no track was lost', async () => {
  for (const client of [ada, ben]) {
    for (const event of ['participantDisconnected', 'trackUnsubscribed', 'disconnected', 'reconnecting']) {
      assert.deepEqual(await client.events(event), [], `${client.label}: ${event}`);
    }
  }
});

test('media, mute, data and leaving work as before', async () => {
  await mediaFlows([[ada, 'resume-ben'], [ben, 'resume-ada']], 3, 'resume, after');
  await muteIsSeen(ada, ben, 'resume');
  await muteIsSeen(ben, ada, 'resume');
  await dataArrives(ada, ben, 'resume');
  await dataArrives(ben, ada, 'resume');
  await leavingIsSeen(ada, ben);
});
