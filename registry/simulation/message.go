package simulation

import (
	"fmt"

	"github.com/drtc-network/drtc/envelope"
)

// Message is what machines say to each other: Gossip, Submission, Receipt,
// Frame, Ping, Pong or Look.
type Message interface{ size() int }

// Gossip is a batch of records, flooded.
type Gossip []envelope.Envelope

// Submission is an issuer's call of a Registry.
type Submission struct{ Record envelope.Envelope }

// Receipt answers a Submission, once the record is on disk.
type Receipt struct {
	Hash     [32]byte
	Accepted bool
	Held     envelope.Envelope // what is held instead, if anything newer is
	Err      error
}

// Frame is one frame of a session of reconcile.
type Frame struct {
	Session Session
	Index   int // counts the frames of one direction: a gap is a stream that broke
	Body    []byte
	Reset   bool // the sender has given the session up
}

// Session names a stream between two Registries.
type Session struct {
	Opener int
	Number uint64
}

func (g Gossip) size() int {
	n := 0
	for i := range g {
		n += len(g[i].Body) + 200
	}
	return n
}

func (s Submission) size() int { return len(s.Record.Body) + 200 }
func (Receipt) size() int      { return 100 }
func (f Frame) size() int      { return len(f.Body) + 20 }

// describe is for the trace of a failed run.
func describe(m Message) string {
	switch m := m.(type) {
	case Gossip:
		s := "gossip"
		for i := range m {
			s += " " + name(&m[i])
		}
		return s
	case Submission:
		return "submit " + name(&m.Record)
	case Receipt:
		return fmt.Sprintf("receipt %x accepted %t, %v", m.Hash[:3], m.Accepted, m.Err)
	case Frame:
		return fmt.Sprintf("session %d/%x frame %d, %d bytes, reset %t", m.Session.Opener, m.Session.Number, m.Index, len(m.Body), m.Reset)
	}
	return fmt.Sprintf("%T", m)
}

func name(e *envelope.Envelope) string {
	hash := e.Hash()
	s := fmt.Sprintf("%s %x/%x v%d.%d %x", e.Kind, e.Subject[:2], e.Issuer[:2], e.Generation, e.Seq, hash[:3])
	if e.IsTombstone() {
		s += " left"
	}
	return s
}
