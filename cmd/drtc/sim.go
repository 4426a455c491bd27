package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/spf13/cobra"

	"github.com/drtc-network/drtc/sim"
)

func newSim() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sim",
		Short: "Try the economy on agents before it is on a chain",
		Long: `Runs scenarios, worlds described in TOML files, under the rules that the network
pays by. Each day's ledger is held to the wei. The same scenario, policy and seed
give the same output on any number of cores.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSimRun(), newSimCompare())
	return cmd
}

// simFlags are those of both commands.
type simFlags struct {
	seeds    int
	from     uint64
	policies []string
	asJSON   bool
}

func (f *simFlags) add(cmd *cobra.Command, seeds int, policies ...string) {
	cmd.Flags().IntVar(&f.seeds, "seeds", seeds, "runs of each scenario and policy, with seeds from --seed on")
	cmd.Flags().Uint64Var(&f.from, "seed", 0, "first seed")
	cmd.Flags().StringSliceVar(&f.policies, "policy", policies, "static, usd-pegged, adaptive or adaptive+filler, separated by commas")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
}

// jobs are the runs that flags and files ask for, in the order of the output.
func (f *simFlags) jobs(cmd *cobra.Command, files []string) ([]simJob, error) {
	if f.seeds < 1 || f.seeds > 100_000 {
		return nil, &usageError{cmd.CommandPath(), fmt.Errorf("--seeds is %d, want 1 to 100000", f.seeds)}
	}
	var jobs []simJob
	for _, file := range files {
		scenario, err := readScenario(file)
		if err != nil {
			return nil, err
		}
		for _, name := range f.policies {
			policy, err := sim.ParsePolicy(name)
			if err != nil {
				return nil, &usageError{cmd.CommandPath(), err}
			}
			for i := range f.seeds {
				jobs = append(jobs, simJob{scenario: scenario, policy: policy, seed: f.from + uint64(i)})
			}
		}
	}
	return jobs, nil
}

func newSimRun() *cobra.Command {
	var f simFlags
	cmd := &cobra.Command{
		Use:     "run FILE...",
		Short:   "Run scenarios, a line for each run",
		Example: "  drtc sim run sim/scenarios/base.toml\n  drtc sim run sim/scenarios/*.toml --seeds 5 --policy adaptive --json",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			jobs, err := f.jobs(cmd, files)
			if err != nil {
				return err
			}
			runs, err := runAll(cmd.Context(), jobs)
			if err != nil {
				return err
			}
			if f.asJSON {
				return printJSON(cmd.OutOrStdout(), runs)
			}
			return printRuns(cmd.OutOrStdout(), runs)
		},
	}
	f.add(cmd, 1, "adaptive")
	return cmd
}

func newSimCompare() *cobra.Command {
	var f simFlags
	cmd := &cobra.Command{
		Use:   "compare FILE...",
		Short: "Run scenarios under several policies, a table of what each holds",
		Long: `Runs each scenario with many seeds under several policies. A column is a policy:

  band   share of days, from the second year on, whose year before had an
         inflation from 2 to 15 %
  wash   days on which serving oneself paid, and what that took in % of all HUDL
  B>M    days on which more was burned than minted
  infl   inflation of a year, 5 to 95 % of those days`,
		Example: "  drtc sim compare sim/scenarios/*.toml --seeds 25",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			jobs, err := f.jobs(cmd, files)
			if err != nil {
				return err
			}
			start := time.Now()
			runs, err := runAll(cmd.Context(), jobs)
			if err != nil {
				return err
			}
			var summaries []sim.Summary
			for i := 0; i < len(runs); i += f.seeds {
				summaries = append(summaries, sim.Summarize(jobs[i].scenario.Title, runs[i:i+f.seeds]))
			}
			if f.asJSON {
				return printJSON(cmd.OutOrStdout(), summaries)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d runs in %s\n", len(runs), time.Since(start).Round(time.Millisecond))
			return printSummaries(cmd.OutOrStdout(), summaries, len(f.policies))
		},
	}
	var names []string
	for _, p := range sim.Policies() {
		names = append(names, p.String())
	}
	f.add(cmd, 25, names...)
	return cmd
}

// readScenario reads a file on top of the default scenario.
func readScenario(file string) (sim.Scenario, error) {
	s := sim.DefaultScenario()
	text, err := os.ReadFile(file)
	if err != nil {
		return s, err
	}
	meta, err := toml.Decode(string(text), &s)
	if err != nil {
		return s, fmt.Errorf("%s: %w", file, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return s, fmt.Errorf("%s: unknown key %s", file, unknown[0])
	}
	if err := s.Validate(); err != nil {
		return s, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

type simJob struct {
	scenario sim.Scenario
	policy   sim.Policy
	seed     uint64
}

// runAll runs jobs on all cores and gives their outcomes in the order of jobs.
func runAll(ctx context.Context, jobs []simJob) ([]sim.Outcome, error) {
	outcomes, failures := make([]sim.Outcome, len(jobs)), make([]error, len(jobs))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(jobs)) {
		workers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(jobs) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				outcomes[i], failures[i] = sim.Run(jobs[i].scenario, jobs[i].policy, jobs[i].seed)
			}
		})
	}
	workers.Wait()
	return outcomes, errors.Join(append(failures, ctx.Err())...)
}

func printRuns(w io.Writer, runs []sim.Outcome) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SCENARIO\tPOLICY\tSEED\tBAND\tB>M\tWASH\tTAKEN\tCUT\tPAY/REVENUE\tFILLER\tNODES\tDIGEST")
	for _, r := range runs {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%d\t%d\t%s\t%d\t%.3f\t%s\t%.1f\t%s\n", r.Scenario, r.Policy, r.Seed, percent(r.InBand),
			r.BurnAboveMint, r.WashDays, percent(r.Extraction), r.CutDays, r.PayOverRevenue, percent(r.FillerShare), r.Nodes, r.Digest)
	}
	return t.Flush()
}

func printSummaries(w io.Writer, summaries []sim.Summary, policies int) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	header := []string{"SCENARIO"}
	for _, s := range summaries[:policies] {
		header = append(header, strings.ToUpper(s.Policy.String()), "wash", "B>M", "infl")
	}
	fmt.Fprintln(t, strings.Join(header, "\t"))
	for i := 0; i < len(summaries); i += policies {
		row := []string{summaries[i].Title}
		for _, s := range summaries[i : i+policies] {
			wash := fmt.Sprintf("%.0f", s.WashDays)
			if s.WashDays > 0 {
				wash += " (" + percent(s.Extraction) + ")"
			}
			row = append(row, percent(s.InBand), wash, fmt.Sprintf("%.0f", s.BurnAboveMint),
				fmt.Sprintf("%s..%s", signed(s.InflationP5), signed(s.InflationP95)))
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	return t.Flush()
}

// percent is a share with three digits, or what is left of it.
func percent(share float64) string {
	p := 100 * share
	switch {
	case p != 0 && math.Abs(p) < 0.095:
		return fmt.Sprintf("%.2g%%", p)
	case math.Abs(p) < 99.95:
		return fmt.Sprintf("%.1f%%", p)
	}
	return fmt.Sprintf("%.0f%%", p)
}

func signed(share float64) string { return fmt.Sprintf("%+.1f", 100*share) }
