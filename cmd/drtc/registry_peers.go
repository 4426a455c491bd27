package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc/discovery"
)

func newRegistryPeers() *cobra.Command {
	var registry string
	var timeout time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "peers",
		Short: "Show which other Registries one is connected to",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			answer, err := discovery.Peers(cmd.Context(), registry, timeout)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), answer.Raw)
			}
			return printPeers(cmd.OutOrStdout(), answer, time.Now())
		},
	}
	f := cmd.Flags()
	f.StringVar(&registry, "registry", defaultRegistry, "base URL of the Registry")
	f.DurationVar(&timeout, "timeout", 5*time.Second, "how long the request may take")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printPeers shows what the Registry says; nothing of it is verified.
func printPeers(w io.Writer, a discovery.PeersAnswer, now time.Time) error {
	fmt.Fprintf(w, "Registry %s of network %s\n", a.Registry, printable(a.Network))
	for _, address := range a.Addresses {
		fmt.Fprintf(w, "  listens at %s\n", printable(address))
	}
	if len(a.Peers) == 0 {
		_, err := fmt.Fprintln(w, "It is connected to no other Registry.")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nREGISTRY\tURL\tOPENED\tFOR\tSCORE\tLAST SYNC\tADDRESS")
	for _, p := range a.Peers {
		address := "-"
		if len(p.Addresses) > 0 {
			address = p.Addresses[0]
		}
		sync := ago(p.More["lastSync"], now)
		if outcome, ok := p.More["lastSyncOutcome"].(string); ok && sync != "-" {
			sync += " ago, " + printable(outcome)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.Registry.Short(), printable(p.URL), text(p.More["direction"]),
			ago(p.More["since"], now), text(p.More["score"]), sync, printable(address))
	}
	return t.Flush()
}

// text is a value of JSON, "-" when it is missing.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return printable(v)
	case float64:
		return fmt.Sprintf("%.1f", v)
	}
	return "-"
}

// ago is how long ago a time of JSON was, "-" when there is none.
func ago(v any, now time.Time) string {
	s, _ := v.(string)
	at, err := time.Parse(time.RFC3339, s)
	if err != nil || at.IsZero() {
		return "-"
	}
	return now.Sub(at).Round(time.Second).String()
}
