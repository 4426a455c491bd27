package compare

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/drtc-network/drtc/loadtest"
)

// Target is a server to measure.
type Target string

// The targets.
const (
	// Ours is a Registry, a Media Node and an Orchestrator; the Media Node is
	// measured.
	Ours Target = "drtc"
	// Reference is the bare SFU of pion.
	Reference Target = "reference"
	// Floor is the cheapest possible sender.
	Floor Target = "floor"
	// Peer is a LiveKit server, PeerBatch one that collects packets before it
	// sends them. Both need PeerServer.
	Peer      Target = "peer"
	PeerBatch Target = "peer-batch"
)

// Targets lists all.
func Targets() []Target { return []Target{Floor, Ours, Reference, Peer, PeerBatch} }

// Shape is how many publish and how many subscribers play all of them.
type Shape struct{ Publishers, Subscribers int }

// String returns the form that ParseShape reads.
func (s Shape) String() string { return fmt.Sprintf("%dx%d", s.Publishers, s.Subscribers) }

// ParseShape reads publishers x subscribers, such as 1x100.
func ParseShape(text string) (Shape, error) {
	p, s, ok := strings.Cut(text, "x")
	publishers, errP := strconv.Atoi(p)
	subscribers, errS := strconv.Atoi(s)
	if !ok || errors.Join(errP, errS) != nil || publishers < 1 || subscribers < 1 {
		return Shape{}, fmt.Errorf("compare: shape: want publishers x subscribers such as 1x100, got %q", text)
	}
	return Shape{publishers, subscribers}, nil
}

// Config says what is compared.
type Config struct {
	Targets []Target
	Shapes  []Shape
	Rounds  int
	// Load is the run of every measurement; shape, server and protocol are put
	// in.
	Load loadtest.Config
	// PeerServer is the binary of Peer and PeerBatch.
	PeerServer string

	// Program is the binary of this repository, usually os.Executable.
	Program string
	// Command is how the user called it, for the table.
	Command string
	// Out is told what is being measured.
	Out io.Writer
	// Patience is how long a server may take to start, and its end to stop.
	Patience time.Duration
}

// DefaultConfig is what needs no other binary, at all shapes, three times.
// Program is left empty.
func DefaultConfig() Config {
	return Config{
		Targets: []Target{Floor, Ours, Reference},
		Shapes:  []Shape{{1, 10}, {1, 100}, {1, 200}, {10, 10}},
		Rounds:  3,
		Load:    loadtest.DefaultConfig(),
		Command: "drtc loadtest compare",
		Out:     io.Discard, Patience: 20 * time.Second,
	}
}

// Validate names the first field that cannot be used.
func (c Config) Validate() error {
	for _, t := range c.Targets {
		if !slices.Contains(Targets(), t) {
			return fmt.Errorf("compare: targets: want some of %v, got %q", Targets(), t)
		}
		if (t == Peer || t == PeerBatch) && c.PeerServer == "" {
			return fmt.Errorf("compare: peer server: target %s needs a binary, got none", t)
		}
	}
	switch {
	case len(c.Targets) == 0:
		return errors.New("compare: targets: want one or more, got none")
	case len(c.Shapes) == 0:
		return errors.New("compare: shapes: want one or more, got none")
	case c.Rounds < 1:
		return fmt.Errorf("compare: rounds: want 1 or more, got %d", c.Rounds)
	case c.Program == "":
		return errors.New("compare: program: want the path of this binary, got none")
	case c.Patience <= 0:
		return fmt.Errorf("compare: patience: want more than 0s, got %v", c.Patience)
	}
	for _, s := range c.Shapes {
		load := c.Load
		load.Publishers, load.Subscribers = s.Publishers, s.Subscribers
		if err := load.Validate(); err != nil {
			return fmt.Errorf("compare: shape %v: %w", s, err)
		}
	}
	return nil
}
