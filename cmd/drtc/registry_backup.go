package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc/registry"
	"github.com/drtc-network/drtc/registry/store"
)

// printedAt is how a time of a back-up is shown.
const printedAt = "2006-01-02 15:04:05 UTC"

func newRegistryBackup() *cobra.Command {
	var dir, out string
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Copy the records of a stopped Registry into one file",
		Long: `Copies the records of a Registry that does not run into one file, which takes the
place of FILE when it is whole. A Registry that runs writes one by itself: keys
backup_file and backup_every of its configuration.`,
		Example: "  drtc registry backup --dir /var/lib/drtc --out records.backup",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := given(cmd, "dir", "out"); err != nil {
				return err
			}
			s, err := store.OpenReadOnly(registry.RecordsDir(dir), offlineLog())
			if err != nil {
				return fmt.Errorf("%w%s", err, backupHint(err))
			}
			counts, err := s.BackupFile(cmd.Context(), time.Now(), out)
			if err := errors.Join(err, s.Close()); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Backed up %d records of network %s to %s\n", counts.Records, s.Network(), out)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "", "folder of the Registry: its key dir (required)")
	f.StringVar(&out, "out", "", "the file to write (required)")
	return cmd
}

// backupHint is the way out when the Registry runs.
func backupHint(err error) string {
	if errors.Is(err, store.ErrInUse) {
		return ", or let it write back-ups itself: set backup_file"
	}
	return ""
}

func newRegistryRestore() *cobra.Command {
	var dir, in, network string
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Make the records of a Registry from a back-up",
		Long: `Makes the records of a Registry from a back-up. Every signature is verified, and
nothing is left behind when anything is wrong. The folder may have a key, but no
records.`,
		Example: "  drtc registry restore --dir /var/lib/drtc --in records.backup",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := given(cmd, "dir", "in"); err != nil {
				return err
			}
			f, err := os.Open(in)
			if err != nil {
				return err
			}
			defer f.Close()
			h, counts, err := store.Restore(cmd.Context(), f, registry.RecordsDir(dir), network, offlineLog())
			if err != nil {
				return fmt.Errorf("%s: %w", in, err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Restored %d records of network %s, backed up on %s\n",
				counts.Records, h.Network, h.Time.Format(printedAt))
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "", "folder of the Registry: its key dir (required)")
	f.StringVar(&in, "in", "", "the back-up (required)")
	f.StringVar(&network, "network", "", "refuse a back-up of another network than this")
	return cmd
}

// given requires flags.
func given(cmd *cobra.Command, names ...string) error {
	for _, name := range names {
		if !cmd.Flags().Changed(name) {
			return &usageError{cmd.CommandPath(), fmt.Errorf("--%s is missing: %s", name, cmd.Flags().Lookup(name).Usage)}
		}
	}
	return nil
}

// offlineLog is for commands that say on their own what went wrong.
func offlineLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
