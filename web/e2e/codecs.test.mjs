// Every codec that nodes forward: published by one browser, decoded by another, and by a third that joins in mid-call.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openBrowser } from './browser.mjs';
import { currentDevnet } from './devnet.mjs';
import { freshRoom, until } from './exchange.mjs';
import { record } from './figures.mjs';

const devnet = currentDevnet();
const fps = 15;
const seconds = 4;
const firstPictureLimit = 3000;
const longestGap = 500;
let browser;
let present = [];

before(async () => {
  browser = await openBrowser({ fps });
});
after(() => browser?.close());
afterEach(async () => {
  await Promise.allSettled(present.map((client) => client.leave()));
  present = [];
});

async function enter(label, room) {
  const client = await browser.client(label);
  await client.join(devnet.signalUrl, devnet.token(label, room));
  present.push(client);
  return client;
}

async function mustEncode(client, kind, mime) {
  const encoders = await client.call('encoders', kind);
  assert.ok(encoders.includes(mime), `this browser has no encoder for ${mime}, so nothing can be shown of it; it has ${encoders.join(', ')}`);
}

/** The frames that `publisher` captures in some seconds are decoded by `viewer`, without a freeze. */
async function plays(viewer, publisher, { mime, label, source = 'camera', rate = 0.8, gapLimit = longestGap }) {
  const read = () => Promise.all([viewer.media(publisher.label, source), publisher.call('outgoing', source), viewer.now()]);
  const [seen, sent, since] = await read();
  await sleep(seconds * 1000);
  const [seenThen, sentThen, until] = await read();
  const gap = Math.round(await viewer.gap(publisher.label, since));
  const per = (after, before) => ((after - before) * 1000) / (until - since);
  const decoded = per(seenThen.framesDecoded, seen.framesDecoded);
  const captured = per(sentThen.frames, sent.frames);
  const rateOf = (value) => value.toFixed(1);
  record(
    `codecs: ${label}: ${viewer.label}`,
    `${rateOf(decoded)} of ${rateOf(captured)} frames/s, ${seenThen.width}x${seenThen.height}, largest gap ${gap} ms, ${sentThen.scalabilityMode ?? 'no layers'}, ${sentThen.encoderImplementation}`,
    `gap at most ${gapLimit} ms`,
  );
  assert.equal(seenThen.videoCodec, mime, 'the codec that arrives');
  assert.ok(seenThen.width > 0, 'the picture has a width');
  assert.ok(decoded > 0, `no frame decoded in ${seconds} s while ${rateOf(captured)} frames/s were captured`);
  assert.ok(decoded >= rate * captured, `${rateOf(decoded)} frames/s decoded of ${rateOf(captured)} captured`);
  assert.ok(gap <= gapLimit, `a gap of ${gap} ms between shown frames`);
}

/** One room: publisher, a viewer from the start, a viewer in mid-call. */
async function everyoneSees(name, mime, options, width) {
  const room = freshRoom(name);
  const publisher = await enter(`${name}-publisher`, room);
  await mustEncode(publisher, 'video', mime);
  const viewer = await enter(`${name}-viewer`, room);
  await publisher.publish({ width: 640, height: 360, fps, audio: false, videoCodec: name, backupCodec: false, ...options });
  await firstPicture(viewer, publisher, width);
  await plays(viewer, publisher, { mime, label: name });

  const since = await viewer.now();
  const late = await enter(`${name}-late`, room);
  await firstPicture(late, publisher, width);
  await plays(late, publisher, { mime, label: name });
  const gap = Math.round(await viewer.gap(publisher.label, since));
  record(`codecs: ${name}: ${viewer.label} while another joined`, `largest gap ${gap} ms`, `at most ${longestGap} ms`);
  assert.ok(gap <= longestGap, `the key frame for another viewer made a gap of ${gap} ms for the first`);
  const before = await publisher.call('outgoing');
  assert.equal(before.codec, mime, 'the codec that is sent');
  return { publisher, viewer };
}

async function firstPicture(viewer, publisher, width) {
  const took = Math.round(await viewer.watch(publisher.label, width));
  record(`codecs: ${viewer.label}: first picture after`, `${took} ms`, `at most ${firstPictureLimit} ms`);
  assert.ok(took <= firstPictureLimit, `the first picture came after ${took} ms`);
}

/** What `viewer` gets follows the size in which it shows the picture: small, then large. */
async function followsSize(name, publisher, viewer) {
  const widthIs = async (wanted) => {
    const start = Date.now();
    const since = await viewer.now();
    await until(async () => wanted((await viewer.media(publisher.label)).width), 10_000, 'the picture changes its layer');
    const took = Date.now() - start;
    await sleep(1000);
    const { width } = await viewer.media(publisher.label);
    const gap = Math.round(await viewer.gap(publisher.label, since));
    record(`codecs: ${name} switches`, `to ${width} px after ${took} ms, largest gap ${gap} ms`, `gap at most ${longestGap} ms`);
    assert.ok(wanted(width), `the picture stays in its layer, but it is ${width} px wide`);
    assert.ok(gap <= longestGap, `a gap of ${gap} ms while the layer changed`);
  };
  await viewer.resize(publisher.label, 160);
  await widthIs((width) => width <= 320);
  await viewer.resize(publisher.label, 640);
  await widthIs((width) => width === 640);
}

/** One viewer is shown the small layer of a stream with all layers while another sees the large one, and costs less. */
async function smallBesideLarge(name, publisher, viewer) {
  const large = present.find((client) => client.label === `${name}-late`);
  await viewer.resize(publisher.label, 160);
  await until(async () => (await viewer.media(publisher.label)).width <= 320, 10_000, 'the small layer');
  const read = async () => [await viewer.media(publisher.label), await large.media(publisher.label), await large.now(), await viewer.now()];
  const before = await read();
  await sleep(seconds * 1000);
  const then = await read();
  const rate = (index) => Math.round(((then[index].videoBytes - before[index].videoBytes) * 8) / (then[2] - before[2]));
  const gaps = [await viewer.gap(publisher.label, before[3]), await large.gap(publisher.label, before[2])].map(Math.round);
  record(`codecs: ${name}: small beside large`, `${then[0].width} and ${then[1].width} px, ${rate(0)} and ${rate(1)} kbit/s, largest gaps ${gaps.join(' and ')} ms`, `gap at most ${longestGap} ms`);
  assert.ok(then[0].width <= 320 && then[1].width === 640, `the pictures are ${then[0].width} and ${then[1].width} px wide`);
  assert.ok(rate(0) < 0.7 * rate(1), `${rate(0)} kbit/s for the small picture, ${rate(1)} for the large one`);
  assert.ok(Math.max(...gaps) <= longestGap, `gaps of ${gaps.join(' and ')} ms`);
}

test('H.264 simulcast: decoded, also in mid-call, and the layer follows the size', async () => {
  const { publisher, viewer } = await everyoneSees('h264', 'video/H264', {}, 640);
  await followsSize('h264', publisher, viewer);
});

for (const [name, title, scalabilityMode] of [
  ['vp9', 'VP9', 'L3T3_KEY'],
  ['av1', 'AV1', 'L3T3_KEY'],
  ['vp9', 'VP9', 'L3T3'],
  ['av1', 'AV1', 'L3T3'],
]) {
  test(`${title} with spatial layers in one stream (SVC, ${scalabilityMode}): decoded, also in mid-call, and the layer follows the size`, async () => {
    const { publisher, viewer } = await everyoneSees(name, `video/${title}`, { scalabilityMode }, 640);
    await followsSize(`${name} ${scalabilityMode}`, publisher, viewer);
    await smallBesideLarge(name, publisher, viewer);
  });
}

test('a shared screen is seen', async () => {
  const room = freshRoom('screen');
  const publisher = await enter('screen-publisher', room);
  const viewer = await enter('screen-viewer', room);
  await publisher.call('offerScreen', { width: 800, height: 450, frameRate: fps }, { videoCodec: 'vp8' });
  await publisher.page.getByRole('button', { name: 'share' }).click();
  await until(async () => (await publisher.events('screenShared')).length + (await publisher.events('screenRefused')).length > 0, 5000, 'an answer to the share');
  assert.deepEqual(await publisher.events('screenRefused'), []);
  const took = Math.round(await viewer.watch(publisher.label, 800, 'screen_share'));
  record('codecs: screen-viewer: first picture after', `${took} ms`, `at most ${firstPictureLimit} ms`);
  const before = await viewer.media(publisher.label, 'screen_share');
  await until(async () => (await viewer.media(publisher.label, 'screen_share')).framesDecoded > before.framesDecoded + fps, 10_000, `another ${fps} frames of the screen`);
  const { width, height } = await viewer.media(publisher.label, 'screen_share');
  record('codecs: shared screen', `${width}x${height}`);
  assert.ok(took <= firstPictureLimit, `the first picture came after ${took} ms`);
  assert.ok(width > 0 && width <= 800 && height <= 450, `the screen is ${width}x${height}`);
});

for (const red of [false, true]) {
  test(`audio with RED ${red ? 'wanted' : 'not wanted'} by the publisher is heard, as the Opus that the node answered`, async () => {
    const name = red ? 'red' : 'opus';
    const room = freshRoom(name);
    const publisher = await enter(`${name}-publisher`, room);
    const viewer = await enter(`${name}-viewer`, room);
    await mustEncode(publisher, 'audio', 'audio/red');
    await publisher.publish({ camera: false, red, dtx: false });
    await viewer.call('hear', publisher.label);
    const start = Date.now();
    await until(async () => (await viewer.media(publisher.label)).audioEnergy > 0, 5000, `sound of ${publisher.label}`);
    const first = await viewer.media(publisher.label);
    await sleep(2000);
    const then = await viewer.media(publisher.label);
    const { codec } = await publisher.call('outgoing', 'microphone');
    record(`codecs: audio with red ${red}`, `${codec} sent, ${then.audioCodec} received, ${(((then.audioBytes - first.audioBytes) * 8) / 2000).toFixed(0)} kbit/s, heard after ${Date.now() - start - 2000} ms`);
    // Nodes answer without RED, which costs bandwidth that Opus's own error correction does not.
    assert.deepEqual([codec, then.audioCodec], ['audio/opus', 'audio/opus'], 'the codecs that are sent and received');
    assert.ok(then.audioEnergy > first.audioEnergy, 'the sound goes on');
  });
}
