package control

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode/engine"
)

// stream is an Orchestrator's event stream and what came of it.
type stream struct {
	got   []*medianodev1.EventsResponse
	sends int // how often something was written
	err   error
	end   context.CancelFunc
	stuck chan struct{} // if set, nothing is written until it is closed
}

// openStream follows the events of owner; it must be called in a synctest bubble.
func (s *Service) openStream(owner drtc.NodeID) *stream {
	ctx, cancel := context.WithCancel(context.Background())
	st := &stream{end: cancel}
	go func() {
		st.err = s.follow(ctx, owner, &medianodev1.EventsRequest{}, func(batch ...*medianodev1.EventsResponse) error {
			if st.stuck != nil {
				<-st.stuck
			}
			st.sends++
			st.got = append(st.got, batch...)
			return nil
		})
	}()
	synctest.Wait()
	return st
}

// reports lists the figures that the stream carried, by session.
func (st *stream) reports() map[string][]*medianodev1.SessionFigures {
	out := map[string][]*medianodev1.SessionFigures{}
	for _, m := range st.got {
		for _, r := range m.GetHeartbeat().GetReports() {
			out[r.Session] = append(out[r.Session], r.Figures)
		}
	}
	return out
}

// tell is a report of the engine.
func (s *Service) tell(e *session, received uint64) {
	s.OnEvent(engine.PeerReport{Peer: e.publisher.peer, Figures: engine.Figures{ReceivedBytes: received}})
}

var owner = drtc.NodeID{1}

// In a room where nothing happens the stream carries two messages a second, and
// everybody's figures in them.
func TestFollow_steadyRoomCostsItsHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const people, seconds = 100, 60
		s := newService(t)
		var sessions []*session
		for i := range people {
			sessions = append(sessions, s.addSession(t, owner, drtc.SessionID(fmt.Sprint("SE_", i))))
		}
		st := s.openStream(owner)
		defer st.end()
		st.got, st.sends = nil, 0 // the first heartbeat and the resync
		time.Sleep(time.Millisecond)
		for i := range seconds * people / 5 { // each reports every 5 s
			s.tell(sessions[i%people], uint64(i))
			time.Sleep(5 * time.Second / people)
		}
		time.Sleep(heartbeat) // the last ones
		synctest.Wait()
		if want := 2*seconds + 1; len(st.got) != want || st.sends != want {
			t.Errorf("%d messages in %d writes in %d s, want %d of both", len(st.got), st.sends, seconds, want)
		}
		told := st.reports()
		for _, e := range sessions {
			if got := len(told[string(e.id)]); got != seconds/5 {
				t.Errorf("%s: %d reports came, want %d", e.id, got, seconds/5)
			}
		}
	})
}

func TestFollow_heartbeatsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		const people = 2*maxReports + 10
		s.cfg.MaxSessions = people
		for i := range people {
			s.tell(s.addSession(t, owner, drtc.SessionID(fmt.Sprint("SE_", i))), 1)
		}
		st := s.openStream(owner)
		defer st.end()
		time.Sleep(2 * heartbeat)
		synctest.Wait()
		var sizes []int
		for _, m := range st.got {
			if h := m.GetHeartbeat(); h != nil {
				sizes = append(sizes, len(h.Reports))
			}
		}
		if want := []int{maxReports, maxReports, 10}; !slices.Equal(sizes, want) {
			t.Errorf("heartbeats carried %v reports, want %v", sizes, want)
		}
		if got := len(st.reports()); got != people {
			t.Errorf("figures of %d sessions came, want %d", got, people)
		}
	})
}

// What a stream carried when it was cut, or was about to, the next one carries.
func TestFollow_takeoverLosesNoReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		a, b := s.addSession(t, owner, "SE_a"), s.addSession(t, owner, "SE_b")
		old := s.openStream(owner)
		s.tell(a, 1)
		time.Sleep(heartbeat)
		synctest.Wait()
		old.stuck = make(chan struct{})
		s.tell(b, 2)
		time.Sleep(heartbeat) // b's figures are in a write that hangs
		newer := s.openStream(owner)
		s.tell(b, 3)
		close(old.stuck)
		synctest.Wait()
		if connect.CodeOf(old.err) != connect.CodeAborted {
			t.Errorf("the older stream ended with %v, want aborted", old.err)
		}
		time.Sleep(heartbeat)
		synctest.Wait()
		defer newer.end()
		told := newer.reports()
		if len(told["SE_a"]) != 1 || told["SE_a"][0].ReceivedBytes != 1 {
			t.Errorf("of a the new stream says %v, want its figures once", told["SE_a"])
		}
		if got := told["SE_b"]; len(got) != 2 || got[0].ReceivedBytes != 2 || got[1].ReceivedBytes != 3 {
			t.Errorf("of b the new stream says %v, want 2 and then 3", got)
		}
	})
}

// The end of a session tells its last figures, and nothing of it is kept.
func TestEnd_tellsTheLastFigures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		e, quiet := s.addSession(t, owner, "SE_1"), s.addSession(t, owner, "SE_2")
		s.tell(e, 7)
		s.end(e, "closed")
		s.tell(e, 8) // the engine's last word, late
		s.end(quiet, "closed")
		f := s.feeds[feedKey{owner: owner}]
		events, _, _ := f.after(0)
		if len(events) != 2 || events[0].GetSessionState().GetFigures().GetReceivedBytes() != 7 || events[1].GetSessionState().GetFigures() != nil {
			t.Errorf("got %v, want the end of both, with 7 bytes of the first and no figures of the second", events)
		}
		if len(f.reports.newest) != 0 || len(f.reports.waiting) != 0 {
			t.Errorf("kept %v and %v, want nothing", f.reports.newest, f.reports.waiting)
		}
	})
}

func TestOnPeerReport_leavesOutWhatNobodyReads(t *testing.T) {
	s := newService(t)
	e := s.addSession(t, owner, "SE_1")
	e.unreported = true
	s.tell(e, 7)
	if got := s.feeds[feedKey{owner: owner}].waiting(); len(got) != 0 {
		t.Errorf("got %v, want no report", got)
	}
}

// Whatever happens, each session's newest figures wait once until they were
// carried, and nothing is kept of sessions that are gone.
func TestReports_likeAModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := reports{newest: map[drtc.SessionID]*noted{}}
		live, due := map[drtc.SessionID]uint64{}, map[drtc.SessionID]bool{}
		var underway []*medianodev1.SessionReport
		for n := range rapid.IntRange(1, 200).Draw(rt, "steps") {
			id := drtc.SessionID(rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "session"))
			switch rapid.SampledFrom([]string{"note", "note", "next", "sent", "again", "drop"}).Draw(rt, "step") {
			case "note":
				live[id], due[id] = uint64(n), true
				r.note(id, &medianodev1.SessionFigures{ReceivedBytes: uint64(n)})
			case "next":
				underway = r.next()
			case "sent":
				for _, u := range underway {
					if id := drtc.SessionID(u.Session); live[id] == u.Figures.ReceivedBytes {
						delete(due, id)
					}
				}
				r.sent(underway)
				underway = nil
			case "again":
				underway = nil // of a stream that is gone
				for id := range live {
					due[id] = true
				}
				r.again()
			case "drop":
				got, ok := r.drop(id), false
				if _, ok = live[id]; ok != (got != nil) || ok && got.ReceivedBytes != live[id] {
					rt.Fatalf("%s ended with %v, want %d", id, got, live[id])
				}
				delete(live, id)
				delete(due, id)
			}
			if len(r.newest) != len(live) || len(r.waiting) != len(due) {
				rt.Fatalf("%d sessions of which %d wait, want %d and %d", len(r.newest), len(r.waiting), len(live), len(due))
			}
			for _, got := range r.next() {
				if id := drtc.SessionID(got.Session); !due[id] || got.Figures.ReceivedBytes != live[id] {
					rt.Fatalf("%v waits, want %d (%v)", got, live[id], due[id])
				}
			}
		}
	})
}
