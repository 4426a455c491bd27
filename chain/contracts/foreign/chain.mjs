// Drives a devnet's chain with a tool that is not ours, foundry's cast: what people
// will use beside drtc works. Prints each step; exit 1 with the first that fails.
//
//	DRTC_BIN=path/to/drtc node foreign/chain.mjs
//
// Needs the npm package @foundry-rs/cast-linux-amd64.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const resolve = createRequire(import.meta.url).resolve;
const cast = join(dirname(resolve('@foundry-rs/cast-linux-amd64/package.json')), 'bin/cast');
const drtc = process.env.DRTC_BIN;
if (!drtc) throw new Error('DRTC_BIN: want the path of the drtc binary');

const keys = ['0x' + '11'.repeat(32), '0x' + '22'.repeat(32)];
const dir = mkdtempSync(join(tmpdir(), 'drtc-foreign-'));
let url;

function run(args) {
  return execFileSync(cast, args, { encoding: 'utf8', env: { ...process.env, ETH_RPC_URL: url }, stdio: 'pipe' }).trim();
}

function check(what, got, want) {
  if (got !== want) throw new Error(`${what}: got ${got}, want ${want}`);
  console.log(`ok  ${what}: ${got}`);
}

function refused(what, args, reason) {
  try {
    run(args);
  } catch (e) {
    if (!reason.test(e.stderr)) throw new Error(`${what}: refused with ${e.stderr}, want ${reason}`);
    console.log(`ok  ${what}: refused`);
    return;
  }
  throw new Error(`${what}: was not refused`);
}

async function story() {
  const [alice, bob] = keys.map((key) => run(['wallet', 'address', key]));
  const sign = ['--private-key', keys[0], '--json'];

  check('the chain id', run(['chain-id']), '72010');
  check('alice has ether of genesis', run(['balance', '--ether', alice]), '1000.000000000000000000');
  JSON.parse(run(['send', ...sign, bob, '--value', '2ether']));
  check('bob got some', run(['balance', '--ether', bob]), '2.000000000000000000');

  const artefact = JSON.parse(readFileSync(join(here, '../../deploy/artefacts/HUDL.json'), 'utf8'));
  const constructor = run(['abi-encode', 'f(address,(address,uint256)[])', bob, `[(${alice},5000)]`]);
  const made = JSON.parse(run(['send', ...sign, '--create', artefact.bytecode + constructor.slice(2)]));
  check('HUDL is deployed', Number(made.status), 1);
  const hudl = made.contractAddress;
  check('its supply', run(['call', hudl, 'totalSupply()(uint256)']), '5000');

  const moved = JSON.parse(run(['send', ...sign, hudl, 'transfer(address,uint256)', bob, '7']));
  check('bob has HUDL', run(['call', hudl, 'balanceOf(address)(uint256)', bob]), '7');
  const events = JSON.parse(run(['logs', '--json', '--address', hudl, '--from-block', moved.blockNumber, 'Transfer(address indexed,address indexed,uint256)']));
  check('the transfer is an event', events.length, 1);
  check('of this transaction', events[0].transactionHash, moved.transactionHash);
  check('the state before it can be asked for',
    run(['call', '--block', String(Number(moved.blockNumber) - 1), hudl, 'balanceOf(address)(uint256)', bob]), '0');

  refused('more than bob has', ['send', '--private-key', keys[1], hudl, 'transfer(address,uint256)', alice, '8'],
    /ERC20InsufficientBalance|e450d38c/);
  refused('what administers', ['rpc', 'admin_nodeInfo'], /does not exist/);
  refused('what debugs', ['rpc', 'debug_setHead', '"0x0"'], /does not exist/);
}

const config = join(dir, 'chain.toml');
const address = execFileSync(cast, ['wallet', 'address', keys[0]], { encoding: 'utf8' }).trim();
writeFileSync(config, `dir = ${JSON.stringify(join(dir, 'state'))}\nlisten = "127.0.0.1:0"\n[[funded]]\naddress = "${address}"\nether = 1000\n`);
const ready = join(dir, 'ready.json');
const chain = spawn(drtc, ['chain', 'run', '--config', config, '--ready-file', ready, '--log-level', 'warn'], { stdio: 'inherit' });
const ended = new Promise((done) => chain.once('exit', done));
try {
  for (let i = 0; !existsSync(ready); i++) {
    if (i > 600 || chain.exitCode !== null) throw new Error('the chain is not ready');
    await sleep(50);
  }
  url = JSON.parse(readFileSync(ready, 'utf8')).url;
  await story();
} catch (e) {
  console.error(e.message);
  process.exitCode = 1;
} finally {
  chain.kill('SIGTERM');
  await ended;
  rmSync(dir, { recursive: true });
}
