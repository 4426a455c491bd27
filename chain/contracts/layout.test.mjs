// What the check of storage layouts refuses, with layouts of the compiler itself: node --test
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { layout, moved, namespace } from './layout.mjs';

const solc = createRequire(import.meta.url)('solc');

const before = {
  members: 'uint64 a; uint128 b; mapping(address => Entry) entries; Entry last; Point[4] points;',
  entry: 'uint128 dc; uint64 first; uint64 end;',
  point: 'uint64 time; uint192 sum;',
};

// Layout of a contract whose namespaced struct has these members.
function compiled(change = {}) {
  const { members, entry, point, name = 'drtc.storage.Thing' } = { ...before, ...change };
  const content = `// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;
contract Thing {
  struct Entry { ${entry} }
  struct Point { ${point} }
  /// @custom:storage-location erc7201:${name}
  struct Store { ${members} }
}
contract ThingLayout { Thing.Store internal store; }`;
  const input = {
    language: 'Solidity',
    sources: { 'Thing.sol': { content } },
    settings: { outputSelection: { '*': { ThingLayout: ['storageLayout'] } } },
  };
  const out = JSON.parse(solc.compile(JSON.stringify(input)));
  assert.deepEqual(out.errors ?? [], []);
  return { namespace: namespace(content), ...layout(out.contracts['Thing.sol'].ThingLayout) };
}

const refused = [
  ['two fields that changed places', { members: before.members.replace('uint64 a; uint128 b;', 'uint128 b; uint64 a;') }, 'a of t_struct(Store)_storage'],
  ['a field put in front', { members: 'bool paused; ' + before.members }, 'a of t_struct(Store)_storage'],
  ['a field that is gone', { members: before.members.replace('Point[4] points;', '') }, 'points of t_struct(Store)_storage'],
  ['a field of another type', { members: before.members.replace('uint128 b', 'int128 b') }, 'b of t_struct(Store)_storage'],
  ['a field of a mapped struct that moved', { entry: 'uint64 first; uint64 end; uint128 dc;' }, 'dc of t_struct(Entry)_storage'],
  ['a struct that grew before another field', { entry: before.entry + ' uint256 more;' }, 'points of t_struct(Store)_storage'],
  ['elements of an array that grew', { point: before.point + ' uint256 more;' }, 'elements after the first of t_struct(Point)_storage'],
  ['another namespace', { name: 'drtc.storage.Other' }, 'namespace drtc.storage.Thing'],
];

for (const [name, change, want] of refused) {
  test(`refuses ${name}`, () => {
    const got = moved(compiled(), compiled(change));
    assert.ok(got.includes(want), `got ${JSON.stringify(got)}, want among them ${want}`);
  });
}

test('accepts the same, and a field at the end', () => {
  assert.deepEqual(moved(compiled(), compiled()), []);
  assert.deepEqual(moved(compiled(), compiled({ members: before.members + ' uint256 more;' })), []);
});

test('looks into the namespaces of this tree', () => {
  for (const name of ['DataCredits', 'Parameters', 'PriceOracle', 'ProofOfResource', 'Rewards']) {
    const committed = JSON.parse(readFileSync(new URL(`layouts/${name}.json`, import.meta.url), 'utf8'));
    assert.equal(committed.namespace, `drtc.storage.${name}`);
    assert.ok(committed.types['t_struct(Store)_storage'].length > 0, `${name} has an empty Store`);
  }
});
