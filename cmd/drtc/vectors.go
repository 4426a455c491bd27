package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc/econ/reference"
)

// maxVectorFile bounds what is read of one file, bytes.
const maxVectorFile = 64 << 20

func newVectors() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vectors",
		Short: "Hold this program against vectors of another implementation",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newVectorsVerify())
	return cmd
}

func newVectorsVerify() *cobra.Command {
	var only []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify DIR",
		Short: "Check the cases of every vector file in a folder",
		Long: `Checks the cases of every file NAME.json in DIR; the name decides the rule. A
rule that this program does not hold yet is named and not counted, unless --only
asks for it. The exit code is 1 when a case fails, a file cannot be read or is
of no known name.

Known: ` + strings.Join(reference.Names(), ", ") + `.`,
		Example: "  drtc vectors verify spec/vectors/reference\n  drtc vectors verify vectors --only supply_band,delegation --json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			reports, err := verifyVectors(args[0], only)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), reports)
			} else {
				err = printVectors(cmd.OutOrStdout(), reports)
			}
			return errors.Join(err, vectorsVerdict(reports))
		},
	}
	cmd.Flags().StringSliceVar(&only, "only", nil, "names of files to check, without .json, separated by commas")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// vectorReport is what is known of one file. Status is ok, failed, error, or
// "no rule yet".
type vectorReport struct {
	reference.Result
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
}

const (
	vectorOK, vectorFailed, vectorError = "ok", "failed", "error"
	vectorNoRule                        = "no rule yet"
)

func verifyVectors(dir string, only []string) ([]vectorReport, error) {
	names := slices.Clone(only)
	if len(only) == 0 {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if name, is := strings.CutSuffix(e.Name(), ".json"); is && !e.IsDir() {
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s has no vector files: want files whose names end in .json", dir)
	}
	reports := make([]vectorReport, len(names))
	for i, name := range names {
		name = strings.TrimSuffix(name, ".json")
		reports[i] = verifyFile(dir, name)
		if len(only) == 0 && reports[i].Error != "" && reports[i].Status == vectorNoRule {
			reports[i].Error = ""
		}
	}
	return reports, nil
}

// verifyFile checks one file. A rule that is not there yet is an error in its
// report, which the caller may forgive.
func verifyFile(dir, name string) vectorReport {
	r := vectorReport{Result: reference.Result{Name: name}, Status: vectorError}
	if name == "" || name != filepath.Base(name) {
		r.Error = fmt.Sprintf("%q is no name of a file in %s", name, dir)
		return r
	}
	f, err := os.Open(filepath.Join(dir, name+".json"))
	if err != nil {
		r.Error = err.Error()
		return r
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxVectorFile+1))
	if err == nil && len(text) > maxVectorFile {
		err = fmt.Errorf("%s.json is longer than %d MiB", name, maxVectorFile>>20)
	}
	if err == nil {
		r.Result, err = reference.Verify(name, text)
	}
	switch {
	case errors.Is(err, reference.ErrNoRule):
		r.Status, r.Error = vectorNoRule, err.Error()
	case err != nil:
		r.Error = err.Error()
	case r.OK():
		r.Status = vectorOK
	default:
		r.Status = vectorFailed
	}
	return r
}

func vectorsVerdict(reports []vectorReport) error {
	var failed []string
	for _, r := range reports {
		if r.Status != vectorOK && (r.Status != vectorNoRule || r.Error != "") {
			failed = append(failed, r.Name)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d vector files do not pass: %s", len(failed), len(reports), strings.Join(failed, ", "))
	}
	return nil
}

// printVectors prints a line per file, then at most a few failures of each.
func printVectors(w io.Writer, reports []vectorReport) error {
	const shown = 10
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FILE\tPASSED\tCASES\tSTATUS")
	for _, r := range reports {
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\n", printable(r.Name), r.Passed, r.Cases, r.Status)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range reports {
		if r.Error != "" {
			fmt.Fprintf(w, "%s.json: %s\n", printable(r.Name), printable(r.Error))
		}
		for _, f := range r.Failures[:min(shown, len(r.Failures))] {
			fmt.Fprintf(w, "%s.json: %s\n", printable(r.Name), printable(f.String()))
		}
		if more := len(r.Failures) - shown; more > 0 {
			fmt.Fprintf(w, "%s.json: and %d more\n", printable(r.Name), more)
		}
	}
	return nil
}
