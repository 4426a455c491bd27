package room

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
)

// audience checks what clients are told while people come, wait, lead and go.
type audience struct {
	t     *rapid.T
	m     *meeting
	known map[Conn]map[drtc.Identity]bool
}

func (a *audience) check(effects []Effect) {
	for _, e := range effects {
		c, ok := e.(ToClient)
		if !ok {
			continue
		}
		if a.known[c.Conn] == nil {
			a.known[c.Conn] = map[drtc.Identity]bool{}
		}
		var told []Participant
		switch m := c.Message.(type) {
		case Welcome:
			told = m.Others
		case Update:
			told = m.Participants
		}
		for _, p := range told {
			a.known[c.Conn][p.Identity] = p.State != Disconnected
		}
	}
	r := a.m.room
	for _, v := range r.state.Members {
		if v.phase != present || v.conn == 0 {
			continue
		}
		for id, known := range a.known[v.conn] {
			m := r.byIdentity(id)
			switch {
			case !known || m == v:
			case v.Lobby:
				a.t.Fatalf("%s waits and knows of %s", v.Identity, id)
			case m != nil && m.Lobby && !v.host() && !v.calm():
				a.t.Fatalf("%s is no host and knows that %s waits", v.Identity, id)
			}
		}
		for _, m := range r.state.Members {
			if m != v && m.phase == present && m.Lobby && v.host() && !v.calm() && !a.known[v.conn][m.Identity] {
				a.t.Fatalf("%s is host and does not know that %s waits", v.Identity, m.Identity)
			}
		}
		if v.Lobby && (v.Permission.Subscribe || v.Permission.Publish || len(v.Tracks) > 0) {
			a.t.Fatalf("%s waits and may do %+v, with %d tracks", v.Identity, v.Permission, len(v.Tracks))
		}
	}
	if slices.ContainsFunc(r.state.Members, func(m *member) bool { return m.phase == present && m.conn != 0 }) && !r.hosted() {
		a.t.Fatalf("nobody is host of %v", a.m.members())
	}
}

func TestRoles_holdWhateverHappens(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newMeeting(t)
		a := &audience{t: rt, m: m, known: map[Conn]map[drtc.Identity]bool{}}
		serial := 0
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			who := rapid.SampledFrom(append(m.members(), "nobody")).Draw(rt, "who")
			id := drtc.Identity("nobody")
			if p := m.room.byID(pa(who)); p != nil {
				id = p.Identity
			}
			administer := func(o Order) []Effect {
				effects, _ := m.room.Administer(m.now, o)
				return m.plan(effects)
			}
			var effects []Effect
			switch verb := rapid.SampledFrom([]string{
				"join", "join", "join", "accept", "accept", "deny", "host", "role", "drop", "resume", "leave", "after", "expel", "anew",
			}).Draw(rt, "verb"); verb {
			case "join":
				serial++
				name := rapid.SampledFrom([]string{"ann", "bob", "cid", "dan"}).Draw(rt, "name")
				as := fmt.Sprintf("%s%d", name, serial)
				j, _ := m.command("join", name, split([]string{"as=" + as})).(Join)
				j.Lobby, j.Rules = rapid.Bool().Draw(rt, "lobby"), &m.rules
				effects = m.handle(j)
				a.check(effects)
				effects = m.line(t, "open "+as)
			case "accept":
				effects = administer(Accept{Identity: id})
			case "deny":
				effects = administer(Deny{Identity: id})
			case "host":
				if of := m.room.Hosts(); len(of) > 0 {
					effects = administer(Moderate{By: of[0], Order: Appoint{Identity: id, InPlaceOf: of[0]}})
				}
			case "role":
				effects = administer(SetRole{Identity: id, Role: rapid.SampledFrom([]string{RoleViewer, RoleHost}).Draw(rt, "role")})
			case "expel":
				effects = administer(Expel{Identity: id})
			case "anew":
				effects = m.handle(Dismiss{Participant: pa(who), Reason: Migration, Action: Reconnect})
			case "drop", "leave":
				effects = m.line(t, verb+" "+who)
			case "resume":
				if p := m.room.byID(pa(who)); p != nil && p.conn == 0 {
					effects = m.line(t, "resume "+string(id)+" of="+who)
					a.check(effects)
					effects = m.line(t, "inspected "+who)
				}
			case "after":
				effects = m.after(7 * time.Second)
			}
			a.check(effects)
		}
	})
}
