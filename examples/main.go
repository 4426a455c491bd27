// Command examples runs one of the examples of what an application can have its
// rooms be (whitepaper 4.1.4, docs/apps/policies.md):
//
//	make build
//	go run ./examples meeting    a host and a lobby
//	go run ./examples space      audio only
//	go run ./examples stream     few publish, many watch
//	go run ./examples gated      for holders of a token
//	go run ./examples webhook    a policy server in Node
//
// Contract: one command starts a network with the example's policy, and a page that
// says what to try, until it is interrupted. With --url it takes a network that
// runs: drtc devnet --orchestrator-config examples/meeting/drtc.toml.
package main

import (
	"fmt"
	"os"
	"slices"

	"github.com/drtc-network/drtc/examples/stage"
)

func main() {
	all := []stage.Example{meeting(), space(), stream(), gated(), webhook()}
	if len(os.Args) > 1 {
		if i := slices.IndexFunc(all, func(e stage.Example) bool { return e.Name == os.Args[1] }); i >= 0 {
			os.Exit(stage.Main(all[i], os.Args[2:]))
		}
	}
	fmt.Fprintln(os.Stderr, "which example? go run ./examples NAME [--help]")
	for _, e := range all {
		fmt.Fprintf(os.Stderr, "  %-8s %s\n", e.Name, e.Title)
	}
	os.Exit(2)
}
