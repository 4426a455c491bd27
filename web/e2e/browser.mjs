// Participants in real Chromium with the unmodified client SDK, and everything they said, written to a file.

import { SignalRequest, SignalResponse } from '@livekit/protocol';
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { chromiumPath } from './browser-path.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const sdk = createRequire(import.meta.url).resolve('livekit-client');

/** A browser, and a server for the blank page that holds the SDK. Close it when done. */
export async function openBrowser({ fps = 20 } = {}) {
  const pages = await servePage();
  const browser = await chromium.launch({
    executablePath: chromiumPath,
    headless: true,
    args: [
      '--no-sandbox',
      `--use-fake-device-for-media-stream=fps=${fps}`,
      '--use-fake-ui-for-media-stream',
      '--autoplay-policy=no-user-gesture-required',
      '--disable-features=WebRtcHideLocalIpsWithMdns',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--disable-background-timer-throttling',
      '--disable-backgrounding-occluded-windows',
      '--disable-renderer-backgrounding',
    ],
  });
  const clients = [];
  return {
    /** A participant's page with the SDK; not joined yet. `ports` sends media through a relay (see relay.mjs). */
    async client(label, { ports } = {}) {
      const page = await tracedPage(browser, label, { width: 1400, height: 800 });
      if (ports) await page.addInitScript({ content: `window.relayPorts = ${JSON.stringify(ports)};` });
      await page.goto(pages.url);
      const client = new Client(page, label);
      clients.push(client);
      return client;
    },
    /** A bare page at any address. */
    page: (label, viewport, options) => tracedPage(browser, label, viewport, options),
    async close() {
      await Promise.race([Promise.all(clients.map((client) => client.writeDump())), sleep(3000)]);
      await browser.close();
      pages.close();
    },
  };
}

/** A participant; every method runs the function of the same name in page.js. */
export class Client {
  constructor(page, label) {
    this.page = page;
    this.label = label;
  }

  call(name, ...args) {
    return this.page.evaluate(([method, parameters]) => globalThis.participant[method](...parameters), [name, args]);
  }

  /** Connects; resolves to milliseconds it took. */
  join(url, token, options) {
    return this.call('join', url, token, options);
  }

  /** The error that join or publish failed with, or undefined. */
  attempt(name, ...args) {
    return this.page.evaluate(([method, parameters]) => globalThis.participant.attempt(method, ...parameters), [name, args]);
  }

  publish(options) {
    return this.call('publish', options);
  }

  /** Shows somebody's camera, or another source, in an element of that width; resolves to milliseconds until the first frame. */
  watch(identity, width = 320, source = 'camera') {
    return this.call('watch', identity, width, source);
  }

  resize(identity, width) {
    return this.call('resize', identity, width);
  }

  /** { framesDecoded, freezes, videoBytes, audioBytes, videoCodec, audioCodec, width, height, shownFrames } of somebody's tracks. */
  media(identity, source = 'camera') {
    return this.call('media', identity, source);
  }

  now() {
    return this.page.evaluate(() => performance.now());
  }

  /** The largest time in ms between two shown frames of somebody, from `since` (page time) until now. */
  gap(identity, since) {
    return this.call('gap', identity, since);
  }

  events(name) {
    return this.call('eventsOf', name);
  }

  /** Waits until an event was seen (since the page was opened) whose detail holds all of `match`. */
  async waitEvent(name, match = {}, timeout = 10_000) {
    try {
      await this.page.waitForFunction(
        ([wanted, detail]) =>
          globalThis.participant.eventsOf(wanted).some((event) => Object.entries(detail).every(([key, value]) => event[key] === value)),
        [name, match],
        { timeout, polling: 50 },
      );
    } catch {
      const seen = (await this.call('eventsOf')).map((event) => event.name).join(' ');
      throw new Error(`${this.label}: no ${name} ${JSON.stringify(match)} within ${timeout} ms; events so far: ${seen}`);
    }
  }

  leave() {
    return this.call('leave');
  }

  /** Ends the page's log with its events and the state of its transports. */
  async writeDump() {
    const lines = await this.call('dump').catch((error) => [`no dump: ${error.message}`]);
    appendFileSync(logOf(this.label), `${lines.join('\n')}\n`);
  }
}

async function tracedPage(browser, label, viewport, options = {}) {
  const context = await browser.newContext({ viewport, permissions: ['camera', 'microphone'], ...options });
  const page = await context.newPage();
  trace(page, label);
  return page;
}

function logOf(label) {
  const dir = join(process.env.DRTC_E2E_DIR ?? '.', 'pages');
  mkdirSync(dir, { recursive: true });
  return join(dir, `${label.replace(/[^\w-]+/g, '_')}.log`);
}

/** Writes signalling messages, console and page errors to pages/<label>.log. */
function trace(page, label) {
  const file = logOf(label);
  const start = Date.now();
  const write = (text) => {
    const shown = text.replaceAll(/eyJ[\w-]+(\.[\w-]*){0,2}/g, '(token)');
    appendFileSync(file, `${String(Date.now() - start).padStart(7)} ${shown}\n`);
  };
  page.on('console', (message) => write(`console ${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => write(`page error: ${error.stack}`));
  page.on('requestfailed', (request) => write(`request failed: ${path(request.url())} ${request.failure()?.errorText}`));
  page.on('websocket', (socket) => {
    write(`socket ${path(socket.url())}`);
    socket.on('framesent', ({ payload }) => write(`-> ${describe(SignalRequest, payload)}`));
    socket.on('framereceived', ({ payload }) => write(`<- ${describe(SignalResponse, payload)}`));
    socket.on('socketerror', (error) => write(`socket error: ${error}`));
    socket.on('close', () => write('socket closed'));
  });
}

/** Without the query, which holds the token. */
function path(url) {
  return url.replace(/\?.*/, '');
}

function describe(type, payload) {
  if (typeof payload === 'string') return `text ${payload.slice(0, 200)}`;
  try {
    const { message } = type.fromBinary(payload);
    const text = JSON.stringify(message.value, (key, value) =>
      typeof value === 'bigint' ? String(value) : key === 'refreshToken' ? '(token)' : value,
    );
    const shown = message.case === 'refreshToken' ? '(token)' : (text ?? '');
    return `${message.case} ${payload.length} B ${shown.length > 6000 ? `${shown.slice(0, 6000)}…` : shown}`;
  } catch (error) {
    return `${payload.length} B that are no ${type.typeName}: ${error.message}`;
  }
}

async function servePage() {
  const files = {
    '/': ['text/html; charset=utf-8', '<!doctype html><title>participant</title><script src="/sdk.js"></script><script src="/page.js"></script><body>'],
    '/sdk.js': ['text/javascript', readFileSync(sdk)],
    '/page.js': ['text/javascript', readFileSync(join(here, 'page.js'))],
  };
  const server = http.createServer((request, response) => {
    const [type, body] = files[request.url] ?? [];
    if (!type) return response.writeHead(404).end();
    return response.writeHead(200, { 'Content-Type': type }).end(body);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}
