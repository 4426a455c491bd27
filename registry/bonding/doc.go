// Package bonding says who may take part in the network: which Media Nodes,
// Registries and Orchestrators, and from which generation of their records on
// (whitepaper sections 4.2.2 and 5.4, where the chain says so).
//
// Contract: an answer comes from the last complete list that was read without an
// error, never from a part of one. There are three Sources:
//
//	AllowAll  lets everybody in, for development
//	File      a list that an operator writes
//	Chain     what a Reader reads from a chain, for as long as it can be read
//
// While the list may be old, because the file is bad or the chain is away, a Source
// goes on with the last one and says so in its Status: then whoever is in the list
// goes on as before, and whoever is not cannot be told apart from somebody who has
// come since. A file:
//
//	{
//	  "serial": 3,
//	  "any_node": true,
//	  "registries": ["0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"],
//	  "any_orchestrator": false,
//	  "orchestrators": ["0x2b5ad5c4795c026514f8317c7a215e218dccd6cf"],
//	  "min_generation": {"0x6813eb9362372eef6200f3b1dbc3f819671cba69": 3}
//	}
//
// serial rises with every change. Records of an issuer below its min_generation
// are revoked. Sources are safe for concurrent use.
package bonding
