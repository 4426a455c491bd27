package scenario

import (
	"fmt"
	"strings"
)

// Table is the result for people.
func (r *FanOutResult) Table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "1 publisher in %d layers of %v bit/s, and audio; %d viewers on %d nodes in %d levels; %.0f s\n\n",
		len(r.Bits), r.Bits, r.Viewers, r.Nodes, r.Levels, r.Seconds)
	fmt.Fprintf(&b, "| level | node | relay version | links | viewers | layers sent to nodes |\n|--:|:--|--:|--:|--:|--:|\n")
	for _, row := range r.Rows {
		fmt.Fprintf(&b, "| %d | %s | %d | %d | %d | %d |\n", row.Level, row.Name, row.RelayVersion, row.Links, row.Viewers, row.LayersOut)
	}
	fmt.Fprintf(&b, "\n| hops | viewers | packets | lost | delay p50 | p99 |\n|--:|--:|--:|--:|--:|--:|\n")
	for _, d := range r.Depths {
		fmt.Fprintf(&b, "| %d | %d | %d | %d | %.2f ms | %.2f ms |\n", d.Hops, d.Viewers, d.Expected, d.Expected-d.Received, d.P50, d.P99)
	}
	fmt.Fprintf(&b, "\n%d links, at most %d of a node; %d streams of the publisher, %d on all links; a link carried %.3f of what was published\n",
		r.Links, r.Degree, r.Streams, r.Layers, r.Copies)
	fmt.Fprintf(&b, "%d of %d packets arrived, %d lost; machine: %d cores, %.0f %% busy, load average %.1f\n",
		r.Received, r.Expected, r.Expected-r.Received, r.Load.Cores, 100*r.Load.Busy, r.Load.LoadAverage)
	b.WriteString(problems(r.Problems))
	return b.String()
}

// problems lists the first few of them.
func problems(all []string) string {
	const most = 12
	var b strings.Builder
	for i, p := range all {
		if i == most {
			fmt.Fprintf(&b, "and %d more\n", len(all)-most)
			break
		}
		fmt.Fprintf(&b, "NOT AS IT SHOULD BE: %s\n", p)
	}
	return b.String()
}
