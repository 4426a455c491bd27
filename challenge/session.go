package challenge

import (
	"fmt"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
)

// Verb says what an Action asks of the shell.
type Verb uint8

// What a shell does for a session.
const (
	// Connect: until Close, the Challenger tries to connect to the Prover and the
	// Prover lets it. Connected is called when they are. It comes again after
	// Disconnected.
	Connect Verb = iota + 1
	// StartStream: send by a Pacer of the order's rate and packets. Prover only.
	StartStream
	// StopStream ends that.
	StopStream
	// Measure: call Measured with the counters as they are now.
	Measure
	// SendCheckpoint: give Action.Checkpoint to the other side, which calls Hear.
	SendCheckpoint
	// Close the connection.
	Close
	// Finish: Action.Report is this side's word; give it to the witnesses. It is the
	// last action.
	Finish
)

// String is the name of the verb.
func (v Verb) String() string {
	names := []string{"?", "connect", "start stream", "stop stream", "measure", "send checkpoint", "close", "finish"}
	if int(v) >= len(names) {
		v = 0
	}
	return names[v]
}

// Action is something that a session wants done.
type Action struct {
	Do         Verb
	Checkpoint *Checkpoint
	Report     *Report
}

// SessionConfig is one side of one pair of an order that a Docket took.
type SessionConfig struct {
	Order      Order
	Key        *identity.Key // of this node
	Peer       drtc.NodeID   // the Prover, or which Challenger
	Rules      Rules
	Advertised Advertised
}

type phase uint8

const (
	waiting phase = iota
	connecting
	connected
	ended
)

// Session carries out one side of one pair (spec Q14 to Q16). See the package
// comment for how it is driven. Times must not run backwards.
type Session struct {
	config  SessionConfig
	part    Part
	phase   phase
	actions []Action

	streaming bool
	asked     bool // for a measurement, and not answered
	samples   []Sample
	chain     [32]byte
	alive     time.Time // when the other side was last heard of, once measuring
	heard     *Checkpoint
	cpuMillis uint32
	report    *Report // made, and not finished while the stream runs on
}

// NewSession returns a session that waits for the order's start. The error wraps
// ErrConfig, ErrOrder, ErrForeign or ErrRules.
func NewSession(c SessionConfig) (*Session, error) {
	if c.Key == nil {
		return nil, fmt.Errorf("%w: Key is missing", ErrConfig)
	}
	if err := c.Order.Validate(); err != nil {
		return nil, err
	}
	if err := c.Rules.Validate(); err != nil {
		return nil, err
	}
	s := &Session{config: c, part: Part{Order: c.Order.ID(), Side: Challenger, Node: c.Key.ID(), Peer: c.Peer}}
	if c.Order.Prover == s.part.Node {
		s.part.Side = Prover
	}
	if err := s.part.check(&c.Order); err != nil {
		return nil, err
	}
	s.chain = s.part.start()
	return s, nil
}

// Part is what this session is.
func (s *Session) Part() Part { return s.part }

// Poll takes the next action, if there is one.
func (s *Session) Poll() (Action, bool) {
	if len(s.actions) == 0 {
		return Action{}, false
	}
	a := s.actions[0]
	s.actions = s.actions[1:]
	return a, true
}

func (s *Session) do(v Verb) { s.actions = append(s.actions, Action{Do: v}) }

// warm is how long the stream runs before and after what is measured, so that
// whatever the clocks are apart only the stream is measured.
func (s *Session) warm() time.Duration { return 2 * s.config.Rules.Skew }

// streamFrom is when a connected Prover begins to send.
func (s *Session) streamFrom() time.Time {
	return s.config.Order.Begin().Add(-min(s.warm(), s.config.Order.SetUp/2))
}

// due is when sample i is taken.
func (s *Session) due(i int) time.Time {
	return s.config.Order.Begin().Add(time.Duration(i) * s.config.Order.Interval)
}

// NextTimeout is when Timeout is to be called, zero when the session has ended.
func (s *Session) NextTimeout() time.Time {
	o := &s.config.Order
	switch {
	case s.phase == ended:
		return time.Time{}
	case s.report != nil:
		return o.End().Add(s.warm())
	case s.phase == waiting:
		return o.Start
	case s.asked: // until it is too late for the sample
		return s.due(len(s.samples) + 1)
	}
	next := s.due(len(s.samples))
	if s.part.Side == Prover && s.phase == connected && !s.streaming && s.streamFrom().Before(next) {
		return s.streamFrom()
	}
	return next
}

// Timeout does what is due at now.
func (s *Session) Timeout(now time.Time) {
	if s.phase == ended {
		return
	}
	if s.report != nil {
		if !now.Before(s.config.Order.End().Add(s.warm())) {
			s.finish()
		}
		return
	}
	if s.phase == waiting && !now.Before(s.config.Order.Start) {
		s.phase = connecting
		s.do(Connect)
	}
	s.stream(now)
	i := len(s.samples)
	switch {
	case now.Before(s.due(i)):
	case !now.Before(s.due(i + 1)): // a whole interval was missed
		s.end(s.late())
	case i == 0 && s.phase != connected:
		s.end(Unconnected)
	case !s.asked:
		s.asked = true
		s.do(Measure)
	}
}

// late is how a session ends that missed a sample.
func (s *Session) late() End {
	if len(s.samples) == 0 && s.phase != connected {
		return Unconnected
	}
	return Stopped
}

// stream starts the stream of a Prover when it is time.
func (s *Session) stream(now time.Time) {
	if s.part.Side == Prover && s.phase == connected && !s.streaming && !now.Before(s.streamFrom()) {
		s.streaming = true
		s.do(StartStream)
	}
}

// Connected says that media flows, or can, between the two nodes, each of them
// authenticated.
func (s *Session) Connected(now time.Time) {
	if s.phase == connecting {
		s.phase = connected
		s.stream(now)
	}
}

// Disconnected says that the connection is gone. The session tries again; what
// is measured until then is a dead stream.
func (s *Session) Disconnected(time.Time) {
	if s.phase != connected || s.report != nil {
		return
	}
	s.phase = connecting
	s.stopStream()
	s.do(Connect)
}

// Measured answers Measure with the counters at now.
func (s *Session) Measured(now time.Time, c Counters) {
	if !s.asked || s.phase == ended || s.report != nil {
		return
	}
	s.asked = false
	i := len(s.samples)
	at := now.Sub(s.config.Order.Begin()).Truncate(time.Microsecond)
	c.Trip = min(max(0, c.Trip), maxTrip-time.Microsecond).Truncate(time.Microsecond)
	if s.part.Side == Challenger {
		c.Lost = c.Expected - min(c.Packets, c.Expected)
	}
	sample := Sample{At: at, Counters: c}
	var before *Sample
	if i > 0 {
		before = &s.samples[i-1]
	}
	// A shell whose counters cannot be reported has no test.
	if sample.check(i, s.part.Side, before, &s.config.Order) != nil {
		s.end(Stopped)
		return
	}
	if before == nil || s.progress(*before, sample) {
		s.alive = now
	}
	s.samples = append(s.samples, sample)
	s.chain = extend(s.chain, sample)
	switch {
	case i == s.config.Order.Samples():
		s.end(Completed)
	case now.Sub(s.alive) >= s.config.Rules.Silence:
		s.end(PeerLost)
	case i%s.config.Rules.Checkpoint == 0:
		c := s.checkpoint()
		s.actions = append(s.actions, Action{Do: SendCheckpoint, Checkpoint: &c})
	}
}

// progress reports whether something came from the other side between two
// samples: packets, or a receiver report about new ones.
func (s *Session) progress(a, b Sample) bool {
	if s.part.Side == Challenger {
		return b.Packets > a.Packets
	}
	return b.Expected > a.Expected
}

func (s *Session) checkpoint() Checkpoint {
	c := Checkpoint{Part: s.part, Count: uint32(len(s.samples)), Chain: s.chain}
	c.sign(s.config.Key)
	return c
}

// Hear takes a checkpoint of the other side. Old ones are left; the error wraps
// ErrContradiction for one that another of the same count contradicts, or is that
// of Checkpoint.Verify.
func (s *Session) Hear(c Checkpoint) error {
	if c.Part != s.part.peer() {
		return fmt.Errorf("%w: the checkpoint is of %s for %s", ErrForeign, c.Node, c.Peer)
	}
	if err := c.Verify(&s.config.Order); err != nil {
		return err
	}
	switch {
	case s.heard != nil && c.Count == s.heard.Count && c.Chain != s.heard.Chain:
		return fmt.Errorf("%w: %s signed two chains of %d samples", ErrContradiction, c.Node, c.Count)
	case s.heard == nil || c.Count > s.heard.Count:
		s.heard = &c
	}
	return nil
}

// Advertise says that the node's record has changed. A test that hurts paying
// sessions ends.
func (s *Session) Advertise(a Advertised) {
	s.config.Advertised = a
	if s.report == nil && s.phase != ended && a.Hurts(&s.config.Order, s.part.Side, s.config.Rules) {
		s.end(Withdrawn)
	}
}

// Stop ends the session because the node is stopped, or its shell failed.
func (s *Session) Stop() {
	if s.report == nil && s.phase != ended {
		s.end(Stopped)
	}
}

// CPU sets what the node used of its processors while it was measured, in
// thousandths of one. It is called before the last Measured.
func (s *Session) CPU(millis uint32) { s.cpuMillis = millis }

// end makes the report. A Prover whose samples are all there sends on for a
// while, so that the Challenger measures a stream to its own end.
func (s *Session) end(how End) {
	s.asked = false
	s.report = &Report{
		Part: s.part, End: how, Advertised: s.config.Advertised, CPUMillis: s.cpuMillis,
		Heard: s.heard, Samples: s.samples,
	}
	if how != Completed || s.part.Side != Prover {
		s.finish()
	}
}

func (s *Session) finish() {
	s.phase = ended
	s.stopStream()
	s.do(Close)
	s.report.Heard = s.heard
	s.report.sign(s.config.Key)
	s.actions = append(s.actions, Action{Do: Finish, Report: s.report})
}

func (s *Session) stopStream() {
	if s.streaming {
		s.streaming = false
		s.do(StopStream)
	}
}
