// Cuts what goes between sockets of this machine, silently, as a broken way does: routing rules (ip rule) send the packets
// of two ports into a device whose far end drops them. So that nobody else's packets are concerned, the program runs in a
// network namespace of its own, which has loopback alone. Needs root, `ip` (iproute2) and `unshare` (util-linux); no
// packet filter.

import { execFileSync, spawn, spawnSync } from 'node:child_process';

const inside = 'DRTC_E2E_OWN_NETWORK'; // set where the namespace is
const table = '66';
const before = '10'; // rules of cuts; those of local addresses follow at 100
const ip = (...words) => execFileSync('ip', words, { stdio: ['ignore', 'ignore', 'pipe'] });

/**
 * Runs this program again in a network namespace, and ends this process as that one ends. There it resolves to true, and
 * where there can be none to false.
 */
export async function enter() {
  if (process.env[inside]) {
    prepare();
    return true;
  }
  const able = process.getuid() === 0 && spawnSync('unshare', ['--net', 'ip', 'rule', 'add', 'pref', before, 'ipproto', 'udp', 'sport', '1', 'lookup', table]).status === 0;
  if (!able) return false;
  const child = spawn('unshare', ['--net', process.execPath, ...process.argv.slice(1)], { stdio: 'inherit', env: { ...process.env, [inside]: '1' } });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  process.exit(await new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1))));
}

function prepare() {
  ip('link', 'set', 'lo', 'up');
  ip('link', 'add', 'hole', 'type', 'veth', 'peer', 'name', 'pit');
  execFileSync('sysctl', ['-qw', 'net.ipv4.conf.hole.route_localnet=1']);
  ip('link', 'set', 'hole', 'arp', 'off', 'up');
  ip('link', 'set', 'pit', 'arp', 'off', 'up');
  // A browser gathers candidates on what is not loopback.
  ip('address', 'add', '198.18.0.1/24', 'dev', 'hole');
  ip('route', 'add', 'default', 'dev', 'hole');
  ip('route', 'add', '127.0.0.1/32', 'dev', 'hole', 'table', table);
  ip('rule', 'add', 'pref', '100', 'lookup', 'local');
  ip('rule', 'del', 'pref', '0');
}

/** Cuts UDP between pairs of ports, [[4000, 4001], ...], both ways; returns what heals it. */
export function cutUDP(pairs) {
  return cut(pairs.flatMap(([a, b]) => [['udp', 'sport', a, 'dport', b], ['udp', 'sport', b, 'dport', a]]));
}

/** Cuts TCP to and from the port of a server; returns what heals it. */
export function cutTCP(port) {
  return cut([['tcp', 'dport', port], ['tcp', 'sport', port]]);
}

function cut(selectors) {
  const rule = (verb) => selectors.forEach((words) => ip('rule', verb, 'pref', before, 'ipproto', ...words.map(String), 'lookup', table));
  rule('add');
  return () => rule('del');
}
