package compare

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/drtc-network/drtc/loadtest"
)

// Figure is the median of a row's runs with their extremes.
type Figure struct{ Median, Least, Greatest float64 }

// figure takes one number of each run. It is not valid without runs.
func figure(runs []*loadtest.Result, of func(*loadtest.Result) float64) (Figure, bool) {
	values := make([]float64, 0, len(runs))
	for _, r := range runs {
		values = append(values, of(r))
	}
	if len(values) == 0 {
		return Figure{}, false
	}
	slices.Sort(values)
	middle := len(values) / 2
	median := values[middle]
	if len(values)%2 == 0 {
		median = (values[middle-1] + values[middle]) / 2
	}
	return Figure{median, values[0], values[len(values)-1]}, true
}

// column is one number of a run, as people read it.
type column struct {
	name   string
	format string // of one number
	of     func(*loadtest.Result) float64
}

func ofServer(of func(*loadtest.Cost) float64) func(*loadtest.Result) float64 {
	return func(r *loadtest.Result) float64 {
		if r.Server == nil {
			return 0
		}
		return of(r.Server)
	}
}

// userCPU and totalCPU are what the ratios are of.
func userCPU(r *loadtest.Result) float64 {
	return ofServer(func(c *loadtest.Cost) float64 { return c.PerPacket.User })(r)
}

func totalCPU(r *loadtest.Result) float64 {
	return ofServer(func(c *loadtest.Cost) float64 { return c.PerPacket.Total })(r)
}

func costs() []column {
	return []column{
		{"user us/packet", "%.2f", userCPU},
		{"system us/packet", "%.2f", ofServer(func(c *loadtest.Cost) float64 { return c.PerPacket.System })},
		{"total us/packet", "%.2f", totalCPU},
	}
}

func qualities() []column {
	return []column{
		{"loss %", "%.3f", func(r *loadtest.Result) float64 { return r.LossPercent }},
		{"duplicates", "%.0f", func(r *loadtest.Result) float64 { return float64(r.Duplicates) }},
		{"delay p50 ms", "%.2f", func(r *loadtest.Result) float64 { return r.Delay.P50 }},
		{"delay p99 ms", "%.2f", func(r *loadtest.Result) float64 { return r.Delay.P99 }},
		{"first packet p50 ms", "%.0f", func(r *loadtest.Result) float64 { return r.Join.FirstPacket.P50 }},
		{"first packet p95 ms", "%.0f", func(r *loadtest.Result) float64 { return r.Join.FirstPacket.P95 }},
		{"first key frame p50 ms", "%.0f", func(r *loadtest.Result) float64 { return r.Join.FirstKeyFrame.P50 }},
		{"first key frame p95 ms", "%.0f", func(r *loadtest.Result) float64 { return r.Join.FirstKeyFrame.P95 }},
		{"CPU ms/join", "%.2f", ofServer(func(c *loadtest.Cost) float64 { return c.PerJoinAlone })},
		{"MiB/subscriber", "%.3f", ofServer(func(c *loadtest.Cost) float64 { return c.PerSubscriber })},
	}
}

// WriteMarkdown writes the tables and how they were made.
func (r *Report) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "Machine: %d cores of %s, %.1f GiB, %s, %s. Began %s.\n\n", m.Cores, m.Processor, float64(m.Memory)/(1<<30), m.Kernel, m.Go, r.Began)
	fmt.Fprintf(&b, "Repeat: `%s`\n\n", r.Command)
	fmt.Fprintf(&b, "Medians of %s by turns, with the least and the greatest in brackets. CPU is of the server's process alone, for each\n"+
		"packet delivered in the window. Besides RTCP reports, servers agreed with clients on:\n\n", rounds(r.Rounds))
	for _, version := range r.versions() {
		fmt.Fprintf(&b, "- %s\n", version)
	}

	b.WriteString("\n### CPU\n\n")
	header := []string{"shape", "server"}
	for _, c := range costs() {
		header = append(header, c.name)
	}
	header = append(header, "user to "+string(Peer), "total to "+string(Peer), "total to "+string(Floor))
	r.table(&b, header, func(row Row) []string {
		cells := values(row.Runs, costs())
		return append(cells,
			r.ratio(row, Peer, userCPU), r.ratio(row, Peer, totalCPU), r.ratio(row, Floor, totalCPU))
	})

	b.WriteString("\n### Delivery, joins and memory\n\n")
	header = []string{"shape", "server", "joined"}
	for _, c := range qualities() {
		header = append(header, c.name)
	}
	r.table(&b, header, func(row Row) []string {
		return append([]string{joined(row.Runs)}, values(row.Runs, qualities())...)
	})
	b.WriteString("\nCPU ms/join is without the packets forwarded meanwhile, each at the window's price. Floor's joins and memory are pion's.\n")
	for _, row := range r.Rows {
		for _, e := range row.Errors {
			fmt.Fprintf(&b, "\n%s, %s: a run failed: %s\n", row.Shape, row.Target, e)
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("compare: writing the table: %w", err)
	}
	return nil
}

func (r *Report) table(b *strings.Builder, header []string, cells func(Row) []string) {
	fmt.Fprintf(b, "| %s |\n|%s\n", strings.Join(header, " | "), strings.Repeat("---|", len(header)))
	for _, row := range r.Rows {
		fmt.Fprintf(b, "| %s | %s | %s |\n", row.Shape, row.Target, strings.Join(cells(row), " | "))
	}
}

// values formats columns of a row.
func values(runs []*loadtest.Result, columns []column) []string {
	cells := make([]string, len(columns))
	for i, c := range columns {
		f, ok := figure(runs, c.of)
		switch {
		case !ok:
			cells[i] = "-"
		case len(runs) == 1:
			cells[i] = fmt.Sprintf(c.format, f.Median)
		default:
			cells[i] = fmt.Sprintf(c.format+" ("+c.format+"-"+c.format+")", f.Median, f.Least, f.Greatest)
		}
	}
	return cells
}

// ratio compares the median of a row with that of a target under the same load.
func (r *Report) ratio(row Row, to Target, of func(*loadtest.Result) float64) string {
	for _, other := range r.Rows {
		if other.Shape != row.Shape || other.Target != to {
			continue
		}
		own, ok := figure(row.Runs, of)
		base, okBase := figure(other.Runs, of)
		if ok && okBase && base.Median > 0 {
			return fmt.Sprintf("%.2f", own.Median/base.Median)
		}
	}
	return "-"
}

// joined is the worst of the runs.
func joined(runs []*loadtest.Result) string {
	if len(runs) == 0 {
		return "-"
	}
	worst := slices.MinFunc(runs, func(a, b *loadtest.Result) int { return a.Joined - b.Joined })
	return fmt.Sprintf("%d of %d", worst.Joined, worst.Subscribers)
}

// versions says which server is what, once for each.
func (r *Report) versions() []string {
	var lines []string
	for _, row := range r.Rows {
		line := fmt.Sprintf("%s (%s", row.Target, row.Version)
		if row.Target == PeerBatch {
			line += ", with its batch_io option"
		}
		line += ")"
		switch {
		case len(row.Runs) == 0:
		case row.Target == Floor:
			line += ": nothing, though it numbers packets where TWCC was asked for"
		default:
			line += ": " + strings.Join(row.Runs[0].Features, ", ")
		}
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

func rounds(n int) string {
	if n == 1 {
		return "1 round"
	}
	return fmt.Sprintf("%d rounds", n)
}
