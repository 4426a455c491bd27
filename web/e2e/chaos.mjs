// The chaos lane: four people with the unmodified client SDK in one room over four Media Nodes, whose nodes and Orchestrator
// are killed, frozen, drained, cut off from each other and started again for minutes, as chance has it. At the end all is
// put right, and everybody must see and hear everybody; when they have left, nothing of the room may be left: no session, link or track, and
// goroutines and memory of every process near what they were before.
//
//   node web/e2e/chaos.mjs [--minutes 5] [--seed n]
//
// The seed decides what is struck and for how long; when exactly it hits depends on the machine. Nothing is cut off where
// partition.mjs can't.
// DRTC_BIN, DRTC_CHROMIUM   as for run.mjs
// DRTC_E2E_DIR              keeps logs there (default a new temporary folder)

import { execFile, spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import { openBrowser } from './browser.mjs';
import { signToken, startDevnet } from './devnet.mjs';
import { mediaFlows, until } from './exchange.mjs';
import { cutTCP, cutUDP, enter } from './partition.mjs';

const partitions = await enter();
const { values: flags } = parseArgs({ options: { minutes: { type: 'string', default: '5' }, seed: { type: 'string' } } });
const seed = Number(flags.seed ?? Date.now() % 1_000_000);
const length = Number(flags.minutes) * 60_000;
const binary = resolve(process.env.DRTC_BIN ?? 'bin/drtc');
const dir = process.env.DRTC_E2E_DIR ?? mkdtempSync(join(tmpdir(), 'drtc-chaos-'));
process.env.DRTC_E2E_DIR = dir;
const nodeCount = 4;
const room = 'chaos';
const places = { ada: '50.1,8.7', ben: '38.9,-77.4', cem: '1.3,103.8', dor: '-23.5,-46.6' }; // the nodes' own
const names = Object.keys(places);
const picture = { width: 480, height: 270, fps: 10 };
const converges = 90_000; // everything is right again within
const around = 45_000; // media find another way than a link that is cut within
const forgets = 60_000; // a room that is over, a trunk's 30 s included

const random = mulberry32(seed);
const between = (low, high) => low + Math.floor(random() * (high - low + 1));
const pick = (list) => list[Math.floor(random() * list.length)];

/** A small generator of numbers from 0 to 1, the same for the same seed. */
function mulberry32(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const began = Date.now();
const say = (text) => console.log(`${((Date.now() - began) / 1000).toFixed(1).padStart(6)} s  ${text}`);

/** A role of the network that can be struck. It is a child of ours from its first restart on. */
class Victim {
  constructor(name, role, said, env = {}) {
    Object.assign(this, { name, role, said, env, home: join(dir, 'devnet', name), frozen: false, down: false, draining: false, alone: false });
  }

  get pid() {
    return this.said.pid;
  }

  signal(what) {
    try {
      process.kill(this.pid, what);
    } catch {
      // it has ended by itself, which the end of the run tells
    }
  }

  async kill(what = 'SIGKILL') {
    this.signal(what);
    await until(() => !running(this.pid), 10_000, `${this.name} ends`);
    Object.assign(this, { down: true, frozen: false, draining: false });
  }

  async start() {
    const ready = join(this.home, 'ready.json');
    rmSync(ready, { force: true });
    const log = openSync(join(dir, `${this.name}.log`), 'a');
    const child = spawn(binary, [this.role, '--config', join(this.home, 'config.toml'), '--ready-file', ready], {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...this.env },
    });
    closeSync(log);
    await until(() => existsSync(ready) || child.exitCode !== null, 30_000, `${this.name} is ready`);
    if (child.exitCode !== null) throw new Error(`${this.name} ended with ${child.exitCode}: ${join(dir, `${this.name}.log`)}`);
    this.said = JSON.parse(readFileSync(ready, 'utf8'));
    this.down = false;
  }

  freeze() {
    this.signal('SIGSTOP');
    this.frozen = true;
  }

  thaw() {
    this.signal('SIGCONT');
    this.frozen = false;
  }

  async drain(undo) {
    const more = undo ? ['--undo'] : [];
    await promisify(execFile)(binary, ['node', 'drain', '--config', join(this.home, 'config.toml'), '--url', this.said.control, ...more]);
    this.draining = !undo;
  }

  get well() {
    return !this.down && !this.frozen && !this.draining && !this.alone;
  }

  /** Ports of media, and of the service that the Orchestrator calls. */
  get ports() {
    return { media: Number(this.said.udp.split(':').at(-1)), control: Number(new URL(this.said.control).port) };
  }

  /** The process's metrics, each summed over its labels. */
  async metrics() {
    const text = await (await fetch(this.said.metrics, { signal: AbortSignal.timeout(5000) })).text();
    const sums = {};
    for (const [, name, value] of text.matchAll(/^(\w+)(?:\{.*\})? (\S+)$/gm)) sums[name] = (sums[name] ?? 0) + Number(value);
    return sums;
  }

  /** Goroutines, and resident memory in MiB. */
  async footprint() {
    const base = this.said.metrics.replace(/\/metrics$/, '');
    const goroutines =
      this.role === 'medianode'
        ? Number(/total (\d+)/.exec(await (await fetch(`${base}/debug/pprof/goroutine?debug=1`)).text())[1])
        : (await this.metrics()).go_goroutines;
    const resident = Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))[1]) / 1024;
    return { goroutines, resident };
  }
}

function running(pid) {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

async function freePort() {
  const server = createServer();
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

/** A page and what an application does beside the SDK: it joins again when the SDK has given up. */
class Person {
  constructor(name, client, ready) {
    Object.assign(this, { name, client, ready, watched: new Set(), thrownOut: 0, restarted: 0 });
  }

  async join() {
    const url = `${this.ready.url.replace(/^http/, 'ws')}?place=${places[this.name]}`;
    await this.client.join(url, signToken(this.ready, { identity: this.name, room }));
    await this.client.publish(picture);
    this.watched.clear();
  }

  /**
   * Starts the own camera again where it stands still. An SDK that must connect anew once more while it is about to publish
   * what it had forgets the camera, or shows a capture without frames: nothing that a server could mend.
   */
  async mendCamera() {
    const { frames } = await this.client.call('outgoing');
    await sleep(1500);
    if ((await this.client.call('outgoing')).frames > frames) return;
    this.restarted++;
    say(`${this.name}'s camera gives no frames and is started again`);
    await this.client.call('muteCamera', true);
    await this.client.publish(picture);
  }

  /** Joins again if need be, and watches who is not watched yet. */
  async mend() {
    if ((await this.client.call('state')) === 'disconnected') {
      this.thrownOut++;
      say(`${this.name} was given up by the SDK and joins again`);
      await this.client.attempt('leave'); // it may have nothing to leave
      await this.join();
    }
    await this.mendCamera();
    for (const other of names) {
      if (other === this.name || this.watched.has(other)) continue;
      await this.client.watch(other, 160);
      this.watched.add(other);
    }
  }
}

const strikes = {
  async kill({ nodes }) {
    const node = pick(nodes.filter((one) => one.well));
    say(`kill ${node.name}`);
    await node.kill();
    return async () => {
      await node.start();
      say(`${node.name} is started again`);
    };
  },
  async restart({ nodes }) {
    const node = pick(nodes.filter((one) => one.well));
    say(`stop and start ${node.name}`);
    await node.kill('SIGTERM');
    await node.start();
  },
  async freeze({ nodes }) {
    const node = pick(nodes.filter((one) => one.well));
    say(`freeze ${node.name}`);
    node.freeze();
    return () => {
      node.thaw();
      say(`${node.name} goes on`);
    };
  },
  async freezePair({ nodes }) {
    const first = pick(nodes.filter((one) => one.well));
    const second = pick(nodes.filter((one) => one.well && one !== first));
    say(`freeze ${first.name} and ${second.name}: those on them are cut off`);
    first.freeze();
    second.freeze();
    return () => {
      first.thaw();
      second.thaw();
      say(`${first.name} and ${second.name} go on`);
    };
  },
  async blink({ nodes }) {
    const node = pick(nodes.filter((one) => one.well));
    const time = between(300, 1200);
    say(`freeze ${node.name} for ${time} ms`);
    node.freeze();
    await sleep(time);
    node.thaw();
  },
  async drain({ nodes }) {
    const node = pick(nodes.filter((one) => one.well));
    say(`drain ${node.name}`);
    await node.drain(false);
    return async () => {
      if (!node.draining) return; // it was restarted, which undoes it
      await node.drain(true);
      say(`${node.name} is back in service`);
    };
  },
  async cutLink({ nodes }) {
    const first = pick(nodes.filter((one) => one.well));
    const second = pick(nodes.filter((one) => one.well && one !== first));
    say(`cut media between ${first.name} and ${second.name}`);
    const heal = cutUDP([[first.ports.media, second.ports.media]]);
    return () => {
      heal();
      say(`${first.name} and ${second.name} reach each other`);
    };
  },
  async cutLinks({ nodes }) {
    const node = pick(nodes.filter((one) => one.well));
    say(`cut media between ${node.name} and all other nodes`);
    const heal = cutUDP(nodes.filter((one) => one !== node && !one.down).map((one) => [node.ports.media, one.ports.media]));
    return () => {
      heal();
      say(`${node.name} reaches the others`);
    };
  },
  async cutControl({ nodes }) {
    const node = pick(nodes.filter((one) => one.well));
    say(`cut ${node.name} off from the orchestrator: its media go on`);
    const heal = cutTCP(node.ports.control);
    node.alone = true;
    return () => {
      heal();
      node.alone = false;
      say(`${node.name} hears the orchestrator`);
    };
  },
  async orchestrator({ orchestrator }) {
    const time = between(0, 2000);
    say(`kill the orchestrator, start it after ${time} ms`);
    await orchestrator.kill();
    await sleep(time);
    await orchestrator.start();
  },
  async orchestratorBlink({ orchestrator }) {
    const time = between(500, 4000);
    say(`freeze the orchestrator for ${time} ms`);
    orchestrator.freeze();
    await sleep(time);
    orchestrator.thaw();
  },
};

/** Two nodes that do not reach each other are linked by a third: everybody sees everybody while the cut lasts. */
async function goesAround([first, second], pairs) {
  const cut = Date.now();
  const heal = cutUDP([[first.ports.media, second.ports.media]]);
  for (;;) {
    try {
      await mediaFlows(pairs, 3, 'chaos, around a cut');
      break;
    } catch (error) {
      if (Date.now() - cut > around) throw new Error(`${around} ms after ${first.name} and ${second.name} were cut off from each other: ${error.message}`);
      await sleep(200);
    }
  }
  heal();
  say(`${first.name} and ${second.name} were cut off from each other: media went around ${((Date.now() - cut) / 1000 - 3).toFixed(1)} s later`);
}

let devnet;
let victims = [];
const browsers = [];
let failure;
try {
  mkdirSync(dir, { recursive: true });
  say(`seed ${seed}, ${flags.minutes} minutes, ${partitions ? '' : 'without partitions, which need root, ip and unshare; '}logs in ${dir}`);
  devnet = await startDevnet(binary, dir, ['--nodes', String(nodeCount), '--listen', `127.0.0.1:${await freePort()}`]);
  const { ready } = devnet;
  const nodes = ready.nodes.map((said, index) => new Victim(`medianode-${index + 1}`, 'medianode', said));
  const key = { DRTC_API_KEY: ready.api_key, DRTC_API_SECRET: ready.api_secret };
  const orchestrator = new Victim('orchestrator', 'orchestrator', ready.orchestrator, key);
  victims = [...nodes, orchestrator];
  for (const victim of victims) {
    if (victim.role === 'medianode') {
      const config = join(victim.home, 'config.toml');
      writeFileSync(config, `profile = true\n${readFileSync(config, 'utf8')}`);
    }
    await victim.kill('SIGTERM');
    await victim.start();
  }
  const health = async () => (await (await fetch(`${ready.url}/healthz`)).json()).nodes_up;
  await until(async () => (await health()) === nodeCount, 30_000, 'the orchestrator commands every node');

  browsers.push(await openBrowser({ fps: 10 }), await openBrowser({ fps: 10 }));
  const people = [];
  for (const [index, name] of names.entries()) people.push(new Person(name, await browsers[index % 2].client(name), ready));
  const pairs = people.flatMap((viewer) => names.filter((name) => name !== viewer.name).map((name) => [viewer.client, name]));
  for (const person of people) await person.join();
  await Promise.all(people.map((person) => person.mend()));
  await mediaFlows(pairs, 2, 'chaos, before');
  say('four people see and hear each other');

  if (partitions) await goesAround(nodes, pairs);

  const counts = {};
  const stopAt = Date.now() + length;
  let restore; // of the strike before, which may overlap with the next one
  while (Date.now() < stopAt) {
    const well = nodes.filter((one) => one.well).length;
    const kinds = Object.keys(strikes).filter((kind) => (well > 2 || kind.startsWith('orchestrator')) && (partitions || !kind.startsWith('cut')));
    const kind = pick(kinds.filter((one) => one !== 'freezePair' || well > 3));
    counts[kind] = (counts[kind] ?? 0) + 1;
    const next = await strikes[kind]({ nodes, orchestrator });
    await sleep(between(1000, 8000));
    if (restore) await restore();
    restore = next;
    await sleep(between(0, 6000));
    // Who gave up comes back as soon as it can, without waiting for each other.
    for (const person of people) {
      if ((await person.client.call('state')) === 'disconnected') await person.mend().catch((error) => say(`${person.name}: ${error.message.split('\n')[0]}`));
    }
  }
  if (restore) await restore();
  say(`struck: ${Object.entries(counts).map(([kind, count]) => `${kind} ${count}`).join(', ')}; all is put right`);

  const end = Date.now();
  let last;
  for (;;) {
    try {
      await Promise.all(people.map((person) => person.mend()));
      await mediaFlows(pairs, 5, 'chaos, after');
      break;
    } catch (error) {
      last = error.message.split('\n')[0];
      if (Date.now() - end > converges) throw new Error(`no agreement within ${converges} ms after all was put right: ${last}`);
      await sleep(500);
    }
  }
  say(`everybody sees and hears everybody ${((Date.now() - end) / 1000).toFixed(1)} s after all was put right, 5 s of watching included`);
  for (const person of people) {
    const events = await person.client.events();
    const of = (name) => events.filter((event) => event.name === name).length;
    say(`${person.name}: resumed or reconnected ${of('reconnected')} times, given up ${person.thrownOut} times, camera started again ${person.restarted} times, saw ${of('participantDisconnected')} departures`);
  }
  const full = await Promise.all(victims.map(async (victim) => [victim.name, await victim.footprint()]));

  for (const person of people) await person.client.leave();
  const gauges = ['sessions_count', 'relay_links_count', 'relay_tracks_count', 'relay_layers_count', 'relay_trunks_count'];
  const leaks = async () => {
    const found = [];
    for (const node of nodes) {
      const metrics = await node.metrics();
      for (const gauge of gauges) if (metrics[`drtc_medianode_${gauge}`] !== 0) found.push(`${node.name} ${gauge} ${metrics[`drtc_medianode_${gauge}`]}`);
    }
    const metrics = await orchestrator.metrics();
    for (const gauge of ['sessions', 'sockets']) if (metrics[`drtc_orchestrator_${gauge}`] !== 0) found.push(`orchestrator ${gauge} ${metrics[`drtc_orchestrator_${gauge}`]}`);
    return found;
  };
  let found = [];
  const left = Date.now();
  await until(async () => (found = await leaks()).length === 0, forgets, 'nothing is left of the room').catch(() => {
    throw new Error(`left of the room ${forgets / 1000} s after its end: ${found.join(', ')}`);
  });
  say(`nothing is left of the room ${((Date.now() - left) / 1000).toFixed(1)} s after its end`);

  // What processes are like that never had a room: bounds for those that had one.
  const after = await Promise.all(victims.map(async (victim) => [victim, await victim.footprint()]));
  for (const [index, [victim, then]] of after.entries()) {
    await victim.kill('SIGTERM');
    await victim.start();
    const during = full[index][1];
    Object.assign(victim, { then, during });
  }
  await until(async () => (await health()) === nodeCount, 30_000, 'the orchestrator commands every node again');
  await sleep(2000);
  const problems = [];
  for (const victim of victims) {
    const fresh = await victim.footprint();
    const { then, during } = victim;
    say(
      `${victim.name}: goroutines ${during.goroutines} with the room, ${then.goroutines} after it, ${fresh.goroutines} in a new process; ` +
        `MiB ${during.resident.toFixed(0)}, ${then.resident.toFixed(0)}, ${fresh.resident.toFixed(0)}`,
    );
    if (then.goroutines > fresh.goroutines + 20) problems.push(`${victim.name} has ${then.goroutines} goroutines, a new one ${fresh.goroutines}`);
    if (then.resident > 2 * fresh.resident + 64) problems.push(`${victim.name} has ${then.resident.toFixed(0)} MiB, a new one ${fresh.resident.toFixed(0)}`);
  }
  if (problems.length > 0) throw new Error(problems.join('; '));
} catch (error) {
  failure = error;
} finally {
  for (const victim of victims) if (victim.frozen) victim.thaw();
  await Promise.all(browsers.map((browser) => browser.close().catch(() => {})));
  for (const victim of victims) victim.signal('SIGTERM');
  const late = await devnet?.stop();
  for (const victim of victims) if (running(victim.pid)) victim.signal('SIGKILL');
  if (late?.length) failure ??= new Error(`outlived their network: ${late.join(', ')}`);
}
if (failure) {
  console.error(`chaos: seed ${seed}: ${failure.stack}\nlogs in ${dir}`);
  process.exit(1);
}
say(`passed with seed ${seed}`);
process.exit(0);
