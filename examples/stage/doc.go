// Package stage is what the examples share: a network to run on, an application's
// server that signs tokens, and a page for hosts and guests.
//
// Contract: an example is one command. Main starts drtc devnet with the example's
// policy, or takes an Orchestrator that runs already, and serves the example's page
// beside it until it is interrupted.
//
//	go run ./examples meeting                      with bin/drtc, from the repository
//	go run ./examples meeting --url … --api-key …  with a network that runs
//
// Nothing here is for production: the page gives everybody the role that they ask
// for. A Site is safe for concurrent use.
package stage
