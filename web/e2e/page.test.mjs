// The call page as people use it: by keyboard alone, on a desk and on a phone.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { openBrowser } from './browser.mjs';
import { currentDevnet } from './devnet.mjs';
import { freshRoom, until } from './exchange.mjs';
import { record } from './figures.mjs';

const devnet = currentDevnet();
const room = freshRoom('page');
const desk = { width: 1280, height: 800 };
const phone = { width: 360, height: 740 };
let browser;
let ada;
let grace;
let complaints;

before(async () => {
  browser = await openBrowser();
  ada = await browser.page('page-ada', desk);
  grace = await browser.page('page-grace', phone, { colorScheme: 'dark' });
  complaints = [];
  for (const page of [ada, grace]) {
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (/Content Security Policy/i.test(message.text())) complaints.push(message.text());
    });
  }
});
after(() => browser?.close());

const shot = (page, name) => page.screenshot({ path: join(process.env.DRTC_E2E_DIR, `page-${name}.png`) });
const tile = (page, name) => page.locator('.tile', { hasText: name });

async function joinByKeyboard(page, name) {
  await page.goto(devnet.url);
  await page.waitForSelector('#name');
  await page.focus('#name');
  await page.keyboard.press('Control+A');
  await page.keyboard.type(name);
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'room', 'Tab goes from the name to the room');
  await page.keyboard.press('Control+A');
  await page.keyboard.type(room);
  await page.keyboard.press('Enter');
  await page.waitForSelector('main.call', { timeout: 15_000 });
}

/** Presses Tab until an element with that accessible name has the focus. */
async function tabTo(page, name) {
  for (let presses = 0; presses < 40; presses++) {
    await page.keyboard.press('Tab');
    const label = await page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '');
    if (name.test(label)) return;
  }
  throw new Error(`Tab never reaches ${name}`);
}

async function noSidewaysScroll(page, where) {
  const [content, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= width, `${where}: ${content} px of content in ${width} px`);
}

test('two people join with the keyboard and see each other', async () => {
  await joinByKeyboard(ada, 'Ada');
  await shot(ada, 'alone');
  await joinByKeyboard(grace, 'Grace');
  for (const [page, other] of [[ada, 'Grace'], [grace, 'Ada']]) {
    await tile(page, other).waitFor({ timeout: 10_000 });
    const video = tile(page, other).locator('video');
    await until(() => video.evaluate((element) => element.videoWidth > 0 && element.currentTime > 0), 10_000, `${other}'s picture`);
  }
  await noSidewaysScroll(grace, 'call on a phone');
  await shot(ada, 'call-desk');
  await shot(grace, 'call-phone');
});

test('the token is not in the address bar', async () => {
  assert.doesNotMatch(ada.url(), /eyJ|token/);
  assert.match(ada.url(), new RegExp(`room=${room}`));
});

test('m mutes, and the other sees the mark', async () => {
  const mark = tile(grace, 'Ada').getByRole('img', { name: 'Microphone off' });
  await ada.keyboard.press('m');
  await mark.waitFor({ state: 'visible', timeout: 5000 });
  await ada.keyboard.press('m');
  await mark.waitFor({ state: 'hidden', timeout: 5000 });
});

test('a chat message arrives, and its letters are no shortcuts', async () => {
  await ada.keyboard.press('c');
  await ada.keyboard.type('mvc is not a shortcut here');
  await ada.keyboard.press('Enter');
  await grace.locator('.badge:visible').waitFor({ timeout: 5000 });
  await tabTo(grace, /^Chat/);
  await grace.keyboard.press('Enter');
  await grace.getByText('mvc is not a shortcut here').last().waitFor({ timeout: 5000 });
  await noSidewaysScroll(grace, 'chat on a phone');
  await shot(grace, 'chat-phone');
  assert.equal(await tile(grace, 'Ada').getByRole('img', { name: 'Microphone off' }).isVisible(), false, 'the m did not mute');
  await ada.keyboard.press('Escape');
  assert.equal(await ada.locator('aside.panel').isVisible(), false, 'Escape closes the panel');
  await grace.keyboard.press('Escape');
});

test('the node panel names the node, its place and the round trip', async () => {
  await ada.keyboard.press('n');
  await ada.waitForSelector('.node-id[data-id]', { timeout: 10_000 });
  const id = await ada.locator('.node-id').getAttribute('data-id');
  assert.ok(
    devnet.nodes.some((node) => String(node.id).toLowerCase() === id.toLowerCase()),
    `${id} is one of ${devnet.nodes.map((node) => node.id)}`,
  );
  const place = await ada.locator('.place').textContent();
  assert.ok(place && !/Asking|not say|not tell/.test(place), `a place: ${place}`);
  const rtt = ada.locator('.figures dd span').first();
  await until(async () => /\d+ ms/.test((await rtt.textContent()) ?? ''), 10_000, 'a round trip');
  record('page: node panel', `${id.slice(0, 10)}… in ${place}, round trip ${await rtt.textContent()}`);
  await shot(ada, 'node-desk');
  await tabTo(grace, /^Your node/);
  await grace.keyboard.press('Enter');
  await grace.waitForSelector('.node-id[data-id]', { timeout: 10_000 });
  await noSidewaysScroll(grace, 'node panel on a phone');
  await shot(grace, 'node-phone');
  await grace.keyboard.press('Escape');
});

test('leaving says so and offers to join again', async () => {
  await tabTo(grace, /^Leave/);
  await grace.keyboard.press('Enter');
  await grace.getByText('You left the call.').waitFor({ timeout: 5000 });
  assert.equal(await grace.inputValue('#room'), room, 'the room that was left is offered again');
  await tile(ada, 'Grace').waitFor({ state: 'detached', timeout: 5000 });
  await noSidewaysScroll(grace, 'lobby on a phone');
  await shot(grace, 'left-phone');
});

test('a token that does not permit publishing leads to a sentence, and is taken out of the address', async () => {
  const guest = await browser.page('page-guest', desk);
  const token = devnet.token('page-guest', room, { name: 'Guest', video: { canPublish: false } });
  await guest.goto(`${devnet.url}/?token=${token}`);
  assert.doesNotMatch(guest.url(), /eyJ|token/);
  await guest.waitForSelector('#name');
  await guest.keyboard.press('Enter');
  await guest.getByText('does not permit you to publish').first().waitFor({ timeout: 15_000 });
  await tile(guest, 'Ada').waitFor({ timeout: 10_000 });
});

test('a refused token leads to the cause', async () => {
  const guest = await browser.page('page-refused', phone);
  const token = devnet.token('page-refused', room, { claims: { exp: 1_000_000 } });
  await guest.goto(`${devnet.url}/?token=${token}`);
  await guest.waitForSelector('#name');
  await guest.keyboard.press('Enter');
  const alert = guest.getByRole('alert');
  await until(async () => /refused/.test((await alert.textContent()) ?? ''), 10_000, 'a sentence about the refusal');
  record('page: refused token', await alert.textContent());
  assert.match((await alert.textContent()) ?? '', /expire/i);
  await noSidewaysScroll(guest, 'refusal on a phone');
  await shot(guest, 'refused-phone');
});

test('no page error and nothing that the content policy had to stop', () => assert.deepEqual(complaints, []));
