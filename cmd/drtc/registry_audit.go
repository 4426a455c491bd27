package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc/registry"
	"github.com/drtc-network/drtc/registry/audit"
	"github.com/drtc-network/drtc/registry/store"
)

func newRegistryAudit() *cobra.Command {
	var dir, file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Verify every record of a stopped Registry or of a back-up again",
		Long: `Verifies every record of a Registry that does not run, or of a back-up: its form,
its place, the bounds of its kind, its body, its time and its signature. Who is
bonded is not asked. The exit code is 1 when anything is wrong.`,
		Example: "  drtc registry audit --dir /var/lib/drtc\n  drtc registry audit --file records.backup --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (dir == "") == (file == "") {
				return &usageError{cmd.CommandPath(), errors.New("give either --dir, the folder of a Registry, or --file, a back-up")}
			}
			report, err := runAudit(cmd.Context(), dir, file)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), report)
			} else {
				err = printReport(cmd.OutOrStdout(), &report)
			}
			return errors.Join(err, verdict(&report))
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "", "folder of the Registry: its key dir")
	f.StringVar(&file, "file", "", "a back-up")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func runAudit(ctx context.Context, dir, file string) (audit.Report, error) {
	var source audit.Source
	var closer io.Closer
	if dir != "" {
		s, err := store.OpenReadOnly(registry.RecordsDir(dir), offlineLog())
		if err != nil {
			return audit.Report{}, err
		}
		source, closer = s, s
	} else {
		f, err := os.Open(file)
		if err != nil {
			return audit.Report{}, err
		}
		closer = f
		if source, err = store.NewBackupReader(f); err != nil {
			return audit.Report{}, errors.Join(fmt.Errorf("%s: %w", file, err), f.Close())
		}
	}
	progress, done := progressOn(os.Stderr)
	report, err := audit.Run(ctx, time.Now(), registry.Rules(source.Network()), source, runtime.GOMAXPROCS(0), progress)
	done()
	return report, errors.Join(err, closer.Close())
}

func verdict(r *audit.Report) error {
	switch {
	case r.Stopped != "":
		return errors.New("not everything could be read: " + r.Stopped)
	case r.Bad > 0:
		return fmt.Errorf("%d of %d records are bad", r.Bad, r.Records)
	}
	return nil
}

func printReport(w io.Writer, r *audit.Report) error {
	fmt.Fprintf(w, "%d records of network %s\n\n", r.Records, printable(r.Network))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KIND\tRECORDS\tLIVE\tMARKS\tEXPIRED\tBAD")
	for _, k := range r.Kinds {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\n", printable(cmp.Or(k.Kind, "unknown")), k.Records, k.Live, k.Marks, k.Expired, k.Bad)
	}
	if err := t.Flush(); err != nil || len(r.Listed) == 0 {
		return err
	}
	fmt.Fprintln(w)
	for _, b := range r.Listed {
		fmt.Fprintf(w, "bad: %s about %s by %s: %s\n", printable(cmp.Or(b.Kind, "unknown")), b.Subject, b.Issuer, printable(b.Cause))
	}
	if more := r.Bad - uint64(len(r.Listed)); more > 0 {
		fmt.Fprintf(w, "and %d more\n", more)
	}
	return nil
}

// progressOn shows how far a long run is, if f is a terminal, until done.
func progressOn(f *os.File) (progress func(uint64), done func()) {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return func(uint64) {}, func() {}
	}
	next := time.Now().Add(time.Second)
	progress = func(n uint64) {
		if now := time.Now(); now.After(next) {
			next = now.Add(200 * time.Millisecond)
			fmt.Fprintf(f, "\r%d records", n)
		}
	}
	return progress, func() { fmt.Fprint(f, "\r\x1b[K") }
}
