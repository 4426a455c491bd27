// Tries whether the tests notice when a contract is made worse: applies every mutant of mutants.json, one at a time,
// to a copy of the contracts in a scratch folder, and runs the suites that should fail.
//
//	node mutate.mjs [WORD ...]   only mutants whose file, code or reason contains one of the words
//
// A mutant is an edit of one place: `find` occurs once in `in` and becomes `put`, `why` says what it would cost whom.
// The suites of its contract run; those of invariants only if no other fails, because they take a minute.
// A mutant that no suite notices has survived: a test is missing. One with `equivalent` changes nothing that anybody
// could notice, the text says why; it is tried all the same, and must survive. Ends with 1 if a mutant does not do
// what it should, does not compile, or is not found.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const { suites, mutants } = JSON.parse(readFileSync(join(here, 'mutants.json'), 'utf8'));
const words = process.argv.slice(2);
const chosen = mutants.filter((m) => words.length === 0 || words.some((w) => JSON.stringify(m).includes(w)));

const scratch = mkdtempSync(join(tmpdir(), 'mutants-'));
const root = join(scratch, 'chain/contracts');
let wrong = 0;
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

copy();
baseline();
const start = Date.now();
for (const mutant of chosen) {
  report(mutant, attempt(mutant));
  // Signals are seen between mutants.
  await new Promise((resolve) => setImmediate(resolve));
}
const minutes = ((Date.now() - start) / 60_000).toFixed(0);
console.log(`${chosen.length} mutants in ${minutes} minutes, ${wrong} of them not as they should be`);
process.exit(wrong === 0 ? 0 : 1);

// Tests read vectors by their path in the tree. A mutant may leave a variable unused, so that warnings do not count
// here; nor does size, for which ProofOfResource is compiled in a way that takes several times as long.
function copy() {
  mkdirSync(root, { recursive: true });
  for (const name of ['src', 'test', 'solc.cjs']) cpSync(join(here, name), join(root, name), { recursive: true });
  cpSync(join(here, '../../spec/vectors'), join(scratch, 'spec/vectors'), { recursive: true });
  symlinkSync(join(here, 'node_modules'), join(root, 'node_modules'));
  const config = readFileSync(join(here, 'foundry.toml'), 'utf8')
    .replace('deny = "warnings"', 'deny = "never"')
    .replace(/^\[\[profile\.default\.(additional_compiler_profiles|compilation_restrictions)\]\]\n(\w.*\n)*/gm, '');
  writeFileSync(join(root, 'foundry.toml'), config);
}

// Tests are compiled against interfaces alone, so that a change of a contract compiles that one anew and no test.
function test(names) {
  return spawnSync(
    'node_modules/.bin/forge',
    ['test', '--dynamic-test-linking', '--fail-fast', '--match-path', `test/{${names.join(',')},nothing}.t.sol`],
    { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 },
  );
}

// Without this a suite that fails anyway would kill every mutant.
function baseline() {
  const result = test([...new Set(chosen.flatMap((m) => suitesOf(m).flat()))]);
  if (result.status === 0) return;
  console.error(result.stdout + result.stderr);
  throw new Error('the suites fail without a mutant');
}

// Two lists: what runs first, and what runs if that does not fail.
function suitesOf(mutant) {
  const names = suites[mutant.in];
  if (!names) throw new Error(`mutants.json has no suites for ${mutant.in}`);
  const isInvariant = (name) => name.startsWith('invariant/');
  return [names.filter((name) => !isInvariant(name)), names.filter(isInvariant)].filter((l) => l.length > 0);
}

// What becomes of a mutant: the test that kills it, '' if none does, or an error.
function attempt(mutant) {
  const file = join(root, 'src', mutant.in);
  const source = readFileSync(file, 'utf8');
  const found = source.split(mutant.find).length - 1;
  if (found !== 1) return { error: `found ${found} times` };
  writeFileSync(file, source.replace(mutant.find, () => mutant.put));
  try {
    for (const names of suitesOf(mutant)) {
      const { status, stdout, stderr } = test(names);
      if (status === 0) continue;
      const failed = stdout.match(/^\[FAIL[^\n]*\] (\w+)\(/m) ?? stdout.match(/^ (invariant_\w+)\(/m);
      if (failed) return { killer: failed[1] };
      return { error: stdout.slice(-2000) + stderr.slice(-2000) };
    }
    return { killer: '' };
  } finally {
    writeFileSync(file, source);
  }
}

function report(mutant, { error, killer }) {
  let what = killer ? 'killed  ' : 'SURVIVED';
  if (error) what = 'BROKEN  ';
  else if (mutant.equivalent) what = killer ? 'NOT EQUIVALENT' : 'equal   ';
  if (error || !killer !== !!mutant.equivalent) wrong++;
  console.log(`${what} ${mutant.in}: ${mutant.why}${killer ? `\n         by ${killer}` : ''}${error ? '\n' + error : ''}`);
}
