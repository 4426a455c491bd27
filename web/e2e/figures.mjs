// What the tests measured: one JSON line each, gathered by run.mjs.

import { appendFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const name = 'figures.jsonl';

/** `bar` is what the test demands, in words, or nothing. */
export function record(what, value, bar = '') {
  const dir = process.env.DRTC_E2E_DIR;
  if (dir) appendFileSync(join(dir, name), `${JSON.stringify({ what, value, bar })}\n`);
}

export function readFigures(dir) {
  const file = join(dir, name);
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8').trim().split('\n').map((line) => JSON.parse(line));
}

/** Drops what an earlier run in the same folder left. */
export function forgetFigures(dir) {
  rmSync(join(dir, name), { force: true });
}

export function table(figures) {
  const rows = figures.map(({ what, value, bar }) => [what, Array.isArray(value) ? value.join(' ') : String(value), bar]);
  const width = Math.max(0, ...rows.map(([what]) => what.length));
  return rows.map(([what, value, bar]) => `  ${what.padEnd(width)}  ${value.slice(0, 110)}${bar ? `  (${bar})` : ''}`).join('\n');
}
