package room

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestLobby_onlyHostsHearOfThoseWhoWait(t *testing.T) {
	m := newMeeting(t)
	m.come("ann")
	m.want("ann", RoleHost, false)
	m.come("bob")
	m.must(Accept{Identity: "bob"})
	lines := m.come("cid")
	m.want("cid", "", true)
	if !mentions(about(lines, "ann"), "cid v1 joined meta= map[drtc.lobby:waiting]") {
		t.Errorf("the host heard %q, want that cid waits", about(lines, "ann"))
	}
	if got := about(lines, "bob"); mentions(got, "cid") {
		t.Errorf("bob heard %q of one who waits", got)
	}
	if got := about(lines, "cid"); mentions(got, "ann") || mentions(got, "bob") || !mentions(got, "others=[]") {
		t.Errorf("cid heard %q, want nothing of others", got)
	}
	if n := m.room.Info().Participants; n != 2 {
		t.Errorf("%d participants are counted, want 2", n)
	}
	if got := m.room.Lobby(); len(got) != 1 || got[0].Identity != "cid" {
		t.Errorf("the lobby has %v, want cid", got)
	}

	// What happens inside is not told outside.
	m.do("track bob a1")
	lines = append(m.do("live bob a1"), m.do("speak bob:0.9")...)
	lines = append(lines, m.do("leave bob")...)
	if got := about(lines, "cid"); mentions(got, "bob") || mentions(got, "Speakers") || mentions(got, "MaySubscribe") {
		t.Errorf("cid heard %q", got)
	}
	if mentions(lines, "SE_cid: subscribe") {
		t.Errorf("cid was subscribed: %q", lines)
	}
	lines = m.do("leave cid")
	if !mentions(about(lines, "ann"), "cid v3 gone") {
		t.Errorf("the host heard %q, want that cid has gone", about(lines, "ann"))
	}
}

func TestLobby_whoWaitsMayDoNothingUntilAccepted(t *testing.T) {
	m := newMeeting(t)
	m.come("ann")
	m.do("track ann a1")
	m.do("live ann a1")
	for _, e := range m.handle(func() Command {
		j, _ := m.command("join", "bob", split([]string{"meta"})).(Join)
		j.Lobby = true
		return j
	}()) {
		if to, ok := e.(ToNode); ok {
			if c, ok := to.Command.(OpenSession); ok && !c.Permission.equal(Permission{}) {
				t.Errorf("the node was told %+v, want no permission at all", c.Permission)
			}
		}
	}
	m.do("open bob")
	m.do("connected bob")
	m.do("offer bob 1")
	m.do("answer bob 1")
	if got := m.do("track bob b1"); !mentions(got, fmt.Sprintf("failure=%d you are in the lobby", FailureNotAllowed)) {
		t.Errorf("publishing was answered by %q", got)
	}
	if got := m.do("subscribe bob a1"); mentions(got, "subscribe") {
		t.Errorf("subscribing had the effects %q", got)
	}
	lines := m.must(Accept{Identity: "bob"})
	if i, j, k := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, "bob#2 <- update [ann") }),
		slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, "SE_bob: ChangePermission") }),
		slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, "SE_bob: subscribe TR_a1") }); i < 0 || j < i || k < j {
		t.Errorf("want others, permission and tracks in this order, got %q", lines)
	}
	if !mentions(about(lines, "ann"), "update [bob v") || !mentions(about(lines, "bob"), "token") {
		t.Errorf("got %q, want that ann hears of bob and bob gets a token", lines)
	}
	if got := m.do("track bob b1"); !mentions(got, "published TR_b1") {
		t.Errorf("publishing was answered by %q", got)
	}
	if _, err := m.room.Administer(m.now, Accept{Identity: "bob"}); !errors.Is(err, ErrNotWaiting) {
		t.Errorf("accepting twice: got %v, want ErrNotWaiting", err)
	}
}

// The token that one gets while it waits is as good as that with which it came.
func TestLobby_refreshedTokensKeepWhatWasGranted(t *testing.T) {
	m := newMeeting(t)
	m.come("ann")
	j, _ := m.command("join", "bob", split(nil)).(Join)
	j.Lobby, j.Role, j.Attributes = true, RoleSpeaker, map[string]string{AttributeLobby: "no", "team": "red"}
	effects := append(m.handle(j), m.line(t, "open bob")...)
	for _, e := range effects {
		c, ok := e.(ToClient)
		if !ok {
			continue
		}
		if token, ok := c.Message.(RefreshToken); ok && m.names[c.Conn] == "bob" {
			if !token.Permission.Publish || token.Permission.Hidden {
				t.Errorf("the token permits %+v, want what it permitted before", token.Permission)
			}
			want := map[string]string{"team": "red", AttributeRole: RoleSpeaker}
			if fmt.Sprint(token.Attributes) != fmt.Sprint(want) {
				t.Errorf("the token has the attributes %v, want %v", token.Attributes, want)
			}
			return
		}
	}
	t.Error("no token came")
}

func TestLobby_deniedAndItsTokens(t *testing.T) {
	m := newMeeting(t)
	m.come("ann")
	m.come("bob")
	lines := m.must(Deny{Identity: "bob", TokensFrom: m.now})
	if !mentions(about(lines, "bob"), fmt.Sprintf("goodbye reason=%d action=%d", ParticipantRemoved, Disconnect)) || !mentions(about(lines, "ann"), "bob v3 gone") {
		t.Errorf("got %q, want that bob is removed and ann hears of it", lines)
	}
	if lines = m.come("bob"); !mentions(lines, "goodbye") {
		t.Errorf("bob knocked again with the same token: %q", lines)
	}
	if _, err := m.room.Administer(m.now, Deny{Identity: "ann"}); !errors.Is(err, ErrNotWaiting) {
		t.Errorf("denying one who is inside: got %v, want ErrNotWaiting", err)
	}
}

func TestLobby_isBoundedAndTakesNoPlaces(t *testing.T) {
	m := newMeeting(t)
	m.room.config.MaxParticipants = 2
	m.come("ann")
	for i := range maxLobby {
		m.come(fmt.Sprintf("p%d", i))
	}
	if lines := m.come("late"); !mentions(lines, "late#102 refused: the lobby is full") {
		t.Errorf("one more than %d got %q", maxLobby, lines[max(0, len(lines)-3):])
	}
	m.must(Accept{Identity: "p0"})
	if _, err := m.room.Administer(m.now, Accept{Identity: "p1"}); !errors.Is(err, ErrFull) {
		t.Errorf("one above the room's bound: got %v, want ErrFull", err)
	}
	for _, j := range []func(*Join){
		func(j *Join) { j.Watch = &Watch{Audio: 1} },
		func(j *Join) { j.Client.Kind = KindIngress },
	} {
		if lines := m.come("late", j); !mentions(lines, "refused: the room has a lobby") {
			t.Errorf("got %q, want a refusal", lines)
		}
	}
}

func TestLobby_whoWasLetInComesBackWithoutWaiting(t *testing.T) {
	m := newMeeting(t)
	m.come("ann")
	m.come("bob")
	m.come("cid")
	m.must(Accept{Identity: "bob"})
	for _, gone := range []struct {
		how  func()
		name string
		wait bool
	}{
		{func() { m.do("drop bob") }, "bob", false}, // and joins anew in its grace time
		{func() { m.do("drop cid") }, "cid", true},
		{func() { m.must(Expel{Identity: "bob"}) }, "bob", true},
	} {
		gone.how()
		m.come(gone.name)
		m.want(gone.name, "", gone.wait)
	}
	m.must(Accept{Identity: "bob"})
	m.do("lost 1") // its client can't resume, and is told to join anew
	m.home = nodeID("2")
	m.come("bob")
	m.want("bob", "", false)
	m.come("ann")
	m.want("ann", RoleHost, false)
}
