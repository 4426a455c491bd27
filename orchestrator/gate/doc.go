// Package gate lets those into rooms who hold tokens on an EVM chain: a wallet
// signs a challenge (EIP-4361), its balance is read, and it gets an access token
// for the room (whitepaper 4.1.4, docs/apps/gate.md).
//
// The contract: NO TOKEN WITHOUT A FRESH SIGNATURE AND A BALANCE. A challenge is
// made by this gate for one address and one room, counts for minutes and once, and
// names the site that asks. The signature is the address's own, or that of a
// contract wallet which says so (EIP-1271). Balances are read at the latest block;
// a chain that does not answer in time lets in nobody.
//
//	POST /drtc/v1/gate/challenge {"address","room"}        ─▶ {"challenge","message"}
//	wallet: personal_sign(message)
//	POST /drtc/v1/gate/token     {"challenge","signature"} ─▶ {"token"}
//
// Challenges are not stored: they carry a MAC. Stored is which were used, until
// they expire, so that only valid signatures cost memory.
//
// A Gate is also a policy.Policy, which reads the balance anew at every join. An
// Orchestrator asks that of those who come, and again of those who stay.
//
// It is a shell; a Gate is safe for concurrent use and owns no goroutine.
package gate
