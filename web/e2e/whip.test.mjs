// WHIP by a page without an SDK, seen by a participant with one, and played by WHEP on the watch page.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openBrowser } from './browser.mjs';
import { currentDevnet } from './devnet.mjs';
import { freshRoom, mediaFlows, until } from './exchange.mjs';
import { record } from './figures.mjs';

const devnet = currentDevnet();
const room = freshRoom('whip');
const desk = { width: 1280, height: 800 };
const phone = { width: 360, height: 740 };
const admin = devnet.token('whip-admin', room, { video: { roomAdmin: true } });
let browser;
let ada;
let encoder; // a page of another origin that knows WHIP alone
let desktop;
let handset;
const posts = []; // by the watch pages
const complaints = [];

before(async () => {
  browser = await openBrowser();
  ada = await browser.client('whip-ada');
  encoder = (await browser.client('whip-encoder')).page;
  desktop = await browser.page('watch-desk', desk);
  handset = await browser.page('watch-phone', phone, { colorScheme: 'dark' });
  for (const page of [desktop, handset]) {
    page.on('request', (request) => request.url().includes('/whep/') && request.method() === 'POST' && posts.push(request.url()));
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => /Content Security Policy/i.test(message.text()) && complaints.push(message.text()));
  }
});
after(() => browser?.close());

const shot = (page, name) => page.screenshot({ path: join(process.env.DRTC_E2E_DIR, `watch-${name}.png`) });
const says = (page, text) => page.getByRole('heading', { name: text }).waitFor({ timeout: 10_000 });
const picture = (page, which = 'Camera') => page.locator(`video[aria-label="${which}"]`);

async function plays(page, which) {
  const video = picture(page, which);
  await video.waitFor({ state: 'visible', timeout: 15_000 });
  const begin = await video.evaluate((element) => element.currentTime);
  await until(() => video.evaluate((element, from) => element.videoWidth > 0 && element.currentTime > from, begin), 10_000, `${which} moves`);
}

async function noSidewaysScroll(page, where) {
  const [content, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= width, `${where}: ${content} px of content in ${width} px`);
}

/** Publishes from the encoder's page with nothing but fetch and RTCPeerConnection. */
function publish(identity, sendEncodings = [{}]) {
  return encoder.evaluate(
    async ([endpoint, token, encodings]) => {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 360 } });
      const pc = new RTCPeerConnection();
      for (const track of stream.getTracks()) {
        pc.addTransceiver(track, { direction: 'sendonly', streams: [stream], ...(track.kind === 'video' && { sendEncodings: encodings }) });
      }
      await pc.setLocalDescription();
      const response = await fetch(endpoint, {
        method: 'POST',
        headers: { 'Content-Type': 'application/sdp', Authorization: `Bearer ${token}` },
        body: pc.localDescription.sdp,
      });
      const answer = await response.text();
      if (response.status !== 201) throw new Error(`${response.status} ${answer}`);
      await pc.setRemoteDescription({ type: 'answer', sdp: answer });
      globalThis.whip = { pc, token, answer, url: new URL(response.headers.get('Location'), endpoint).toString(), tag: response.headers.get('ETag') };
      return { status: response.status, tag: response.headers.get('ETag'), patch: response.headers.get('Accept-Patch') };
    },
    [`${devnet.url}/whip/${room}/${identity}`, admin, sendEncodings],
  );
}

const end = () =>
  encoder.evaluate(async () => {
    const { pc, url, token } = globalThis.whip;
    const response = await fetch(url, { method: 'DELETE', headers: { Authorization: `Bearer ${token}` } });
    pc.close();
    return response.status;
  });

test('the watch page waits for a publisher, and says so', async () => {
  await desktop.goto(`${devnet.url}/watch?room=${room}&identity=cam`);
  await says(desktop, 'Nothing to see yet');
  await shot(desktop, 'waiting-desk');
});

test('on a phone the room is typed and watched with the keyboard', async () => {
  await handset.goto(`${devnet.url}/watch`);
  await handset.waitForSelector('#room');
  await shot(handset, 'form-phone');
  await noSidewaysScroll(handset, 'form on a phone');
  await handset.keyboard.type(room);
  await handset.keyboard.press('Tab');
  assert.equal(await handset.evaluate(() => document.activeElement?.id), 'identity', 'Tab goes from the room to the person');
  await handset.keyboard.press('Enter');
  await says(handset, 'Nothing to see yet');
  await noSidewaysScroll(handset, 'watching on a phone');
  assert.match(handset.url(), new RegExp(`room=${room}$`));
  await shot(handset, 'waiting-phone');
});

test('a page of another origin publishes by WHIP, and a participant with the SDK sees it', async () => {
  await ada.join(devnet.signalUrl, devnet.token('whip-ada', room));
  const opened = await publish('cam');
  assert.match(opened.tag, /^".+"$/, 'a page may read the ETag');
  assert.equal(opened.patch, 'application/trickle-ice-sdpfrag');
  await ada.waitEvent('participantConnected', { identity: 'cam' });
  await ada.waitEvent('trackSubscribed', { identity: 'cam', source: 'microphone' });
  const first = await ada.watch('cam');
  record('whip: first picture for a participant with the SDK after', `${Math.round(first)} ms`);
  await mediaFlows([[ada, 'cam']], 5, 'whip');
});

test('both watch pages show it by themselves: the person, and whoever speaks', async () => {
  await plays(desktop);
  await plays(handset);
  await desktop.getByRole('heading', { name: 'Nothing to see yet' }).waitFor({ state: 'hidden', timeout: 5000 });
  await shot(desktop, 'playing-desk');
  await shot(handset, 'playing-phone');
  await noSidewaysScroll(handset, 'playing on a phone');
});

test('m turns the sound off and on', async () => {
  const muted = () => desktop.locator('audio').evaluate((element) => element.muted);
  const before = await muted();
  await desktop.keyboard.press('m');
  assert.equal(await muted(), !before);
  await desktop.keyboard.press('m');
  assert.equal(await muted(), before);
});

test('the publisher restarts ICE by PATCH and goes on', async () => {
  const status = await encoder.evaluate(async () => {
    const { pc, url, token, answer } = globalThis.whip;
    const offer = await pc.createOffer({ iceRestart: true });
    await pc.setLocalDescription(offer);
    const lines = offer.sdp.split('\r\n').filter((line) => /^a=ice-(ufrag|pwd):/.test(line));
    const response = await fetch(url, {
      method: 'PATCH',
      headers: { 'Content-Type': 'application/trickle-ice-sdpfrag', Authorization: `Bearer ${token}`, 'If-Match': '*' },
      body: [...new Set(lines)].join('\r\n') + '\r\n',
    });
    const fragment = await response.text();
    const value = (key) => fragment.split('\r\n').find((line) => line.startsWith(key));
    const sdp = answer
      .split('\r\n')
      .map((line) => (line.startsWith('a=ice-ufrag:') ? value('a=ice-ufrag:') : line.startsWith('a=ice-pwd:') ? value('a=ice-pwd:') : line))
      .join('\r\n');
    await pc.setRemoteDescription({ type: 'answer', sdp });
    return response.status;
  });
  assert.equal(status, 200);
  await mediaFlows([[ada, 'cam']], 3, 'whip: after the restart');
});

test('a screen that somebody shares takes the large place, and s swaps', async () => {
  const screen = await browser.client('whip-sharer');
  await screen.join(devnet.signalUrl, devnet.token('whip-sharer', room));
  await screen.call('offerScreen', { width: 800, height: 450, frameRate: 15 }, {});
  await screen.page.getByRole('button', { name: 'share' }).click();
  await until(async () => (await screen.events('screenShared')).length > 0, 5000, 'the screen is shared');
  await plays(handset, 'Shared screen');
  await plays(handset, 'Camera');
  await until(() => picture(handset).evaluate((element) => element.classList.contains('small')), 5000, 'the camera is small');
  await shot(handset, 'screen-phone');
  await handset.keyboard.press('s');
  assert.equal(await picture(handset, 'Shared screen').evaluate((element) => element.classList.contains('small')), true, 's swaps');
  await screen.leave();
  await picture(handset, 'Shared screen').waitFor({ state: 'hidden', timeout: 10_000 });
});

test('DELETE ends it for everybody, and players go on when it comes back, now with simulcast', async () => {
  assert.equal(await end(), 200);
  await ada.waitEvent('participantDisconnected', { identity: 'cam' });
  await says(desktop, 'Nothing to see yet');
  await publish('cam', [{ rid: 'small', scaleResolutionDownBy: 2 }, { rid: 'large' }]);
  await plays(desktop);
  await plays(handset);
  await until(() => picture(desktop).evaluate((element) => element.videoWidth === 640), 15_000, 'the large layer');
  await ada.watch('cam');
  await mediaFlows([[ada, 'cam']], 3, 'whip: simulcast');
  assert.equal(posts.length, 2, `every player made one offer: ${posts}`);
});

test('without a line the page says so, and goes on when it is back', async () => {
  await handset.context().setOffline(true);
  await says(handset, 'You are offline');
  await shot(handset, 'offline-phone');
  await handset.context().setOffline(false);
  await plays(handset);
});

test('a token of another room is refused with the cause, and taken out of the address', async () => {
  const guest = await browser.page('watch-refused', phone);
  await guest.goto(`${devnet.url}/watch?room=${room}&token=${devnet.token('whip-guest', 'elsewhere')}`);
  await says(guest, 'This is not yours to watch');
  await guest.getByText('The access token is for another room').waitFor({ timeout: 5000 });
  assert.doesNotMatch(guest.url(), /eyJ|token/);
  assert.equal(await guest.evaluate(() => document.activeElement?.textContent), 'Try again', 'the way on has the focus');
  await shot(guest, 'refused-phone');
});

test('closing the page ends its session, and nothing was wrong on the way', async () => {
  const sessions = async () => Number(/^drtc_orchestrator_whip_sessions (\d+)/m.exec(await (await fetch(`${devnet.url}/metrics`)).text())?.[1]);
  const before = await sessions();
  await desktop.goto('about:blank');
  await until(async () => (await sessions()) === before - 1, 5000, 'one session less');
  assert.deepEqual(complaints, []);
});
