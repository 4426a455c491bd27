// The soak lane of rooms: a call of three over several Media Nodes, whose nodes and Orchestrator are killed, frozen and
// drained many times over. It prints the longest video gap of the runs as p50, p95 and maximum, and fails when a bar is
// broken, when the app saw a participant or track event, or when data no longer pass.
//
//   node web/e2e/soak/rooms.mjs [kill] [freeze] [drain] [orchestrator]     (all of them without a word)
//
// RUNS      how often a node is killed (default 40); freeze and drain run a quarter as often, orchestrator an eighth
// DRTC_BIN, DRTC_CHROMIUM, DRTC_E2E_DIR   as in run.mjs

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openBrowser } from '../browser.mjs';
import { signToken, startDevnet } from '../devnet.mjs';
import { dataArrives, freshRoom, until } from '../exchange.mjs';

const runs = Number(process.env.RUNS || 40);
const share = (part) => Math.max(1, Math.round(runs / part));
const nodes = 6;
const roomy = 5; // runs of a room, then a fresh one
const places = { ada: '50.1,8.7', ben: '38.9,-77.4', cem: '1.3,103.8' };
const names = Object.keys(places);
const small = { width: 480, height: 270, fps: 10 };
/** What must not happen in the app, beside the events that are counted. */
const alarms = /^(participant|trackPub|trackUn|trackSub|disconnected|reconnecting)/;

const binary = resolve(process.env.DRTC_BIN ?? 'bin/drtc');
const dir = process.env.DRTC_E2E_DIR ?? mkdtempSync(join(tmpdir(), 'drtc-soak-'));
mkdirSync(dir, { recursive: true });
process.env.DRTC_E2E_DIR = dir;
if (!existsSync(binary)) {
  console.error(`soak: no binary at ${binary}: build it, or name it in DRTC_BIN`);
  process.exit(2);
}

let devnet;
let browsers;
let people;
let room;
let failures = 0;

const token = (identity) => signToken(devnet.ready, { identity, room });
const pairs = () => names.flatMap((viewer) => names.filter((name) => name !== viewer).map((name) => [people[viewer], name]));
const nodeIndex = (id) => devnet.ready.nodes.findIndex((node) => node.id === id);

async function homes() {
  return Promise.all(
    names.map(async (name) => {
      const reply = await fetch(`${devnet.ready.url}/drtc/v1/session?access_token=${token(name)}`);
      return reply.ok ? (await reply.json()).node.id : undefined;
    }),
  );
}

const nodesUp = () => fetch(`${devnet.ready.url}/healthz`).then((reply) => reply.json()).then((health) => health.nodes_up, () => 0);
const allUp = () => until(async () => (await nodesUp()) === nodes, 20_000, `${nodes} nodes are up`);

/** A fresh room with everybody at the node that is near. */
async function call() {
  if (people) await Promise.all(names.map((name) => people[name].leave()));
  for (const one of people ? Object.values(people) : []) await one.page.context().close();
  room = freshRoom('soak');
  const clients = await Promise.all(names.map((name, index) => browsers[index % 2].client(name)));
  people = Object.fromEntries(names.map((name, index) => [name, clients[index]]));
  const url = devnet.ready.url.replace(/^http/, 'ws');
  for (const name of names) await people[name].join(`${url}?place=${places[name]}`, token(name));
  for (const name of names) await people[name].publish(small);
  await Promise.all(pairs().map(([viewer, name]) => viewer.watch(name, 320)));
  return new Set(await homes()).size;
}

/** A fresh room in which everybody is at another node. One that has just come back may not be chosen at once. */
async function spread() {
  for (let tries = 0; tries < 4; tries++) {
    if ((await call(await allUp())) === names.length) return;
    await sleep(2000);
  }
  throw new Error('people are not on nodes of their own');
}

/** Every picture goes on: each pair shows more frames, over and over for a while. */
async function flows(seconds, limit) {
  const shown = () => Promise.all(pairs().map(async ([viewer, name]) => (await viewer.media(name)).shownFrames));
  let before = await shown();
  const deadline = Date.now() + limit;
  for (let good = 0; good < seconds * 2; ) {
    await sleep(500);
    const now = await shown();
    good = now.every((frames, index) => frames > before[index]) ? good + 1 : 0;
    if (good === 0 && Date.now() > deadline) throw new Error(`no picture: ${pairs().map(([viewer, name], index) => `${viewer.label}<-${name} +${now[index] - before[index]}`).join(' ')}`);
    before = now;
  }
}

const heard = () => Promise.all(names.map(async (name) => (await people[name].events()).filter((one) => alarms.test(one.name))));
const resumed = () => Promise.all(names.map(async (name) => (await people[name].events('reconnected')).length));
const gapsSince = (since) => Promise.all(pairs().map(([viewer, name]) => viewer.gap(name, since[viewer.label])));
const clocks = async () => Object.fromEntries(await Promise.all(names.map(async (name) => [name, await people[name].now()])));

/** Whoever is struck: the node of ada, ben or cem in turn, who publishes and watches there. */
async function struckNode(run) {
  const index = nodeIndex((await homes())[run % names.length]);
  if (index < 0) throw new Error(`nobody carries ${names[run % names.length]}`);
  return index;
}

const modes = {
  kill: {
    runs, bar: 1500, of: 'p95',
    async strike(run) {
      const index = await struckNode(run);
      process.kill(devnet.ready.nodes[index].pid, 'SIGKILL');
      return () => devnet.revive('medianode', index);
    },
  },
  freeze: {
    runs: share(4), bar: 3500, of: 'max',
    async strike(run) {
      const index = await struckNode(run);
      const { pid } = devnet.ready.nodes[index];
      process.kill(pid, 'SIGSTOP');
      return () => process.kill(pid, 'SIGCONT');
    },
  },
  drain: {
    runs: share(4), bar: 500, of: 'max',
    async strike(run) {
      const index = await struckNode(run);
      const drain = (...more) => execFileSync(binary, ['node', 'drain', '--config', join(devnet.data, `medianode-${index + 1}`, 'config.toml'), '--url', devnet.ready.nodes[index].control, ...more]);
      drain();
      return async () => {
        drain('--undo');
        await sleep(2000); // until the Orchestrator has heard of it
      };
    },
  },
  orchestrator: {
    // Media goes on: what is seen is the noise of the machine, at worst one frame more than before.
    runs: share(8), bar: 250, of: 'max', noise: 1000 / small.fps,
    async strike() {
      const before = await resumed();
      process.kill(devnet.ready.orchestrators[0].pid, 'SIGKILL');
      const start = Date.now();
      await sleep(1000);
      await devnet.revive('orchestrator', 0);
      // The client itself keeps a reconnect open for 2 s.
      await until(async () => (await resumed()).every((count, index) => count > before[index]), 8000, 'all have resumed');
      const took = Date.now() - start - 2000;
      if (took > 5000) throw new Error(`clients resumed after ${took} ms, want 5000`);
      return () => `, resumed ${took} ms after`;
    },
  },
};

/** One disturbance; resolves to the longest gap and what it was before, or fails. */
async function once(mode, run) {
  await allUp();
  const quiet = await clocks();
  await flows(1.5, 10_000);
  const calm = Math.max(...(await gapsSince(quiet)));
  const before = await heard();
  const at = await homes();
  const since = await clocks();
  const repair = await modes[mode].strike(run);
  await flows(3, 15_000);
  const gaps = await gapsSince(since);
  const gap = Math.max(...gaps);
  const worst = pairs()[gaps.indexOf(gap)];
  const now = await homes();
  const moved = (name) => at[names.indexOf(name)] !== now[names.indexOf(name)];
  // Of those whom it does not concern: what they miss is the noise of the machine.
  const others = Math.max(0, ...gaps.filter((_, index) => !moved(pairs()[index][0].label) && !moved(pairs()[index][1])));
  const more = await repair();
  const after = await heard();
  const news = after.flatMap((events, index) => events.slice(before[index].length).map((one) => `${names[index]}: ${one.name} ${one.identity ?? ''}`));
  if (news.length > 0) throw new Error(`the app heard of ${news.join(', ')}`);
  for (const [from, to] of [['ada', 'ben'], ['cem', 'ada'], ['ben', 'cem']]) await dataArrives(people[from], people[to], `${mode} ${run}`);
  const numbers = (ids) => ids.map((id) => nodeIndex(id) + 1).join('');
  console.log(`soak: ${mode} ${run + 1}: gap ${Math.round(gap)} ms where ${worst[0].label} sees ${worst[1]} (before ${Math.round(calm)}, others ${Math.round(others)}), homes ${numbers(at)} -> ${numbers(now)}${typeof more === 'string' ? more : ''}`);
  return { gap, calm };
}

const quantile = (values, q) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.ceil(q * values.length) - 1)];

async function soak(mode) {
  const { runs: wanted, of, noise } = modes[mode];
  const gaps = [];
  const calm = [];
  for (let run = 0; run < wanted; run++) {
    try {
      if (run % roomy === 0 || new Set(await homes()).size < 2) await spread();
      const result = await once(mode, run);
      gaps.push(result.gap);
      calm.push(result.calm);
    } catch (error) {
      failures++;
      console.log(`soak: ${mode} ${run + 1}: FAILED: ${error.message.split('\n')[0]}; people at ${await homes().catch(() => 'unknown')}`);
      await mend();
      await spread();
    }
  }
  if (gaps.length === 0) return `${mode}: no run passed`;
  const figures = { p50: quantile(gaps, 0.5), p95: quantile(gaps, 0.95), max: Math.max(...gaps) };
  const bar = noise === undefined ? modes[mode].bar : Math.max(modes[mode].bar, Math.max(...calm) + noise);
  if (figures[of] >= bar) failures++;
  const text = Object.entries(figures).map(([name, value]) => `${name} ${Math.round(value)}`).join(', ');
  return `${mode}: ${gaps.length} of ${wanted} runs, longest video gap ${text} ms (want ${of} below ${Math.round(bar)}); undisturbed p50 ${Math.round(quantile(calm, 0.5))}, max ${Math.round(Math.max(...calm))}`;
}

/** Brings back what a failed run left dead, frozen or drained. */
async function mend() {
  for (const [index, node] of devnet.ready.nodes.entries()) {
    try {
      process.kill(node.pid, 'SIGCONT');
      execFileSync(binary, ['node', 'drain', '--undo', '--config', join(devnet.data, `medianode-${index + 1}`, 'config.toml'), '--url', node.control]);
    } catch {
      await devnet.revive('medianode', index);
    }
  }
  if ((await nodesUp()) === 0) await devnet.revive('orchestrator', 0).catch(() => {}); // it may be starting
}

const wanted = process.argv.slice(2);
for (const name of wanted) {
  if (modes[name]) continue;
  console.error(`soak: no mode "${name}": they are ${Object.keys(modes).join(', ')}`);
  process.exit(2);
}
console.log(`soak: logs in ${dir}`);
const summary = [];
try {
  devnet = await startDevnet(binary, dir, ['--nodes', String(nodes)]);
  browsers = await Promise.all([openBrowser({ fps: small.fps }), openBrowser({ fps: small.fps })]);
  for (const mode of wanted.length > 0 ? wanted : Object.keys(modes)) summary.push(await soak(mode));
} catch (error) {
  failures++;
  console.error(error);
} finally {
  await Promise.all((browsers ?? []).map((browser) => browser.close()));
  const left = (await devnet?.stop()) ?? [];
  if (left.length > 0) {
    failures++;
    console.error(`soak: still alive after the network was stopped: ${left.join(', ')}`);
  }
}
for (const line of summary) console.log(`soak: ${line}`);
process.exit(failures === 0 ? 0 : 1);
