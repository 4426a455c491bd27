package room

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// meeting is a room whose first participant is host and whose others wait, for
// as long as rules and lobby say so.
type meeting struct {
	*scenario
	t     *testing.T
	rules Rules
	lobby bool
}

func newMeeting(t *testing.T) *meeting {
	m := &meeting{scenario: newScenario(), t: t, rules: Rules{Succession: Succession{On: true}}, lobby: true}
	m.home, m.asked = nodeID("1"), true
	return m
}

// come joins somebody, changed by with, and brings it to the end of its way.
func (m *meeting) come(name string, with ...func(*Join)) []string {
	m.t.Helper()
	j, _ := m.command("join", name, split([]string{"meta"})).(Join)
	rules := m.rules
	j.Lobby, j.Rules = m.lobby, &rules
	for _, change := range with {
		change(&j)
	}
	effects := m.handle(j)
	effects = append(effects, m.line(m.t, "open "+name)...)
	return m.lines(append(effects, m.line(m.t, "connected "+name)...))
}

func (m *meeting) lines(effects []Effect) (lines []string) {
	for _, e := range effects {
		lines = append(lines, m.effect(e))
	}
	return lines
}

func (m *meeting) do(line string) []string { m.t.Helper(); return m.lines(m.line(m.t, line)) }

// must gives an order that is obeyed.
func (m *meeting) must(o Order) []string {
	m.t.Helper()
	effects, err := m.room.Administer(m.now, o)
	if err != nil {
		m.t.Fatalf("%T: %v", o, err)
	}
	return m.lines(m.plan(effects))
}

func (m *meeting) want(name, role string, waits bool) {
	m.t.Helper()
	p, ok := m.room.Participant(drtc.Identity(name))
	lobby := ""
	if waits {
		lobby = Waiting
	}
	if !ok || p.Attributes[AttributeRole] != role || p.Attributes[AttributeLobby] != lobby {
		m.t.Errorf("%s (there: %v) has the attributes %v, want role %q and lobby %q", name, ok, p.Attributes, role, lobby)
	}
}

// about keeps the lines that one client gets.
func about(lines []string, name string) (own []string) {
	for _, l := range lines {
		if strings.HasPrefix(l, name+"#") {
			own = append(own, l)
		}
	}
	return own
}

func mentions(lines []string, text string) bool {
	return slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, text) })
}

func as(role string) func(*Join) { return func(j *Join) { j.Role = role } }

func TestHost_joinOrderDecides(t *testing.T) {
	m := newMeeting(t)
	m.lobby = false
	m.come("hid", func(j *Join) { j.Permission.Hidden = true })
	m.come("bot", func(j *Join) { j.Client.Kind = 4 })
	for _, name := range []string{"ann", "bob", "cid"} {
		m.come(name)
		m.now = m.now.Add(time.Second)
	}
	if got := m.room.Hosts(); !slices.Equal(got, []drtc.Identity{"ann"}) {
		t.Fatalf("hosts are %v, want ann", got)
	}
	m.do("drop bob") // the oldest, but not there
	lines := m.do("leave ann")
	m.want("cid", RoleHost, false)
	if !mentions(about(lines, "cid"), "map[drtc.role:host]") {
		t.Errorf("cid heard %q, want that it is host", about(lines, "cid"))
	}
	m.do("resume bob")
	m.do("inspected bob")
	m.do("leave cid")
	m.want("bob", RoleHost, false)
	m.do("leave bob")
	if got := m.room.Hosts(); len(got) != 0 {
		t.Errorf("hosts are %v, want nobody of those who can't lead", got)
	}
}

// A host whose connection is lost stays host while it may come back, also when
// it must join anew and when the Orchestrator starts again in between.
func TestHost_thatReconnectsKeepsIt(t *testing.T) {
	m := newMeeting(t)
	m.lobby = false
	m.come("ann")
	m.come("bob")
	m.do("drop ann")
	lines := m.lines(m.after(DefaultConfig().Grace - time.Second))
	m.want("ann", RoleHost, false)
	if mentions(lines, "drtc.role:host") {
		t.Errorf("the room found another host: %q", lines)
	}
	m.do("save")
	m.do("synced 1 ann bob")
	m.want("ann", RoleHost, false)
	m.come("ann")
	m.want("ann", RoleHost, false)

	m.do("dismiss ann") // for good
	m.want("bob", RoleHost, false)
	m.come("ann")
	m.want("ann", "", false)

	// Told to join anew: kept for a while, then handed over.
	m.handle(Dismiss{Participant: pa("bob"), Reason: Migration, Action: Reconnect})
	m.want("ann", "", false)
	m.do("save")
	m.do("synced 1 ann")
	m.do("resume ann")
	m.do("inspected ann")
	m.after(comebackWithin - time.Second)
	m.want("ann", "", false)
	m.after(2 * time.Second)
	m.want("ann", RoleHost, false)
}

func TestHost_byRole(t *testing.T) {
	m := newMeeting(t)
	m.lobby = false
	m.rules.Succession.Roles = []string{"deputy", RoleSpeaker}
	m.come("eve", as(RoleViewer))
	m.want("eve", RoleViewer, false)
	m.come("ann", as(RoleSpeaker)) // for want of another
	m.want("ann", RoleHost, false)
	m.come("bob", as("deputy"))
	m.come("cid", as(RoleHost))
	m.want("cid", RoleHost, false)
	m.want("ann", RoleSpeaker, false)
	m.do("leave cid")
	m.want("bob", RoleHost, false)
	m.do("leave bob")
	m.do("leave ann")
	m.want("eve", RoleViewer, false)
}

func TestHost_explicitAndHandedOver(t *testing.T) {
	m := newMeeting(t)
	m.rules, m.lobby = Rules{}, false
	m.come("ann", as(RoleHost))
	m.come("bob")
	m.come("eve", func(j *Join) { j.Lobby = true })
	by := func(who drtc.Identity, o Order) error {
		_, err := m.room.Administer(m.now, Moderate{By: who, Order: o})
		return err
	}
	if err := by("bob", Appoint{Identity: "bob"}); !errors.Is(err, ErrNotHost) {
		t.Errorf("bob appoints himself: got %v, want ErrNotHost", err)
	}
	if err := by("eve", Accept{Identity: "eve"}); !errors.Is(err, ErrNotHost) {
		t.Errorf("eve lets herself in: got %v, want ErrNotHost", err)
	}
	if err := by("ann", Appoint{Identity: "eve"}); !errors.Is(err, ErrNoParticipant) {
		t.Errorf("a host who waits: got %v, want ErrNoParticipant", err)
	}
	lines := m.must(Moderate{By: "ann", Order: Appoint{Identity: "bob", InPlaceOf: "ann"}})
	m.want("bob", RoleHost, false)
	m.want("ann", RoleSpeaker, false)
	if !mentions(about(lines, "bob"), "[eve v2 active") || !mentions(about(lines, "ann"), "[eve v3 gone") {
		t.Errorf("got %q, want that eve is known to the new host and gone for the old one", lines)
	}
	if err := by("ann", Silence{Identity: "bob"}); !errors.Is(err, ErrNotHost) {
		t.Errorf("ann after she handed over: got %v, want ErrNotHost", err)
	}
	m.must(Appoint{Identity: "ann"}) // by the application's server, besides
	if got := m.room.Hosts(); !slices.Equal(got, []drtc.Identity{"ann", "bob"}) {
		t.Errorf("hosts are %v, want both", got)
	}
	m.do("leave bob")
	m.do("leave ann")
	if got := m.room.Hosts(); len(got) != 0 {
		t.Errorf("hosts are %v, want nobody: only explicit ones are", got)
	}
}

func TestHost_mutesAndRemoves(t *testing.T) {
	m := newMeeting(t)
	m.lobby = false
	m.come("ann")
	m.come("bob")
	for _, cid := range []string{"b1", "v1", "vs1"} {
		m.do("track bob " + cid)
		m.do("live bob " + cid)
	}
	muted := func() (list []string) {
		p, _ := m.room.Participant("bob")
		for _, t := range p.Tracks {
			if t.Muted {
				list = append(list, t.CID)
			}
		}
		return list
	}
	m.must(Moderate{By: "ann", Order: Silence{Identity: "bob"}})
	if got := muted(); !slices.Equal(got, []string{"b1"}) {
		t.Errorf("muted are %v, want the microphone", got)
	}
	lines := m.must(Moderate{By: "ann", Order: Silence{Identity: "bob", Sources: []Source{ScreenShare}}})
	if got := muted(); !slices.Equal(got, []string{"b1", "vs1"}) || !mentions(about(lines, "bob"), "Muted") {
		t.Errorf("muted are %v (%q), want the screen too, and bob told", got, lines)
	}
	m.must(Moderate{By: "ann", Order: Expel{Identity: "bob"}})
	if _, there := m.room.Participant("bob"); there {
		t.Error("bob is still there")
	}
}

// An audience may hear; one of it who gets another role may speak.
func TestSetRole_bringsWhatTheRoleMayDo(t *testing.T) {
	m := newMeeting(t)
	m.lobby = false
	m.rules.Limits = map[string]Permission{RoleViewer: {Subscribe: true, PublishData: true}}
	m.come("ann", as(RoleHost))
	m.come("bob", as(RoleViewer))
	if got := m.do("track bob b1"); !mentions(got, "your role in this room") {
		t.Errorf("got %q, want that its role forbids it", got)
	}
	lines := m.must(Moderate{By: "ann", Order: SetRole{Identity: "bob", Role: RoleSpeaker}})
	if !mentions(lines, "SE_bob: ChangePermission{Permission:{Subscribe:true Publish:true") {
		t.Errorf("got %q, want that bob's node hears what he may", lines)
	}
	m.do("track bob b1")
	m.do("live bob b1")
	lines = m.must(SetRole{Identity: "bob", Role: RoleViewer})
	if !mentions(lines, "SE_bob: UnpublishTrack{Track:TR_b1}") {
		t.Errorf("got %q, want that what bob published ends", lines)
	}
	// The server's word counts more than the role.
	m.must(Permit{Identity: "bob", Permission: &Permission{Subscribe: true, Publish: true}})
	if got := m.do("track bob b2"); !mentions(got, "published TR_b2") {
		t.Errorf("got %q, want that the server's permission counts", got)
	}
	for _, role := range []string{"", strings.Repeat("x", maxRole+1)} {
		if _, err := m.room.Administer(m.now, SetRole{Identity: "bob", Role: role}); !errors.Is(err, ErrRole) {
			t.Errorf("role of %d bytes: got %v, want ErrRole", len(role), err)
		}
	}
}

func TestPermission_within(t *testing.T) {
	all := Permission{Subscribe: true, Publish: true, PublishData: true, UpdateMetadata: true, SubscribeMetrics: true}
	only := func(s ...Source) Permission { return Permission{Publish: true, Sources: s} }
	for _, c := range []struct{ p, limit, want Permission }{
		{all, all, all},
		{all, Permission{}, Permission{}},
		{Permission{Hidden: true, Agent: true}, all, Permission{Hidden: true, Agent: true}},
		{all, only(Microphone), only(Microphone)},
		{only(Camera, Microphone), only(Microphone, ScreenShare), only(Microphone)},
		{only(Camera), only(Microphone), Permission{}}, // not: all
		{only(Camera), all, only(Camera)},
		{Permission{Sources: []Source{Camera}}, all, Permission{}},
	} {
		if got := c.p.Within(c.limit); !got.equal(c.want) {
			t.Errorf("%+v within %+v: got %+v, want %+v", c.p, c.limit, got, c.want)
		}
	}
}

func TestReservedAttributes_areTheServers(t *testing.T) {
	m := newMeeting(t)
	m.lobby = false
	m.come("ann")
	m.come("bob", func(j *Join) { j.Attributes = map[string]string{AttributeRole: RoleHost, "team": "red"} })
	m.want("bob", "", false)
	for _, name := range []string{AttributeRole, AttributeLobby} {
		if got := m.do("metadata bob attr=" + name + ":host"); !mentions(got, fmt.Sprintf("failure=%d the attribute %s is the server's", FailureNotAllowed, name)) {
			t.Errorf("%s: got %q, want a refusal", name, got)
		}
	}
	m.lobby = true
	m.come("cid")
	m.must(Permit{Identity: "cid", Attributes: map[string]string{AttributeLobby: "accepted", AttributeRole: RoleHost, "team": "blue"}})
	m.want("cid", RoleHost, false)
	m.come("dan")
	m.must(Permit{Identity: "dan", Attributes: map[string]string{AttributeLobby: "denied"}})
	if _, there := m.room.Participant("dan"); there {
		t.Error("dan was denied and is there")
	}
	p, _ := m.room.Participant("cid")
	if p.Attributes["team"] != "blue" {
		t.Errorf("cid has the attributes %v", p.Attributes)
	}
}

func TestRules_audioOnly(t *testing.T) {
	m := newMeeting(t)
	m.rules, m.lobby = Rules{AudioOnly: true, NeedMbps: 0.1}, false
	m.come("ann")
	if got := m.do("track ann v1"); !mentions(got, fmt.Sprintf("failure=%d this room is for audio only", FailureNotAllowed)) {
		t.Errorf("video: got %q", got)
	}
	if got := m.do("track ann a1"); !mentions(got, "published TR_a1") {
		t.Errorf("audio: got %q", got)
	}
	if p := m.room.Shape().Members[0]; !p.AudioOnly || p.NeedMbps != 0.1 {
		t.Errorf("the planner is told %+v, want an audio member of 0.1 Mbps", p)
	}
}

func TestPolicy_followsTheAudience(t *testing.T) {
	m := newMeeting(t)
	m.lobby = false
	small, large := plan.DefaultPolicy(), plan.DefaultPolicy()
	small.Strategy, large.Strategy = plan.Proximity, plan.FanOut
	if _, ok := m.room.Policy(); ok {
		t.Error("a room without rules has a policy")
	}
	m.rules.Plans = []Stage{{Policy: small}, {Members: 10, Policy: large}}
	for i := range 11 {
		m.come(fmt.Sprintf("p%d", i))
		want := plan.Proximity
		if i >= 9 {
			want = plan.FanOut
		}
		if p, ok := m.room.Policy(); !ok || p.Strategy != want {
			t.Errorf("with %d: got %v, want %v", i+1, p.Strategy, want)
		}
	}
	m.do("save")
	for i := range 4 { // down to 7; it changes below 8
		m.do(fmt.Sprintf("leave p%d", i))
		want := plan.FanOut
		if i == 3 {
			want = plan.Proximity
		}
		if p, _ := m.room.Policy(); p.Strategy != want {
			t.Errorf("with %d: got %v, want %v", 10-i, p.Strategy, want)
		}
	}
}

// What changes while one is on its way to another node holds there too.
func TestSetRole_whileMoving(t *testing.T) {
	m := newMeeting(t)
	m.lobby = false
	m.rules.Limits = map[string]Permission{RoleViewer: {Subscribe: true}}
	m.come("ann")
	m.come("bob", as(RoleViewer), func(j *Join) { j.Client.Resumes = true })
	m.do("offer bob 1")
	m.do("answer bob 1")
	m.do("lost 1")
	m.home, m.asked = nodeID("2"), true
	m.plan(nil)
	m.must(SetRole{Identity: "bob", Role: RoleSpeaker})
	session := m.room.byID(pa("bob")).Session
	m.handle(SessionOpened{Node: nodeID("2"), Session: session})
	m.do("resume bob")
	m.do("offer bob 2")
	lines := m.lines(m.handle(Offered{Session: session, ID: 2, SDP: "answer"}))
	if !mentions(lines, string(session)+": ChangePermission{Permission:{Subscribe:true Publish:true") {
		t.Errorf("got %q, want that the new node hears what bob may do by now", lines)
	}
}
