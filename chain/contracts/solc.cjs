#!/usr/bin/env node
// Gives npm's solc (WebAssembly) the command line that forge expects of a
// native compiler: --version, or standard JSON from stdin to stdout.
const fs = require('node:fs');
const solc = require('solc');

if (process.argv.includes('--version')) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
} else {
  // forge sends every source in the input, so an import that is not there is an error.
  const missing = (path) => ({ error: `${path} is not part of the input` });
  fs.writeFileSync(1, solc.compile(fs.readFileSync(0, 'utf8'), { import: missing }));
}
