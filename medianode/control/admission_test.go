package control

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/negotiate"
)

// Whatever refuses sessions, the call and the heartbeat name it alike, and it is
// counted.
func TestAdmit_namesWhatRefuses(t *testing.T) {
	for reason, c := range map[string]struct {
		prepare func(*Service)
		says    string
	}{
		RefusedDraining: {func(s *Service) { s.draining.Store(true) }, "draining"},
		RefusedSessions: {func(s *Service) { s.cfg.MaxSessions = 1; s.addSession(t, drtc.NodeID{1}, "SE_0") }, "1 of 1 sessions"},
		RefusedEgress:   {func(s *Service) { s.cfg.CapacityBps = 10e6; s.ReportEgress(9_600_000) }, "9.6 of 10.0 Mbit/s"},
		RefusedOverload: {func(s *Service) { s.OnEvent(engine.Overload{Core: 3, Ratio: 0.25, Paused: 2, Lowered: 1}) }, "25 % of its video"},
	} {
		t.Run(reason, func(t *testing.T) {
			s := newService(t)
			var refused []string
			s.cfg.Refused = func(reason string) { refused = append(refused, reason) }
			if got := s.beat().GetRefuses(); got != "" {
				t.Fatalf("a node with nothing to do refuses: %q", got)
			}
			c.prepare(s)
			if got := s.beat().GetRefuses(); !strings.Contains(got, c.says) {
				t.Errorf("heartbeat says %q, want %q in it", got, c.says)
			}
			l, err := newLeg(s.cfg, s.newPeer(), negotiate.Answerer)
			if err != nil {
				t.Fatal(err)
			}
			err = s.admit(&session{owner: drtc.NodeID{1}, id: "SE_1", publisher: l, subscriber: l})
			if connect.CodeOf(err) != connect.CodeResourceExhausted || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want resource_exhausted with %q", err, c.says)
			}
			if fmt.Sprint(refused) != "["+reason+"]" {
				t.Errorf("counted %v, want %s once", refused, reason)
			}
		})
	}
}

func (s *Service) beat() *medianodev1.Heartbeat {
	return s.heartbeat(newFeed(time.Now()), drtc.NodeID{1}).GetHeartbeat()
}

// What each core leaves out is put together, and forgotten when a core has
// nothing more to say.
func TestShedding_ofAllCores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newService(t)
		s.OnEvent(engine.Overload{Core: 0, Ratio: 0.25, Paused: 2, Lowered: 1})
		s.OnEvent(engine.Overload{Core: 1, Ratio: 0.5, Paused: 4})
		if got, want := s.Shedding(), (Shedding{Ratio: 0.5, Subscriptions: 7}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if got := s.beat().GetShedRatio(); got != 0.5 {
			t.Errorf("heartbeat says %v, want 0.5", got)
		}
		s.OnEvent(engine.Overload{Core: 1})
		if got, want := s.Shedding(), (Shedding{Ratio: 0.25, Subscriptions: 3}); got != want {
			t.Errorf("one core recovered: got %+v, want %+v", got, want)
		}
		time.Sleep(overloadLasts)
		if got := s.Shedding(); got != (Shedding{}) {
			t.Errorf("the other fell silent: got %+v, want nothing", got)
		}
	})
}

func TestSettings_carryThePriority(t *testing.T) {
	if got := settingsOf(&medianodev1.TrackSettings{Width: 2, Height: 1, Priority: 7}); got.Priority != 7 {
		t.Errorf("got %+v, want priority 7", got)
	}
}

// A dual session's figures are those of both transports, whichever reports.
func TestFigures_ofBothTransports(t *testing.T) {
	e := &session{dual: true, publisher: &leg{peer: 1}, subscriber: &leg{peer: 2}}
	e.whole(engine.PeerReport{Peer: 1, Figures: engine.Figures{ReceivedBytes: 100, ClientBytes: 1, SentBytes: 1, Connected: true}})
	got := e.whole(engine.PeerReport{Peer: 2, Figures: engine.Figures{
		ClientBytes: 20, SentBytes: 30, RelayBytes: 4, DownlinkLoss: 0.5, RoundTrip: time.Second, AddressChanges: 1,
	}})
	want := engine.Figures{
		ReceivedBytes: 100, ClientBytes: 21, SentBytes: 31, RelayBytes: 4, DownlinkLoss: 0.5,
		RoundTrip: time.Second, AddressChanges: 1, Connected: true,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
