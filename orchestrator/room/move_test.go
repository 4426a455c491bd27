package room

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// when is the time of the first line of the trace with these words.
func (n *network) when(t *testing.T, words string) time.Duration {
	t.Helper()
	for _, line := range n.trace {
		if strings.Contains(line, words) {
			var seconds float64
			_, _ = fmt.Sscan(line, &seconds)
			return time.Duration(seconds * float64(time.Second)).Round(time.Millisecond)
		}
	}
	t.Fatalf("nothing about %q in\n%s", words, strings.Join(n.trace, "\n"))
	return 0
}

// The offer of a client whose old session goes on is held as long as it takes to
// have the answer there in time, wherever the client is. If the old node is dead
// there is nothing to wait for.
func TestHold_theAnswerComesWhenTheClientChecks(t *testing.T) {
	for _, c := range []struct {
		what      string
		roundTrip time.Duration
		want      time.Duration
	}{
		{"drain 2", 0, holdOffer},
		{"drain 2", 30 * time.Millisecond, holdOffer - 30*time.Millisecond},
		{"drain 2", 300 * time.Millisecond, 0},
		{"kill 2", 0, 0},
	} {
		n := newNetwork(t.Fatalf, 3)
		n.keep = true
		for _, line := range []string{"join ann 1 TR_ann1", "join bob 2", "run 4s", "quiet"} {
			n.line(t, strings.Fields(line))
		}
		n.tell(SessionReport{Session: "SE_bob1", Figures: Figures{RoundTrip: c.roundTrip, Connected: true}})
		n.trace = nil
		n.line(t, strings.Fields(c.what))
		n.line(t, strings.Fields("run 6s"))
		// A message takes a millisecond each way.
		if got := n.when(t, "SE_bob1.1: offer") - n.when(t, "bob <- welcome back") - 2*time.Millisecond; got != c.want {
			t.Errorf("%s with a round trip of %v: the offer waits %v, want %v", c.what, c.roundTrip, got, c.want)
		}
	}
}
