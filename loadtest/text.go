package loadtest

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteText writes a result for people.
func (r *Result) WriteText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t"+format+"\n", append([]any{name}, args...)...)
	}

	publishers := strconv.Itoa(r.Publishers)
	if len(r.Played) > 0 {
		publishers = strings.Join(r.Played, " ")
	}
	row("load", "%s x %d by %s, %.1f s", publishers, r.Subscribers, r.Protocol, r.WindowSeconds)
	row("agreed", "RTCP reports%s", strings.Join(append([]string{""}, r.Features...), ", "))
	row("joined", "%d of %d, %d errors, %d connections failed", r.Joined, r.Subscribers, r.JoinErrors, r.Failed)
	if r.FirstError != "" {
		row("first error", "%s", r.FirstError)
	}
	row("delivered", "%d of %d packets, %.0f/s, %.1f Mbit/s", r.Delivered, r.Expected, r.PacketsPerSecond, r.MbitPerSecond)
	row("loss", "%.3f %%, of audio %.3f %%, %d duplicates, %d packets of the server's own", r.LossPercent, r.AudioLossPercent, r.Duplicates, r.Foreign)
	if len(r.Played) == 0 {
		row("delay", "p50 %.2f ms, p95 %.2f ms, p99 %.2f ms", r.Delay.P50, r.Delay.P95, r.Delay.P99)
	}
	for _, j := range []struct {
		name string
		s    Spread
	}{{"first packet", r.Join.FirstPacket}, {"first video", r.Join.FirstVideo}, {"first key frame", r.Join.FirstKeyFrame}} {
		row(j.name, "p50 %.0f ms, p95 %.0f ms after the join began", j.s.P50, j.s.P95)
	}
	if s := r.Server; s != nil {
		row("server CPU", "%.1f %% of a core: user %.0f ms, system %.0f ms", s.CPUPercent, s.User, s.System)
		row("per packet", "%.2f us: user %.2f us, system %.2f us", s.PerPacket.Total, s.PerPacket.User, s.PerPacket.System)
		row("per join", "%.2f ms of CPU, %.2f ms without forwarding", s.PerJoin, s.PerJoinAlone)
		row("memory", "%.1f MiB, before joins %.1f MiB: %.3f MiB for each subscriber", s.MemoryEnd, s.MemoryBefore, s.PerSubscriber)
	}
	if s := r.Beside; s != nil {
		row("beside", "%.1f %% of a core, %.2f ms of CPU per join, %.1f MiB", s.CPUPercent, s.PerJoin, s.MemoryEnd)
	}
	row("clients' CPU", "%.1f %% of a core", r.ClientCPU)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("loadtest: writing the result: %w", err)
	}
	return nil
}

// String is one line for a terminal.
func (p Progress) String() string {
	at := fmt.Sprintf("%.0f s", p.Elapsed.Seconds())
	if p.Length > 0 {
		at = fmt.Sprintf("%.0f of %.0f s", p.Elapsed.Seconds(), p.Length.Seconds())
	}
	return fmt.Sprintf("%s, %s: %d of %d joined, %d packets received", p.Phase, at, p.Joined, p.Subscribers, p.Received)
}

// Line returns a Progress function that keeps one line of a terminal up to
// date, and one that clears it.
func Line(w io.Writer) (show func(Progress), clear func()) {
	const clearLine = "\r\x1b[K"
	var last time.Time
	shown := false
	show = func(p Progress) {
		if now := time.Now(); now.Sub(last) >= 200*time.Millisecond {
			last, shown = now, true
			fmt.Fprint(w, clearLine, p)
		}
	}
	return show, func() {
		if shown {
			fmt.Fprint(w, clearLine)
		}
	}
}
