package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc/orchestrator/signal"
)

func newToken() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Make access tokens for clients",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokenCreate())
	return cmd
}

func newTokenCreate() *cobra.Command {
	var (
		key    apiKey
		grants signal.Grants
		ttl    time.Duration
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Print a token that lets one participant into one room",
		Long: `Prints a token that lets one participant into one room. It is signed here with
the API secret; no server is asked.

Grants: canPublish, canSubscribe, canPublishData, canUpdateOwnMetadata, hidden,
recorder, agent, roomAdmin, roomCreate, roomList, roomRecord; "!" in front
denies. source:camera, source:microphone, source:screen_share and
source:screen_share_audio limit what may be published.`,
		Example: "  drtc token create --identity alice --room demo --grants '!canPublish'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := key.fromEnvironment(); err != nil {
				return &usageError{cmd.CommandPath(), err}
			}
			token, err := signal.Token(key.key, key.secret, grants, ttl)
			if err != nil {
				return &usageError{cmd.CommandPath(), err}
			}
			if !asJSON {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
				return err
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(struct {
				Token    string    `json:"token"`
				Identity string    `json:"identity"`
				Room     string    `json:"room"`
				Expires  time.Time `json:"expires"`
			}{token, grants.Identity, grants.Room, time.Now().Add(ttl).UTC().Truncate(time.Second)})
		},
	}
	f := cmd.Flags()
	f.StringVar(&grants.Identity, "identity", "", "the participant's unique name in the room (required)")
	f.StringVar(&grants.Room, "room", "", "the room (required)")
	f.StringVar(&grants.Name, "name", "", "the name that others see")
	f.StringVar(&grants.Metadata, "metadata", "", "free text that others see")
	f.StringSliceVar(&grants.Names, "grants", nil, "comma-separated grants; without any a participant may publish and subscribe")
	f.DurationVar(&ttl, "ttl", 6*time.Hour, "how long the token lets in")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.StringVar(&key.key, "api-key", "", "API key (default: $DRTC_API_KEY)")
	f.StringVar(&key.secret, "api-secret", "", "API secret (default: $DRTC_API_SECRET)")
	return cmd
}

// apiKey is what an application shows to an Orchestrator.
type apiKey struct{ key, secret string }

// fromEnvironment fills in what no flag gave.
func (k *apiKey) fromEnvironment() error {
	if k.key == "" {
		k.key = os.Getenv("DRTC_API_KEY")
	}
	if k.secret == "" {
		k.secret = os.Getenv("DRTC_API_SECRET")
	}
	if k.key == "" || k.secret == "" {
		return errors.New("give --api-key and --api-secret, or set DRTC_API_KEY and DRTC_API_SECRET; drtc devnet prints both")
	}
	return nil
}
