// Compiles contracts.sol into contracts.json:
//   npm install --prefix /tmp/contracts solc@0.8.37 @openzeppelin/contracts@5.7.0
//   NODE_PATH=/tmp/contracts/node_modules node compile.mjs
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";

const folder = process.env.NODE_PATH;
const solc = createRequire(`${folder}/`)("solc");
const source = readFileSync(new URL("contracts.sol", import.meta.url), "utf8");
const input = {
  language: "Solidity",
  sources: { "contracts.sol": { content: source } },
  settings: {
    evmVersion: "cancun",
    optimizer: { enabled: true, runs: 200 },
    metadata: { appendCBOR: false },
    outputSelection: { "contracts.sol": { "*": ["abi", "evm.bytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input), { import: (path) => ({ contents: readFileSync(`${folder}/${path}`, "utf8") }) }));
const errors = (output.errors ?? []).filter((e) => e.severity === "error");
if (errors.length > 0) throw new Error(errors.map((e) => e.formattedMessage).join("\n"));
const contracts = {};
for (const [name, c] of Object.entries(output.contracts["contracts.sol"])) {
  const abi = c.abi.filter((f) => f.type === "constructor" || f.name === "mint"); // what the tests call
  contracts[name] = { abi: JSON.stringify(abi), bytecode: c.evm.bytecode.object };
}
writeFileSync(new URL("contracts.json", import.meta.url), JSON.stringify({ compiler: solc.version(), contracts }, null, 1) + "\n");
