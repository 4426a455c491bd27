// The browser lane: starts the network, runs every *.test.mjs beside this file with real Chromium, prints what was
// measured, stops the network and makes sure that nothing of it is left.
//
//   node web/e2e/run.mjs [part of a file name ...]
//
// DRTC_BIN        the binary under test (default ./bin/drtc)
// DRTC_CHROMIUM   the browser (default /usr/bin/chromium-headless-shell)
// DRTC_E2E_MODE   how nodes carry media: default (what drtc devnet does), one (worker), two (workers that share every room)
//                 or portable (sockets that every system has)
// DRTC_E2E_DIR    where logs, traces and results go (default a new temporary folder)

import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { chromiumPath } from './browser-path.mjs';
import { nodeMetric, startDevnet } from './devnet.mjs';
import { forgetFigures, readFigures, record, table } from './figures.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const binary = resolve(process.env.DRTC_BIN ?? 'bin/drtc');
const wanted = process.argv.slice(2);
const modes = {
  default: [],
  one: ['--workers', '1'],
  two: ['--workers', '2', '--worker-room-peers', '1'],
  portable: ['--workers', '1', '--portable'],
};
const mode = process.env.DRTC_E2E_MODE || 'default';

function refuse(sentence) {
  console.error(`e2e: ${sentence}`);
  process.exit(2);
}

if (!existsSync(chromiumPath)) {
  refuse(`no browser at ${chromiumPath}: apt-get install -y --no-install-recommends chromium-headless-shell`);
}
if (!existsSync(join(here, '../node_modules/playwright-core'))) refuse('no node_modules: run "npm ci" in web/');
if (!existsSync(binary)) refuse(`no binary at ${binary}: build it, or name it in DRTC_BIN`);

if (!modes[mode]) refuse(`no mode "${mode}": DRTC_E2E_MODE is one of ${Object.keys(modes).join(', ')}`);

const dir = process.env.DRTC_E2E_DIR ?? mkdtempSync(join(tmpdir(), 'drtc-e2e-'));
mkdirSync(dir, { recursive: true });
forgetFigures(dir);
rmSync(join(dir, 'pages'), { recursive: true, force: true });
const startedAt = Date.now();

let devnet;
try {
  devnet = await startDevnet(binary, dir, modes[mode]);
} catch (error) {
  refuse(error.message);
}
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => void devnet.stop().then(() => process.exit(130)));
console.log(`e2e: mode ${mode}${modes[mode].map((flag) => ` ${flag}`).join('')}, network at ${devnet.ready.url}, logs in ${dir}`);

process.env.DRTC_E2E_DIR = dir;
process.env.DRTC_E2E_READY = devnet.readyFile;
process.env.DRTC_BIN = binary;

const files = readdirSync(here)
  .filter((name) => name.endsWith('.test.mjs') && (wanted.length === 0 || wanted.some((part) => name.includes(part))))
  .sort()
  .map((name) => join(here, name));
let failures = 0;
await new Promise((done) => {
  run({ files, concurrency: 1, timeout: 150_000 })
    .on('test:fail', (event) => {
      if (event.todo === undefined) failures++;
    })
    .compose(new spec())
    .on('end', done)
    .pipe(process.stdout);
});

const parcels = await nodeMetric(devnet.ready, 'handoff_parcels_total');
const perMessage = (await nodeMetric(devnet.ready, 'egress_segments_total')) / (await nodeMetric(devnet.ready, 'egress_messages_total'));
record('nodes: parcels between workers; datagrams per message', `${parcels}; ${perMessage.toFixed(3)}`);
if ((mode === 'two') !== parcels > 0) {
  failures++;
  console.error(`e2e: mode ${mode}: workers gave each other ${parcels} parcels: want ${mode === 'two' ? 'some' : 'none'}`);
}

const left = await devnet.stop();
if (left.length > 0) {
  failures++;
  console.error(`e2e: still alive after the network was stopped: ${left.join(', ')}`);
}

const figures = readFigures(dir);
console.log(table(figures));
const results = join(dir, 'e2e-results.json');
const seconds = Math.round((Date.now() - startedAt) / 1000);
writeFileSync(results, JSON.stringify({ mode, seconds, failures, figures }, null, 2));
console.log(`e2e: mode ${mode}: ${failures === 0 ? 'passed' : `${failures} failed`} in ${seconds} s, results in ${results}`);
if (failures > 0) {
  console.log(`e2e: signalling and console of every page: ${join(dir, 'pages')}, network: ${devnet.logFile}`);
  console.log(readFileSync(devnet.logFile, 'utf8').split('\n').slice(-20).join('\n'));
}
process.exit(failures === 0 ? 0 : 1);
