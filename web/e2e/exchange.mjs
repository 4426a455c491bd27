// What two participants in one room must be able to do; used before and after a disturbance.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { record } from './figures.mjs';

/** Media of every listed person must grow in each of `seconds` one-second steps, for every viewer. */
export async function mediaFlows(pairs, seconds, label) {
  const read = () => Promise.all(pairs.map(([viewer, identity]) => viewer.media(identity)));
  const first = await read();
  let before = first;
  for (let second = 1; second <= seconds; second++) {
    await sleep(1000);
    const now = await read();
    pairs.forEach(([viewer, identity], index) => {
      const where = `${viewer.label} receives ${identity}, second ${second}`;
      for (const figure of ['framesDecoded', 'videoBytes', 'audioBytes']) {
        assert.ok(now[index][figure] > before[index][figure], `${where}: ${figure} stays at ${now[index][figure]}`);
      }
      assert.ok(now[index].width > 0, `${where}: the picture has no width`);
    });
    before = now;
  }
  pairs.forEach(([viewer, identity], index) => {
    const heard = before[index].audioEnergy - first[index].audioEnergy;
    assert.ok(seconds < 3 || heard > 0, `${viewer.label} gets packets of ${identity}'s microphone but hears silence`);
    const per = (figure) => (before[index][figure] - first[index][figure]) / seconds;
    record(
      `${label}: ${viewer.label} receives ${identity}`,
      `${per('framesDecoded').toFixed(1)} frames/s, video ${((per('videoBytes') * 8) / 1000).toFixed(0)} and audio ${((per('audioBytes') * 8) / 1000).toFixed(0)} kbit/s`,
      'grows every second',
    );
  });
}

/** Microphone and camera muted and unmuted by `speaker` are seen by `viewer`. */
export async function muteIsSeen(speaker, viewer, label) {
  const seen = async (event, source) => (await viewer.events(event)).filter((one) => one.identity === speaker.label && one.source === source).length;
  for (const [source, method] of [['microphone', 'mute'], ['camera', 'muteCamera']]) {
    for (const [on, event] of [[true, 'trackMuted'], [false, 'trackUnmuted']]) {
      const before = await seen(event, source);
      const start = Date.now();
      await speaker.call(method, on);
      await until(async () => (await seen(event, source)) > before, 5000, `${viewer.label} sees ${event} of ${speaker.label}'s ${source}`);
      record(`${label}: ${source} ${on ? 'mute' : 'unmute'} seen after`, `${Date.now() - start} ms`);
    }
  }
}

/** One reliable and lossy packets from `sender` arrive at `receiver` with sender, kind and topic. */
export async function dataArrives(sender, receiver, label) {
  for (const reliable of [true, false]) {
    const words = `${label} ${reliable ? 'reliable' : 'lossy'} ${Date.now()}`;
    const start = Date.now();
    await sender.call('sendData', words, reliable, 'e2e');
    await receiver.waitEvent('dataReceived', { text: words, identity: sender.label, reliable, topic: 'e2e' }, 5000);
    record(`${label}: ${reliable ? 'reliable' : 'lossy'} packet seen after`, `${Date.now() - start} ms`);
  }
}

/** `leaver` leaves and `other` sees it, once. */
export async function leavingIsSeen(leaver, other) {
  await leaver.leave();
  await other.waitEvent('participantDisconnected', { identity: leaver.label }, 5000);
  const seen = (await other.events('participantDisconnected')).filter((event) => event.identity === leaver.label);
  assert.equal(seen.length, 1, `${other.label} sees ${leaver.label} leave once`);
  assert.deepEqual(await other.call('people'), []);
}

export async function until(probe, limit, what) {
  const deadline = Date.now() + limit;
  for (;;) {
    if (await probe()) return;
    if (Date.now() > deadline) throw new Error(`not within ${limit} ms: ${what}`);
    await sleep(50);
  }
}

/** A room name that no other test uses. */
export function freshRoom(name) {
  return `${name}-${Date.now().toString(36)}`;
}
