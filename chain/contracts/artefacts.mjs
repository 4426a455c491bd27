// Turns what forge compiled into the files that the rest of the tree uses:
//
//	node artefacts.mjs write DIR   artefacts/NAME.json (abi, bytecode) below DIR/deploy,
//	                               layouts/NAME.json below DIR/contracts; refuses a storage layout under which a
//	                               deployed contract would read its old storage wrong
//	node artefacts.mjs combined    abi of every contract in one document, for abigen
//	node artefacts.mjs separate    abigen's output, from stdin, with names of results that do not collide
//
// A contract is what a file of its own name in src/ defines; src/Foreign.sol names those of libraries.
// New contracts have no layout yet; after a change that no deployment has seen, remove the old file first.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));

function contracts() {
  const own = readdirSync(join(here, 'src'))
    .filter((f) => f.endsWith('.sol') && f !== 'Foreign.sol')
    .map((f) => f.slice(0, -4));
  const imports = readFileSync(join(here, 'src/Foreign.sol'), 'utf8').matchAll(/^import \{(\w+)\}/gm);
  const foreign = [...imports].map((m) => m[1]);
  return [...own, ...foreign].sort();
}

function compiled(name) {
  return JSON.parse(readFileSync(join(here, `out/${name}.sol/${name}.json`), 'utf8'));
}

// The compiler numbers types by their place in the source tree, which says nothing about storage.
function plain(type) {
  return type.replace(/\)\d+/g, ')');
}

function layout({ storageLayout }) {
  const entry = ({ label, slot, offset, type }) => ({ label, slot, offset, type: plain(type) });
  const types = {};
  for (const [name, type] of Object.entries(storageLayout.types ?? {})) {
    if (type.members) types[plain(name)] = type.members.map(entry);
  }
  return { storage: storageLayout.storage.map(entry), types };
}

// What stood somewhere must stand there still; more may follow.
function moved(before, now) {
  const lists = [['storage', before.storage, now.storage]];
  for (const [name, members] of Object.entries(before.types)) {
    if (now.types[name]) lists.push([name, members, now.types[name]]);
  }
  return lists.flatMap(([where, old, fresh]) =>
    old
      .filter((a, i) => !fresh[i] || ['slot', 'offset', 'type'].some((key) => a[key] !== fresh[i][key]))
      .map((a) => `${a.label} of ${where}`),
  );
}

function write(root) {
  const artefacts = join(root, 'deploy/artefacts');
  const layouts = join(root, 'contracts/layouts');
  for (const dir of [artefacts, layouts]) mkdirSync(dir, { recursive: true });
  const wrong = [];
  for (const name of contracts()) {
    const c = compiled(name);
    const abi = c.abi.map((item) => '  ' + JSON.stringify(item)).join(',\n');
    writeFileSync(join(artefacts, `${name}.json`), `{"abi": [\n${abi}\n], "bytecode": "${c.bytecode.object}"}\n`);
    const now = layout(c);
    if (now.storage.length === 0) continue;
    const committed = join(here, 'layouts', `${name}.json`);
    if (existsSync(committed)) {
      for (const what of moved(JSON.parse(readFileSync(committed, 'utf8')), now)) wrong.push(`${name}: ${what}`);
    }
    writeFileSync(join(layouts, `${name}.json`), JSON.stringify(now, null, 1) + '\n');
  }
  if (wrong.length > 0) {
    console.error('a deployed contract would find these somewhere else:\n  ' + wrong.join('\n  '));
    process.exit(1);
  }
}

function combined() {
  const all = contracts().map((name) => [`${name}.sol:${name}`, { abi: compiled(name).abi, bin: '', hashes: {} }]);
  console.log(JSON.stringify({ contracts: Object.fromEntries(all), version: '' }));
}

// abigen names the results of a method after the method alone, and two contracts may have one of the same name.
function separate() {
  const [head, ...parts] = readFileSync(0, 'utf8').split(/^(?=\/\/ \w+MetaData contains)/m);
  const renamed = parts.map((part) => {
    const contract = part.match(/^\/\/ (\w+)MetaData/)[1];
    const results = [...part.matchAll(/^type (\w+Output) struct/gm)].map((m) => m[1]);
    return results.reduce((text, name) => text.replace(new RegExp(`\\b${name}\\b`, 'g'), contract + name), part);
  });
  process.stdout.write([head, ...renamed].join(''));
}

const [command, root] = process.argv.slice(2);
if (command === 'write' && root) write(root);
else if (command === 'combined') combined();
else if (command === 'separate') separate();
else {
  console.error('usage: node artefacts.mjs write DIR | combined | separate');
  process.exit(2);
}
