package control

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode/negotiate"
)

func TestMatch_findsTheSectionOfEachAnnouncedTrack(t *testing.T) {
	video := func(mid, cid string) negotiate.Receive {
		return negotiate.Receive{Mid: mid, Kind: negotiate.Video, CID: cid, Active: true}
	}
	audio := func(mid, cid string) negotiate.Receive {
		return negotiate.Receive{Mid: mid, Kind: negotiate.Audio, CID: cid, Active: true}
	}
	announce := func(id drtc.TrackID, kind negotiate.Kind, cid string) *publication {
		return &publication{id: id, kind: kind, cid: cid}
	}
	idle := video("3", "cam")
	idle.Active = false
	for name, c := range map[string]struct {
		receive   []negotiate.Receive
		announced []*publication
		want      map[drtc.TrackID]string
	}{
		"by client-side id": {
			[]negotiate.Receive{video("1", "screen"), video("2", "cam"), audio("3", "mic")},
			[]*publication{announce("TR_cam", negotiate.Video, "cam"), announce("TR_screen", negotiate.Video, "screen")},
			map[drtc.TrackID]string{"TR_cam": "2", "TR_screen": "1"},
		},
		"the only one of its kind, under another id": {
			[]negotiate.Receive{video("1", "{uuid}"), audio("2", "mic")},
			[]*publication{announce("TR_cam", negotiate.Video, "cam"), announce("TR_mic", negotiate.Audio, "mic")},
			map[drtc.TrackID]string{"TR_cam": "1", "TR_mic": "2"},
		},
		"two of a kind under other ids are not guessed": {
			[]negotiate.Receive{video("1", "x"), video("2", "y")},
			[]*publication{announce("TR_cam", negotiate.Video, "cam"), announce("TR_screen", negotiate.Video, "screen")},
			map[drtc.TrackID]string{},
		},
		"not on a section that stopped": {
			[]negotiate.Receive{idle},
			[]*publication{announce("TR_cam", negotiate.Video, "cam")},
			map[drtc.TrackID]string{},
		},
	} {
		s := &session{published: map[drtc.TrackID]*publication{}}
		s.match(c.receive, c.announced)
		if len(s.published) != len(c.want) {
			t.Errorf("%s: got %d matches, want %d", name, len(s.published), len(c.want))
		}
		for id, mid := range c.want {
			if p := s.published[id]; p == nil || p.mid != mid {
				t.Errorf("%s: %s: got %v, want mid %s", name, id, p, mid)
			}
		}
	}
}

func TestEnded_namesTracksWhoseSectionStoppedOrChanged(t *testing.T) {
	s := &session{published: map[drtc.TrackID]*publication{
		"TR_stays": {id: "TR_stays", mid: "1", cid: "a"}, "TR_stopped": {id: "TR_stopped", mid: "2", cid: "b"},
		"TR_gone": {id: "TR_gone", mid: "3", cid: "c"}, "TR_replaced": {id: "TR_replaced", mid: "4", cid: "d"},
	}}
	got := s.ended([]negotiate.Receive{
		{Mid: "1", CID: "a", Active: true}, {Mid: "2", CID: "b"}, {Mid: "4", CID: "new", Active: true},
	}, []*publication{{id: "TR_new", cid: "new"}})
	slices.Sort(got)
	if want := []drtc.TrackID{"TR_gone", "TR_replaced", "TR_stopped"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if s.published["TR_stays"] == nil {
		t.Error("a track that goes on was ended")
	}
}

// newService is a service without media: enough for what touches no packet.
func newService(t *testing.T) *Service {
	t.Helper()
	return New(Config{
		Candidates: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:7882")}, OrphanAfter: time.Minute,
		Fingerprint: negotiate.Fingerprint{Algorithm: "sha-256", Sum: make([]byte, 32)},
		Instance:    "run",
	}, nil)
}

func (s *Service) addSession(t *testing.T, owner drtc.NodeID, id drtc.SessionID) *session {
	t.Helper()
	l, err := newLeg(s.cfg, s.newPeer(), negotiate.Answerer)
	if err != nil {
		t.Fatal(err)
	}
	e := &session{owner: owner, id: id, room: scoped(owner, "RM_1"), publisher: l, subscriber: l}
	if err := s.admit(e); err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSweep_endsTheSessionsOfAnOrchestratorThatStaysAway(t *testing.T) {
	s := newService(t)
	away, here := drtc.NodeID{1}, drtc.NodeID{2}
	s.addSession(t, away, "SE_away")
	s.addSession(t, here, "SE_here")
	s.feeds[feedKey{owner: here}].open(time.Now().Add(time.Hour))
	s.sweep(time.Now().Add(59 * time.Second))
	if got := s.Sessions(); got != 2 {
		t.Fatalf("before the grace is over: %d sessions, want 2", got)
	}
	s.sweep(time.Now().Add(2 * time.Minute))
	if s.Sessions() != 1 || s.sessions[key{here, "SE_here"}] == nil {
		t.Fatalf("after it: %d sessions, want only the one whose Orchestrator is here", s.Sessions())
	}
	events, _, _ := s.feeds[feedKey{owner: away}].after(0)
	if len(events) != 1 || events[0].GetSessionState().GetState() != medianodev1.SessionState_STATE_CLOSED {
		t.Errorf("the feed says %v, want that the session closed", events)
	}
	s.sweep(time.Now().Add(3 * time.Minute))
	if s.feeds[feedKey{owner: away}] != nil {
		t.Error("the feed of an Orchestrator without sessions is kept")
	}
}

func TestCaller_unauthenticatedCallsAreRefused(t *testing.T) {
	_, err := newService(t).GetSession(context.Background(), connect.NewRequest(&medianodev1.GetSessionRequest{Session: "x"}))
	if connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("got %v, want unauthenticated", err)
	}
}

func TestNewICE_isLongAndNeverTheSame(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		c := newICE()
		if len(c.Ufrag) < 4 || len(c.Pwd) < 22 || seen[c.Ufrag] {
			t.Fatalf("got %q and a password of %d characters", c.Ufrag, len(c.Pwd))
		}
		seen[c.Ufrag] = true
		for _, r := range c.Ufrag + c.Pwd {
			if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '+' || r == '/') {
				t.Fatalf("%q is no ice-char (RFC 8839 section 5.4)", r)
			}
		}
	}
}
