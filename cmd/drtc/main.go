// Command drtc is the one binary of the network: every role, the devnet that
// runs them all on one machine, and the tools around them.
//
// It parses flags and configuration files, sets up logs and signals, and calls
// the packages that do the work; nothing is decided here. Environment is read
// here alone, and only for secrets: DRTC_API_KEY, DRTC_API_SECRET and
// DRTC_STATE_TOKEN.
//
// A role's configuration is its defaults, then the file named by --config, then
// the flags that were given. Exit codes: 0 done, 1 failed, 2 wrong usage.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// After the first signal the second one has its usual effect, so that
	// nobody has to wait for a slow goodbye.
	context.AfterFunc(ctx, stop)

	err := newRoot().ExecuteContext(ctx)
	var usage *usageError
	switch {
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "drtc: %v\nRun '%s --help' for usage.\n", err, usage.command)
		os.Exit(2)
	case err != nil:
		fmt.Fprintf(os.Stderr, "drtc: %v\n", err)
		os.Exit(1)
	}
}

// newRoot builds the tree of commands.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "drtc",
		Short:         "A network of independent nodes for real-time audio, video and data",
		SilenceErrors: true,
		SilenceUsage:  true,
		// Without this a word that is no command would print help and succeed.
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newDevnet(), newRegistry(), newMedianode(), newNode(), newOrchestrator(), newChain(), newKey(), newPool(), newCredits(), newEpoch(), newToken(), newVectors(), newSim(), newLoadtest(), newVersion())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{cmd.CommandPath(), err}
	})
	asUsage(root)
	return root
}
