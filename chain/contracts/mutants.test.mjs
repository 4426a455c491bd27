// What holds the lists that tests are made from: node --test
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

const read = (name) => readFileSync(new URL(name, import.meta.url), 'utf8');
const { suites, mutants } = JSON.parse(read('mutants.json'));

test('every mutant still finds its place, and says why it must be caught', () => {
  for (const { in: file, find, put, why } of mutants) {
    assert.equal(read(`src/${file}`).split(find).length - 1, 1, `${file}: how often it has ${JSON.stringify(find)}`);
    assert.notEqual(find, put, `${file}: a mutant that changes nothing`);
    assert.ok(why, `${file}: ${find}`);
    assert.ok(suites[file], `${file} has suites`);
  }
});

test('every contract has mutants', () => {
  const mutated = new Set(mutants.map((m) => m.in));
  // Of these two there is no code of ours.
  const none = ['Foreign.sol', 'Vesting.sol'];
  for (const file of readdirSync(new URL('src', import.meta.url)).filter((f) => f.endsWith('.sol') && !none.includes(f))) {
    assert.ok(mutated.has(file), file);
  }
});

test('every restricted function is refused to strangers in test/Access.t.sol', () => {
  const want = {};
  for (const file of readdirSync(new URL('src', import.meta.url)).filter((f) => f.endsWith('.sol'))) {
    for (const [, name] of read(`src/${file}`).matchAll(/function (\w+)\([^)]*\)[^{;]*\brestricted\b/g)) {
      want[name] = (want[name] ?? 0) + 1;
    }
  }
  assert.ok(want.pause > 1 && want.distribute === 1, 'restricted functions are not found');
  const refused = read('test/Access.t.sol');
  const got = {};
  for (const [, name] of refused.matchAll(/encodeCall\(\w+\.(\w+), \(/g)) if (want[name]) got[name] = (got[name] ?? 0) + 1;
  got._authorizeUpgrade = Number(refused.match(/address\[(\d+)\] memory all/)[1]);
  assert.deepEqual(Object.entries(got).sort(), Object.entries(want).sort());
});
