// Package deploy puts the contracts on a chain (whitepaper section 5.4), once, at
// addresses that are known beforehand.
//
// The contract in one sentence: the deployer's account does nothing else, so its
// nonce is the number of the step, and no step can be done twice or elsewhere.
//
//	nonce    0               1 ...           n             n+1 ...
//	step     AccessManager   Vesting.0 ...   Governance    roles, sales, reporters, handing over, members
//	address  CREATE of (deployer, nonce)     -
//
// Contracts name each other and none of the names can be changed, so each address
// is computed from the deployer and a nonce before any contract is there (CREATE;
// addresses by CREATE2 depend on the constructor's arguments and cannot go round
// in a circle). Step is a row of data: to add a contract is to add a row in plan.go.
//
// A run that was cut off goes on where the nonce says. What was done is recorded
// with the hash of each contract's code, and a later run compares both. When Run
// returns, the deployer has no rights left: the timelock administers everything.
//
// Artefacts come from chain/contracts by its script generate. A Deployment is used
// by one goroutine.
package deploy
