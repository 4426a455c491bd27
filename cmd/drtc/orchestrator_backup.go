package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc/orchestrator"
)

// stateFlags say which store of an Orchestrator is meant.
type stateFlags struct{ config, dir string }

func (s *stateFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.config, "config", "", "configuration file of the Orchestrator")
	cmd.Flags().StringVar(&s.dir, "dir", "", "folder of the Orchestrator: its key dir, where there is no file")
}

// open returns the configuration that the flags name.
func (s *stateFlags) open(cmd *cobra.Command) (orchestrator.Config, error) {
	file := orchestratorFile{Config: orchestrator.DefaultConfig()}
	if s.config == "" && s.dir == "" {
		return file.Config, &usageError{cmd.CommandPath(), errors.New("--config or --dir is missing: one of them says which store is meant")}
	}
	if s.config != "" {
		if _, err := toml.DecodeFile(s.config, &file); err != nil {
			return file.Config, fmt.Errorf("%s: %w", s.config, err)
		}
	}
	if s.dir != "" {
		file.Dir = s.dir
	}
	file.State.Token = os.Getenv("DRTC_STATE_TOKEN")
	return file.Config, file.State.Validate()
}

func newOrchestratorBackup() *cobra.Command {
	var from stateFlags
	var out string
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Copy the rooms that an Orchestrator keeps into one file",
		Long: `Copies what an Orchestrator keeps into one file, which takes the place of FILE when
it is whole. The Orchestrator may run meanwhile.`,
		Example: "  drtc orchestrator backup --config orchestrator.toml --out rooms.backup",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := given(cmd, "out"); err != nil {
				return err
			}
			cfg, err := from.open(cmd)
			if err != nil {
				return err
			}
			entries, err := writeBackup(cmd, cfg, out)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Backed up %d entries to %s\n", entries, out)
			return err
		},
	}
	from.add(cmd)
	cmd.Flags().StringVar(&out, "out", "", "the file to write (required)")
	return cmd
}

// writeBackup writes beside the file and puts it in place when it is whole.
func writeBackup(cmd *cobra.Command, cfg orchestrator.Config, out string) (entries int, err error) {
	f, err := os.CreateTemp(filepath.Dir(out), ".backup-*") // for the owner alone: tokens are made from what is in it
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	entries, err = orchestrator.Backup(cmd.Context(), cfg, f, time.Now(), offlineLog())
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	return entries, os.Rename(f.Name(), out)
}

func newOrchestratorRestore() *cobra.Command {
	var to stateFlags
	var in string
	cmd := &cobra.Command{
		Use:   "restore",
		Short: "Put rooms from a back-up into the store of an Orchestrator",
		Long: `Puts what backup wrote into a store that has none of it. Nothing is written when
the file is damaged. Rooms come back with the next start of an Orchestrator;
clients that are still connected to their Media Nodes go on.`,
		Example: "  drtc orchestrator restore --dir /var/lib/drtc --in rooms.backup",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := given(cmd, "in"); err != nil {
				return err
			}
			cfg, err := to.open(cmd)
			if err != nil {
				return err
			}
			f, err := os.Open(in)
			if err != nil {
				return err
			}
			defer f.Close()
			entries, err := orchestrator.Restore(cmd.Context(), cfg, f, offlineLog())
			if err != nil {
				return fmt.Errorf("%s: %w", in, err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Restored %d entries\n", entries)
			return err
		},
	}
	to.add(cmd)
	cmd.Flags().StringVar(&in, "in", "", "the back-up (required)")
	return cmd
}
