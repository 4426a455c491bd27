package control

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc/medianode/engine"
)

// The reasons for which a new session is refused, for Config.Refused.
const (
	RefusedDraining = "draining" // the node is about to stop
	RefusedSessions = "sessions" // as many as Config.MaxSessions
	RefusedEgress   = "egress"   // Config.CapacityBps is nearly used up
	RefusedOverload = "overload" // the node leaves out video already
	RefusedReceipts = "receipts" // the Orchestrator has not signed for what it was served
)

// egressShare is the part of Config.CapacityBps up to which sessions are
// admitted: those that are there may still grow.
const egressShare = 0.95

// overloadLasts is how long a core's report of an overload stands. A core that
// is overloaded reports each second.
const overloadLasts = 3 * time.Second

// Shedding is what the node leaves out since it cannot serve all.
type Shedding struct {
	// Ratio of the video, 0 to 1, of the core that leaves out most.
	Ratio float64
	// Subscriptions without video, or on a lower layer than they would be.
	Subscriptions int
}

// pressure is how the node copes. The zero value copes well.
type pressure struct {
	mu        sync.Mutex // guards what follows
	egress    uint64     // bits per second
	overloads map[engine.CoreID]overload
}

type overload struct {
	report engine.Overload
	until  time.Time
}

func (p *pressure) setEgress(bps uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.egress = bps
}

func (p *pressure) egressBps() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.egress
}

// observe takes a core's report.
func (p *pressure) observe(now time.Time, e engine.Overload) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.overloads == nil {
		p.overloads = map[engine.CoreID]overload{}
	}
	p.overloads[e.Core] = overload{report: e, until: now.Add(overloadLasts)}
}

func (p *pressure) shedding(now time.Time) (s Shedding) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.overloads {
		if now.Before(o.until) {
			s.Ratio = max(s.Ratio, o.report.Ratio)
			s.Subscriptions += o.report.Paused + o.report.Lowered
		}
	}
	return s
}

// ReportEgress tells how much the node sends, bits per second.
func (s *Service) ReportEgress(bps uint64) { s.pressure.setEgress(bps) }

// Shedding is what the node leaves out at the moment.
func (s *Service) Shedding() Shedding { return s.pressure.shedding(time.Now()) }

// refusal says why a new session would be refused with so many there already,
// as one of the reasons above and in words; both empty when it would not.
func (s *Service) refusal(sessions int) (reason, text string) {
	egress, shed := s.pressure.egressBps(), s.Shedding()
	switch {
	case s.draining.Load():
		return RefusedDraining, "node is draining and takes no new sessions"
	case sessions >= s.cfg.MaxSessions:
		return RefusedSessions, fmt.Sprintf("node is full: %d of %d sessions", sessions, s.cfg.MaxSessions)
	case shed.Ratio > 0:
		return RefusedOverload, fmt.Sprintf("node is overloaded: it leaves out %.0f %% of its video", max(100*shed.Ratio, 1))
	case s.cfg.CapacityBps > 0 && float64(egress) >= egressShare*float64(s.cfg.CapacityBps):
		return RefusedEgress, fmt.Sprintf("node is full: it sends %.1f of %.1f Mbit/s", float64(egress)/1e6, float64(s.cfg.CapacityBps)/1e6)
	}
	return "", ""
}

// admits returns an error with the reason if the node takes no session beside
// so many.
func (s *Service) admits(sessions int) error {
	reason, text := s.refusal(sessions)
	if reason == "" {
		return nil
	}
	s.cfg.Refused(reason)
	return connect.NewError(connect.CodeResourceExhausted, errors.New(text))
}
