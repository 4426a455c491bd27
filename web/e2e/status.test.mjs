// The status pages of a Registry as people use them: by keyboard alone, on a desk and on a phone, while nodes come and go
// and while the chain says nothing. It has a network of its own, whose node it kills.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openBrowser } from './browser.mjs';
import { startDevnet } from './devnet.mjs';
import { until } from './exchange.mjs';
import { record } from './figures.mjs';
import { playBack, recorded } from './recorded.mjs';

const desk = { width: 1280, height: 900 };
const phone = { width: 390, height: 844 };
let devnet;
let browser;
let base;
let nodes;
const complaints = [];

before(async () => {
  const dir = join(process.env.DRTC_E2E_DIR, 'status');
  mkdirSync(dir, { recursive: true });
  devnet = await startDevnet(process.env.DRTC_BIN, dir);
  base = devnet.ready.registries[0];
  nodes = devnet.ready.nodes.map((node) => String(node.id).toLowerCase());
  browser = await openBrowser();
});
after(async () => {
  await browser?.close();
  const left = await devnet?.stop();
  assert.deepEqual(left ?? [], [], 'nothing is left of the network');
});

/** A page on which nothing may go wrong and which may ask nobody but its Registry. */
async function open(label, viewport, options) {
  const page = await browser.page(label, viewport, options);
  page.on('pageerror', (error) => complaints.push(`${label}: ${error.message}`));
  page.on('console', (message) => {
    if (/Content Security Policy|Refused to/i.test(message.text())) complaints.push(`${label}: ${message.text()}`);
  });
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== base) complaints.push(`${label}: asked ${request.url()}`);
  });
  return page;
}

async function go(page, path) {
  await page.goto(base + path);
  await page.waitForSelector('main:not([aria-busy])');
}

const shot = (page, name) => page.screenshot({ path: join(process.env.DRTC_E2E_DIR, `status-${name}.png`), fullPage: true });

async function noSidewaysScroll(page, where) {
  const [content, width] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= width, `${where}: ${content} px of content in ${width} px`);
}

/** Presses Tab until an element with that text or name has the focus. */
async function tabTo(page, name) {
  for (let presses = 0; presses < 60; presses++) {
    await page.keyboard.press('Tab');
    const label = await page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent ?? '');
    if (name.test(label)) return;
  }
  throw new Error(`Tab never reaches ${name}`);
}

const recording = async () => {
  const network = await (await fetch(`${base}/network`)).json();
  return recorded({ nodes, committee: network.registries.map((one) => one.registry), now: Date.now() });
};

const everyPage = () => ['/status', '/status/nodes', `/status/nodes/${nodes[0]}`, '/status/tests', '/status/epochs', '/status/epochs/40', '/status/payouts', '/status/nowhere'];

test('the address of a Registry leads a person to its pages, which show the three nodes', async () => {
  const page = await open('status-desk', desk);
  await page.goto(base);
  await page.waitForSelector('main:not([aria-busy])');
  assert.equal(new URL(page.url()).pathname, '/status');
  assert.equal(await page.locator('h1').textContent(), 'Network devnet');
  assert.ok(await page.getByText('A development network.').isVisible(), 'scores of a development network are marked as such');
  await go(page, '/status/nodes');
  assert.equal(await page.locator('table.list tbody tr').count(), 3);
  assert.equal(await page.locator('svg.world a.spot').count(), 3, 'all three are on the map');
  for (const name of ['Virginia', 'Frankfurt', 'Singapore']) assert.ok(await page.getByRole('rowheader', { name }).isVisible(), name);
  await page.close();
});

test('the keyboard alone leads from the start to a node and through a filter', async () => {
  const page = await open('status-keys', desk);
  await go(page, '/status');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Skip to the page');
  await page.keyboard.press('Enter');
  await until(() => page.evaluate(() => document.activeElement?.id === 'main'), 2000, 'the skip link leads past the menu');
  await sleep(300);
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'main', 'the focus stays there');
  await go(page, '/status');
  await tabTo(page, /^Nodes$/);
  await page.keyboard.press('Enter');
  await page.waitForSelector('h1:has-text("Nodes")');
  await until(() => page.evaluate(() => document.activeElement?.tagName === 'H1'), 5000, 'the title of the page has the focus');
  await tabTo(page, /^$/); // the first field
  await page.keyboard.type('frank');
  await until(async () => (await page.locator('table.list tbody tr').count()) === 1, 5000, 'one node is like that');
  assert.match(await page.locator('.count').textContent(), /^1 of 3 nodes$/);
  assert.match(page.url(), /\?text=frank$/, 'the search is in the address');
  await sleep(4500); // another look at the Registry
  assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('name')), 'text', 'news do not take the focus away');
  assert.equal(await page.inputValue('input[name=text]'), 'frank');
  await tabTo(page, /^Frankfurt/);
  await page.keyboard.press('Enter');
  await page.waitForSelector('h1:has-text("Frankfurt")');
  assert.ok(await page.getByRole('table', { name: 'What each prober says' }).isVisible());
  await page.goBack();
  await page.waitForSelector('h1:has-text("Nodes")');
  assert.equal(await page.inputValue('input[name=text]'), 'frank', 'going back finds the search as it was');
  await page.close();
});

test('without tests and epochs the pages say so, and what would change that', async () => {
  const page = await open('status-empty', desk);
  for (const [path, words] of [['/status/tests', 'No tests yet.'], ['/status/payouts', 'There are no pools yet.'], [`/status/nodes/${nodes[0]}`, 'This node has no pool.'], ['/status/epochs/999999', 'The chain says nothing of epoch 999999.']]) {
    await go(page, path);
    assert.ok(await page.getByText(words).isVisible(), `${path}: ${words}`);
  }
  await page.close();
});

test('every page fits a phone, in light and dark, with and without anything to show', async () => {
  const played = await recording();
  for (const colorScheme of ['light', 'dark']) {
    for (const real of [true, false]) {
      const page = await open(`status-phone-${colorScheme}-${real}`, phone, { colorScheme });
      if (!real) await playBack(page, played);
      for (const path of everyPage()) {
        await go(page, path);
        await noSidewaysScroll(page, `${path} on a phone`);
      }
      if (!real) {
        await go(page, '/status');
        await shot(page, `overview-phone-${colorScheme}`);
        await page.getByLabel('Exact numbers').check();
        for (const path of everyPage()) {
          await go(page, path);
          await noSidewaysScroll(page, `${path} on a phone with exact numbers`);
        }
      }
      await page.close();
    }
  }
});

test('a network that has run for a while: epochs, payouts, tests, and the same numbers as tables', async () => {
  const page = await open('status-recorded', desk);
  await playBack(page, await recording());
  await go(page, '/status');
  await shot(page, 'overview-desk');
  await go(page, '/status/epochs');
  assert.equal(await page.getByRole('img', { name: /Minted and burned/ }).count(), 1);
  assert.ok((await page.locator('table.list tbody tr').count()) > 30);
  await page.locator('details.numbers summary').first().click();
  const figures = page.getByRole('region', { name: 'Minted and burned, numbers' });
  assert.ok((await figures.locator('tbody tr').count()) > 30, 'the chart has a table beside it');
  await sleep(4500);
  assert.ok(await figures.isVisible(), 'what was opened stays open');
  await go(page, '/status/epochs/40');
  for (const words of ['Who signed', 'Charges', 'Leaves', 'drtc epoch audit 40']) assert.ok(await page.getByText(words).first().isVisible(), words);
  assert.ok((await page.getByRole('table', { name: /Leaves/ }).locator('tbody tr').count()) === 3);
  await shot(page, 'epoch-desk');
  await go(page, '/status/payouts');
  assert.equal(await page.locator('.multiples svg').count(), 3, 'a time series for each pool');
  await shot(page, 'payouts-desk');
  await go(page, '/status/tests');
  assert.ok((await page.getByText('development', { exact: true }).count()) > 10, 'short tests are marked');
  await page.getByLabel('Outcome').selectOption('void');
  await until(async () => /unconnected/.test(await page.locator('table.list').textContent()), 5000, 'tests that are void say why');
  await go(page, `/status/nodes/${nodes[1]}`);
  assert.equal(await page.getByRole('img', { name: /Quality over its tests/ }).count(), 1);
  assert.equal(await page.getByRole('img', { name: /Paid into its pool/ }).count(), 1);
  await shot(page, 'node-desk');
  await page.getByLabel('Exact numbers').check();
  assert.match(await page.locator('dl').nth(1).textContent(), /\d HUDL/);
  await page.close();
});

test('a killed node turns down before the eyes of who looks', async () => {
  const page = await open('status-death', desk);
  await go(page, '/status/nodes');
  const victim = devnet.ready.nodes[2];
  const row = page.locator(`tr[data-key="${nodes[2]}"]`);
  assert.match(await row.textContent(), /Up/);
  process.kill(victim.pid, 'SIGKILL');
  const start = Date.now();
  await until(async () => /Down/.test(await row.textContent()), 90_000, 'the node is shown as down');
  record('status: a killed node is shown as down after', `${((Date.now() - start) / 1000).toFixed(1)} s`);
  assert.equal(await page.locator('svg.world a.spot.down').count(), 1, 'on the map too');
  await page.getByLabel('State').selectOption('down');
  await until(async () => (await page.locator('table.list tbody tr').count()) === 1, 5000, 'the filter finds it');
  await shot(page, 'down-desk');
  await page.getByRole('link', { name: /Singapore/ }).last().click();
  await page.waitForSelector('.state.down');
  await page.close();
});

test('while the chain is away the pages say so and show what was read last', async () => {
  const page = await open('status-away', desk);
  await go(page, '/status/epochs');
  process.kill(devnet.ready.chain.pid, 'SIGKILL');
  await until(() => page.getByText('the chain does not answer').isVisible(), 40_000, 'it is said that the chain does not answer');
  await go(page, '/status');
  assert.ok(await page.getByText('the chain does not answer').first().isVisible());
  assert.ok(await page.getByText('Nodes up').isVisible(), 'nodes are shown as ever');
  await shot(page, 'away-desk');
  await page.close();
});

test('no page error, nothing that the content policy had to stop, and nobody else was asked', () => assert.deepEqual(complaints, []));
