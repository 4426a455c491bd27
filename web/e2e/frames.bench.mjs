// What a browser's frames become in a Media Node: one headless Chromium publishes by WHIP, subscribers of `drtc loadtest`
// play it, and the node's own counters say how many datagrams shared a message, what a packet cost and how long it stayed.
// Once for each way to hold and pad frames, by turns. Run by hand; prints a table in markdown.
//
//   node web/e2e/frames.bench.mjs [--seconds 15] [--rounds 1] [--subscribers 50] [--kbps 1000] [--only part of a name]
//
// DRTC_BIN, DRTC_CHROMIUM   as for run.mjs
// DRTC_E2E_DIR              keeps logs there (default a temporary folder that is removed)

import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { cpus, setPriority, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs, promisify } from 'node:util';
import { openBrowser } from './browser.mjs';
import { signToken, startDevnet } from './devnet.mjs';

const { values: flags } = parseArgs({
  options: {
    seconds: { type: 'string', default: '15' },
    rounds: { type: 'string', default: '1' },
    subscribers: { type: 'string', default: '50' },
    kbps: { type: 'string', default: '1000' },
    only: { type: 'string', default: '' },
  },
});
const [seconds, rounds, subscribers, kbps] = [flags.seconds, flags.rounds, flags.subscribers, flags.kbps].map(Number);
const picture = { width: 1280, height: 720, fps: 30 };
const settle = 8; // seconds: the publisher's estimate of its bandwidth has to grow to the bitrate
const ticks = 100; // of CPU time in a second, in /proc
let preferred = false;
const binary = resolve(process.env.DRTC_BIN ?? 'bin/drtc');
const variants = [
  ['hold 1 ms, padded (default)', []],
  ['no hold, padded', ['--frame-hold', '0s']],
  ['hold 1 ms, not padded', ['--pad-frames=false']],
  ['no hold, not padded', ['--frame-hold', '0s', '--pad-frames=false']],
  ['portable sockets', ['--portable']],
].filter(([name]) => name.includes(flags.only));

/** Runs in the page: publishes a canvas in which much moves. */
async function publish([endpoint, token, { width, height, fps }, bitrate]) {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const context = canvas.getContext('2d');
  const scene = Object.assign(document.createElement('canvas'), { width: 2 * width, height });
  const paint = scene.getContext('2d');
  for (let n = 0; n < 3000; n++) {
    paint.fillStyle = `hsl(${Math.random() * 360} 50% ${20 + Math.random() * 60}%)`;
    paint.fillRect(Math.random() * 2 * width, Math.random() * height, 10 + Math.random() * 90, 10 + Math.random() * 90);
  }
  let turn = 0;
  setInterval(() => {
    turn++;
    context.drawImage(scene, -((turn * 3) % width), 0);
    for (let n = 0; n < 8; n++) {
      context.fillStyle = `hsl(${(turn * 7 + n * 45) % 360} 80% 50%)`;
      context.fillRect(((turn * (n + 3) * 2) % (width + 100)) - 100, 80 * n, 100, 60);
    }
  }, 1000 / fps);
  const [track] = canvas.captureStream(fps).getVideoTracks();
  const pc = new RTCPeerConnection();
  const transceiver = pc.addTransceiver(track, { direction: 'sendonly', sendEncodings: [{ maxBitrate: bitrate, maxFramerate: fps }] });
  const { codecs } = RTCRtpSender.getCapabilities('video');
  transceiver.setCodecPreferences(codecs.filter((codec) => /VP8|rtx/i.test(codec.mimeType)));
  // Else a busy machine makes the picture smaller.
  await transceiver.sender.setParameters({ ...transceiver.sender.getParameters(), degradationPreference: 'maintain-resolution' });
  await pc.setLocalDescription();
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { 'Content-Type': 'application/sdp', Authorization: `Bearer ${token}` },
    body: pc.localDescription.sdp,
  });
  const answer = await response.text();
  if (response.status !== 201) throw new Error(`${response.status} ${answer}`);
  await pc.setRemoteDescription({ type: 'answer', sdp: answer });
  globalThis.outbound = async () => {
    for (const entry of (await pc.getStats()).values()) if (entry.type === 'outbound-rtp') return entry;
    throw new Error('nothing is sent');
  };
}

/** The node's metrics by name, histograms' buckets under their bound. */
async function metrics(node) {
  const text = await (await fetch(node.metrics)).text();
  const all = {};
  for (const [, name, bound, value] of text.matchAll(/^drtc_medianode_(\w+?)(?:\{le="(.+?)"\})? (\S+)$/gm)) {
    if (bound) (all[name] ??= []).push([Number(bound.replace('+Inf', 'Infinity')), Number(value)]);
    else all[name] = Number(value);
  }
  return all;
}

/** CPU seconds that a process has used, { user, system }. */
function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
  return { user: fields[11] / ticks, system: fields[12] / ticks };
}

/** Puts a process before the clients that share its processors here, which is root's to do; reports whether it could. */
function prefer(pid) {
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) setPriority(Number(thread), -10);
    return true;
  } catch {
    return false;
  }
}

/** A quantile of what came between two readings of a histogram, even within a bucket. */
function quantile(before, after, q) {
  const counts = after.map(([bound, count], index) => [bound, count - before[index][1]]);
  const rank = q * counts.at(-1)[1];
  const index = counts.findIndex(([, count]) => count >= rank);
  const [low, below] = index > 0 ? counts[index - 1] : [0, 0];
  const [high, count] = counts[index];
  return Number.isFinite(high) ? low + ((high - low) * (rank - below)) / (count - below) : low;
}

/** One network, one publisher, one window. */
async function measure(more, dir) {
  const devnet = await startDevnet(binary, dir, ['--nodes', '1', '--workers', '1', ...more]);
  let browser;
  try {
    const { ready } = devnet;
    const [node] = ready.nodes;
    const room = 'frames';
    browser = await openBrowser();
    const page = (await browser.client('frames-publisher')).page;
    await page.evaluate(publish, [`${ready.url}/whip/${room}/cam`, signToken(ready, { identity: 'cam', room }), picture, kbps * 1000]);
    const bots = promisify(execFile)(
      binary,
      // prettier-ignore
      ['loadtest', 'run', '--url', ready.url, '--room', room, '--play', 'cam', '--subscribers', String(subscribers),
        '--warm', `${settle}s`, '--duration', `${seconds + 1}s`, '--json'],
      { env: { ...process.env, DRTC_API_KEY: ready.api_key, DRTC_API_SECRET: ready.api_secret } },
    );
    bots.catch(() => {}); // it is awaited below
    for (let waited = 0; (await metrics(node)).peers < subscribers + 1; waited++) {
      if (waited > 200) throw new Error('not all subscribers joined within 20 s');
      await sleep(100);
    }
    await sleep((settle + 1) * 1000);
    preferred = prefer(node.pid);
    const read = async () => [await metrics(node), await page.evaluate(() => globalThis.outbound()), performance.now()];
    const [before, sentBefore, begun] = await read();
    const cpuBefore = cpuSeconds(node.pid);
    await sleep(seconds * 1000);
    const cpu = cpuSeconds(node.pid);
    const [after, sent, ended] = await read();
    const result = JSON.parse((await bots).stdout);
    const grown = (name) => after[name] - before[name];
    const published = (name) => sent[name] - sentBefore[name];
    const control = grown('egress_segments_total') - grown('media_packets_forwarded_total');
    const elapsed = (ended - begun) / 1000;
    const delays = 'forward_delay_seconds_bucket';
    const sizes = 'egress_segments_per_message_bucket';
    return {
      picture: `${sent.frameWidth}x${sent.frameHeight}`,
      fps: published('framesSent') / elapsed,
      kbps: (8 * published('bytesSent')) / elapsed / 1000,
      packetsPerFrame: published('packetsSent') / published('framesSent'),
      forwarded: grown('media_packets_forwarded_total') / elapsed,
      received: grown('packets_received_total') / elapsed,
      segmentsPerMessage: grown('egress_segments_total') / grown('egress_messages_total'),
      // Control goes in messages of its own, as packets that are sent again do.
      mediaPerMessage: grown('media_packets_forwarded_total') / (grown('egress_messages_total') - control),
      sizes: after[sizes].map(([bound, count], index) => [bound, count - before[sizes][index][1]]),
      user: (1e6 * (cpu.user - cpuBefore.user)) / grown('media_packets_forwarded_total'),
      system: (1e6 * (cpu.system - cpuBefore.system)) / grown('media_packets_forwarded_total'),
      mean: (1000 * grown('forward_delay_seconds_sum')) / grown('forward_delay_seconds_count'),
      p50: 1000 * quantile(before[delays], after[delays], 0.5),
      p99: 1000 * quantile(before[delays], after[delays], 0.99),
      loss: result.loss_percent,
      joined: result.subscribers_joined,
    };
  } finally {
    await browser?.close();
    await devnet.stop();
  }
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2;
}

const keep = process.env.DRTC_E2E_DIR;
const results = new Map(variants.map(([name]) => [name, []]));
for (let round = 0; round < rounds; round++) {
  for (const [name, more] of variants) {
    const dir = keep ? join(keep, name.replaceAll(/\W+/g, '-')) : mkdtempSync(join(tmpdir(), 'drtc-frames-'));
    mkdirSync(dir, { recursive: true });
    process.env.DRTC_E2E_DIR = dir; // for the log of the page
    const result = await measure(more, dir);
    results.get(name).push(result);
    console.error(`${name}: ${JSON.stringify(result)}`);
    if (!keep) rmSync(dir, { recursive: true });
  }
}

console.log(`\n${cpus().length} x ${cpus()[0].model}; Chromium, VP8 of ${picture.width}x${picture.height} at ${picture.fps} fps and ${kbps} kbit/s; ${subscribers} subscribers; windows of ${seconds} s, medians of ${rounds}; the node ${preferred ? 'goes before' : 'has the priority of'} its clients\n`);
console.log('| node | packets in a frame | frames/s, kbit/s | sent, received a second | segments per message, of media alone | CPU per packet: user, system | delay in the node: mean, p50, p99 | loss |');
console.log('|---|---|---|---|---|---|---|---|');
for (const [name, all] of results) {
  const of = (figure, digits) => median(all.map((one) => one[figure])).toFixed(digits);
  console.log(
    `| ${name} | ${of('packetsPerFrame', 2)} | ${of('fps', 1)}, ${of('kbps', 0)} | ${of('forwarded', 0)}, ${of('received', 0)} | ${of('segmentsPerMessage', 2)}, ${of('mediaPerMessage', 2)} | ` +
      `${of('user', 2)}, ${of('system', 2)} us | ${of('mean', 2)}, ${of('p50', 2)}, ${of('p99', 2)} ms | ${of('loss', 3)} % |`,
  );
}
