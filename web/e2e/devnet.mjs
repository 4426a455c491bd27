// The network under test: `drtc devnet` as a child process, and tokens for it.

import { execFileSync, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const startLimit = 60_000;
const stopLimit = 15_000;

/** Starts the network, with more flags where given, and waits until it wrote its ready file. */
export async function startDevnet(binary, dir, flags = []) {
  const readyFile = join(dir, 'ready.json');
  const logFile = join(dir, 'devnet.log');
  const data = join(dir, 'devnet');
  mkdirSync(data, { recursive: true });
  rmSync(readyFile, { force: true }); // of an earlier run in the same folder
  const log = openSync(logFile, 'w');
  const child = spawn(binary, ['devnet', '--listen', '127.0.0.1:0', '--ready-file', readyFile, '--dir', data, ...flags], {
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  let ended;
  const exit = new Promise((resolve) => {
    child.once('error', (error) => resolve((ended = error.message)));
    child.once('exit', (code, signal) => resolve((ended = `exit ${code ?? signal}`)));
  });

  const deadline = Date.now() + startLimit;
  let ready;
  while (!ready && !ended && Date.now() < deadline) {
    await sleep(100);
    ready = readReady(readyFile);
  }
  if (!ready) {
    child.kill('SIGKILL');
    const tail = readFileSync(logFile, 'utf8').split('\n').slice(-30).join('\n');
    throw new Error(`the network did not start (${ended ?? `no ready file after ${startLimit / 1000} s`}), log ${logFile}:\n${tail}`);
  }

  const revived = new Map(); // name -> process
  /**
   * Starts a Media Node or an Orchestrator that was killed again, with the configuration that it had; the index is that of
   * ready.nodes or ready.orchestrators, where what it says of itself now replaces what it said before.
   */
  async function revive(role, index) {
    const name = role === 'orchestrator' && index === 0 ? role : `${role}-${index + 1}`;
    const said = join(data, name, 'ready.json');
    rmSync(said, { force: true });
    const list = role === 'orchestrator' ? ready.orchestrators : ready.nodes;
    const more = role === 'orchestrator' ? ['--dev-tokens', '--listen', new URL(list[index].url).host] : [];
    const out = openSync(join(dir, `${name}.log`), 'a');
    const again = spawn(binary, [role, '--config', join(data, name, 'config.toml'), '--ready-file', said, ...more], {
      stdio: ['ignore', out, out],
      env: { ...process.env, DRTC_API_KEY: ready.api_key, DRTC_API_SECRET: ready.api_secret, DRTC_STATE_TOKEN: ready.state_token ?? '' },
    });
    closeSync(out);
    revived.set(name, again);
    for (const limit = Date.now() + startLimit; Date.now() < limit && again.exitCode === null; await sleep(20)) {
      const words = readReady(said);
      if (words) return (list[index] = { ...list[index], ...words });
    }
    throw new Error(`${name} did not start again, log ${join(dir, `${name}.log`)}`);
  }
  /** Starts Media Nodes again with another configuration: `changes` maps an index of ready.nodes to a function of the old text. */
  async function reconfigure(changes) {
    const count = ready.nodes.length;
    await Promise.all(
      Object.entries(changes).map(async ([index, change]) => {
        const config = join(data, `medianode-${Number(index) + 1}`, 'config.toml');
        writeFileSync(config, change(readFileSync(config, 'utf8')));
        const { pid } = ready.nodes[index];
        process.kill(pid, 'SIGTERM');
        while (alive(pid)) await sleep(20);
        await revive('medianode', Number(index));
      }),
    );
    const up = async () => (await (await fetch(`${ready.url}/healthz`)).json()).nodes_up;
    for (const limit = Date.now() + startLimit; (await up()) < count; await sleep(50)) {
      if (Date.now() > limit) throw new Error(`the Orchestrator commands ${await up()} of ${count} nodes, log ${logFile}`);
    }
  }
  const killRevived = () => [...revived.values()].forEach((one) => one.kill('SIGKILL'));
  process.on('exit', killRevived);

  /** Interrupts it as Ctrl-C does; resolves to the names of processes that outlived it. */
  let stopping;
  const stop = () =>
    (stopping ??= (async () => {
      const running = [...revived.values()].filter((one) => one.exitCode === null && one.signalCode === null);
      const gone = Promise.all(running.map((one) => new Promise((resolve) => one.once('exit', resolve))));
      running.forEach((one) => one.kill('SIGTERM'));
      await Promise.race([gone, sleep(stopLimit / 2)]); // while what they need is there
      if (!ended) child.kill('SIGINT');
      const late = await Promise.race([exit.then(() => false), sleep(stopLimit, true)]);
      const left = late ? [`drtc devnet (${child.pid})`] : [];
      if (late) child.kill('SIGKILL');
      const roles = [...ready.nodes, ...ready.orchestrators, ready.store].filter((role) => role?.pid);
      const deadline = Date.now() + 2000;
      while (roles.some((role) => alive(role.pid)) && Date.now() < deadline) await sleep(50);
      for (const role of roles) {
        if (!alive(role.pid)) continue;
        left.push(`${role.id ?? 'store'} (${role.pid})`);
        process.kill(role.pid, 'SIGKILL');
      }
      process.off('exit', killRevived);
      return left;
    })());
  return { ready, readyFile, logFile, stop, revive, reconfigure, data };
}

/** What the nodes of a network count: the sum of a metric over all that run. */
export async function nodeMetric(ready, name) {
  const line = new RegExp(`^drtc_medianode_${name} (.+)$`, 'm');
  const values = await Promise.all(
    ready.nodes.map(async (node) => {
      // A test may have killed or frozen it.
      const reply = await fetch(node.metrics, { signal: AbortSignal.timeout(2000) }).catch(() => undefined);
      return reply ? Number(line.exec(await reply.text())?.[1] ?? NaN) : 0;
    }),
  );
  return values.reduce((sum, value) => sum + value, 0);
}

/** The network that run.mjs started. */
export function currentDevnet() {
  const file = process.env.DRTC_E2E_READY;
  const ready = file && readReady(file);
  if (!ready) throw new Error('no running network: start this test through run.mjs');
  const signalUrl = (ready.signal_url ?? ready.url).replace(/^http/, 'ws');
  return {
    ...ready,
    signalUrl,
    /** UDP ports of the Media Nodes. */
    ports: ready.nodes.map((node) => Number(String(node.udp).split(':').at(-1))),
    token: (identity, room, more = {}) => signToken(ready, { identity, room, ...more }),
  };
}

/** A signed access token; `video` overrides grants, `claims` overrides the rest, `secret` and `key` who signs. */
export function signToken(ready, { identity, room, name, video = {}, claims = {}, key, secret }) {
  const now = Math.floor(Date.now() / 1000);
  const body = {
    iss: key ?? ready.api_key,
    sub: identity,
    name: name ?? identity,
    nbf: now - 10,
    exp: now + 3600,
    video: { roomJoin: true, room, ...video },
    ...claims,
  };
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(body)}`;
  return `${signed}.${createHmac('sha256', secret ?? ready.api_secret).update(signed).digest('base64url')}`;
}

/** A token as a person makes one: `drtc token create`. */
export function commandToken(ready, identity, room) {
  const printed = execFileSync(
    process.env.DRTC_BIN,
    ['token', 'create', '--identity', identity, '--room', room, '--api-key', ready.api_key, '--api-secret', ready.api_secret],
    { encoding: 'utf8' },
  );
  const token = /eyJ[\w-]+\.[\w-]+\.[\w-]+/.exec(printed)?.[0];
  if (!token) throw new Error(`"drtc token create" printed no token: ${JSON.stringify(printed)}`);
  return token;
}

function readReady(file) {
  if (!existsSync(file)) return undefined;
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined; // being written
  }
}

function alive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
