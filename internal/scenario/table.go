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
	fmt.Fprintf(&b, "\n| hops | viewers | packets | lost | delay p50 | p99 | in the node p50 | p99 |\n|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, d := range r.Depths {
		fmt.Fprintf(&b, "| %d | %d | %d | %d | %.2f ms | %.2f ms | %.2f ms | %.2f ms |\n", d.Hops, d.Viewers, d.Expected, d.Expected-d.Received, d.P50, d.P99, d.InNodeP50, d.InNodeP99)
	}
	fmt.Fprintf(&b, "\n%d links, at most %d of a node; %d streams of the publisher, %d on all links; a link carried %.3f of what was published\n",
		r.Links, r.Degree, r.Streams, r.Layers, r.Copies)
	fmt.Fprintf(&b, "%d of %d packets arrived, %d lost; machine: %d cores, %.0f %% busy, load average %.1f\n",
		r.Received, r.Expected, r.Expected-r.Received, r.Load.Cores, 100*r.Load.Busy, r.Load.LoadAverage)
	if r.NotJudged != "" {
		fmt.Fprintf(&b, "NOT JUDGED: %s\n", r.NotJudged)
	}
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

// Table is the result for people.
func (r *CitiesResult) Table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "One participant in each of four cities; %.1f %% of packets lost between cities, each way; homes %.0f ms from their exchange; %.0f s each\n",
		100*r.Loss, r.Access, r.Seconds)
	fmt.Fprintf(&b, "Delay between cities: the great circle, half as long again, at 200 km/ms. From write to read, repetitions included.\n\n")
	fmt.Fprintf(&b, "| from | to | km | the way | with cascading p50 | audio p99 | video p99 | audio lost | video lost | one node in New York p50 | audio p99 | video p99 | audio lost | video lost |\n")
	fmt.Fprintf(&b, "|:--|:--|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, row := range r.Rows {
		c, s := row.Cascaded, row.Single
		fmt.Fprintf(&b, "| %s | %s | %.0f | %.0f ms | %.0f ms | %.0f ms | %.0f ms | %.2f %% | %.2f %% | %.0f ms | %.0f ms | %.0f ms | %.2f %% | %.2f %% |\n", row.From, row.To, row.Km, row.ApartMs,
			c.P50, c.AudioP99, c.VideoP99, 100*c.AudioLost, 100*c.VideoLost, s.P50, s.AudioP99, s.VideoP99, 100*s.AudioLost, 100*s.VideoLost)
	}
	fmt.Fprintf(&b, "\nhomes with cascading: %s; without: %s\n", strings.Join(r.Homes[0], ", "), strings.Join(r.Homes[1], ", "))
	fmt.Fprintf(&b, "machine: %d cores, %.0f %% busy, load average %.1f; 99 %% of packets left the emulated links late by at most %.1f ms\n",
		r.Load.Cores, 100*r.Load.Busy, r.Load.LoadAverage, r.Late)
	b.WriteString(problems(r.Problems))
	return b.String()
}
