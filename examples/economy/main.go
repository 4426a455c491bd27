// Command economy plays the whole economy of the network on a chain of its own, in
// some seconds, and checks every balance against a model that never saw the chain
// (whitepaper sections 3 and 5.4 to 5.8):
//
//	go run ./examples/economy              the story, with tables
//	go run ./examples/economy --seed 7     other nodes, other scores, other traffic
//	go run ./examples/economy --json       the final books alone
//
// Three owners buy ten keys and delegate them to their own nodes and to those of
// others. Two applications buy credits and authorise Orchestrators. Five epochs of
// made-up work are committed by three of four reporters. Keys are undelegated and
// sold, a commission is raised, parameters change by a vote, a token falls so far
// that payouts are cut. In between somebody tries what must not work: a forged
// root, signatures used again, more than the cap, a leaf claimed twice.
//
// Contract: it ends with 0 only if every refusal had the name that was expected and
// every account, pool, key, credit and total is in the model (package ledger) what
// it is on the chain, to the wei, after each of the six acts. Nothing waits: the
// chain is told what time it is. Nothing is left behind.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program with its arguments; it returns the exit status.
func run(ctx context.Context, args []string, out, problems io.Writer) int {
	f := flag.NewFlagSet("economy", flag.ContinueOnError)
	f.SetOutput(problems)
	seed := f.Uint64("seed", 1, "what the made-up work and the keys are drawn from")
	asJSON := f.Bool("json", false, "print the result as JSON and no story")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	story := out
	if *asJSON {
		story = io.Discard
	}
	result, err := tell(ctx, *seed, story)
	if err != nil {
		fmt.Fprintf(problems, "economy: seed %d: %v\n", *seed, err)
		return 1
	}
	if *asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(result); err != nil {
			fmt.Fprintf(problems, "economy: %v\n", err)
			return 1
		}
		return 0
	}
	fmt.Fprintf(out, "\n%d transactions and %d refusals; all %d balances are the model's, to the wei.\n",
		result.Transactions, len(result.Refusals), len(result.Balances))
	return 0
}
