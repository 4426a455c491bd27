package room

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// The scenario files: every line is a command, what follows ---- are its effects.
//
//	join ann [hidden] [nopub] [nosub] [manual] [meta] [cam] [offer] [firefox] [resumes]
//	join ann watch=bob|* [a=N] [v=N] [offer] | sources ann SEAT:CID,… [refuse=SEAT] [err]
//	assign 1 (home of all who need one) | unassigned WHY | open ann [err=WHY]
//	offer ann ID | answer ann ID [send=CID,…] [mids=MID:CID,…] [a=N] [v=N] [err] [invalid] [restart]
//	track ann CID [muted] | live ann CID [svc] | ended ann CID | mute ann CID | unmute ann CID
//	subscribe ann CID | unsubscribe ann CID | settings ann CID WxH
//	subscribed ann [a=N] [v=N] [negotiate] [refuse=CID] [err] | negotiate ann
//	permit ann all | permit ann bob:CID …
//	metadata ann [name=X] [meta=X] [attr=K:V]
//	connected ann | down ann | closed ann | demand ann CID 0,1 | active ann CID
//	speak [NODE] ann:0.5 … | report ann MS LOSS
//	drop ann | resume ann | inspected ann [lost] [seq=N] | leave ann
//	lost 1 | synced 1 ann … | claimed 1 ann … | after 5s | save
//
// A track's CID stands for its id too. Names that begin with v are videos, those
// with vs are of a shared screen.
type scenario struct {
	room  *Room
	now   time.Time
	conns map[string]Conn // of people
	names map[Conn]string
	last  Conn
	home  drtc.NodeID // of all who need one; zero leaves questions for a plan open
	asked bool        // such a question is open
}

func newScenario() *scenario {
	now := time.Unix(1_000_000, 0)
	return &scenario{
		room: New(DefaultConfig(), "RM_1", "r", now), now: now,
		conns: map[string]Conn{}, names: map[Conn]string{},
	}
}

func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		s := newScenario()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out strings.Builder
			for line := range strings.Lines(d.Input) {
				line = strings.TrimSpace(line)
				if len(strings.Split(strings.TrimSpace(d.Input), "\n")) > 1 {
					fmt.Fprintf(&out, "> %s\n", line)
				}
				for _, e := range s.line(t, line) {
					fmt.Fprintln(&out, s.effect(e))
				}
			}
			if out.Len() == 0 {
				return "nothing\n"
			}
			return out.String()
		})
	})
}

// words gives the options of a line: bare words and key=value pairs.
type words struct {
	list []string
	keys map[string]string
}

func (w words) has(name string) bool { return slices.Contains(w.list, name) }

func (w words) num(key string) uint32 {
	n, _ := strconv.ParseUint(w.keys[key], 10, 32)
	return uint32(n)
}

func split(fields []string) words {
	w := words{keys: map[string]string{}}
	for _, f := range fields {
		if k, v, ok := strings.Cut(f, "="); ok {
			w.keys[k] = v
			continue
		}
		w.list = append(w.list, f)
	}
	return w
}

func pa(name string) drtc.ParticipantID { return drtc.ParticipantID("PA_" + name) }
func se(name string) drtc.SessionID     { return drtc.SessionID("SE_" + name) }
func tr(cid string) drtc.TrackID        { return drtc.TrackID("TR_" + cid) }
func nodeID(s string) drtc.NodeID       { n, _ := strconv.Atoi(s); return drtc.NodeID{byte(n)} }

func trs(cids string) (ids []drtc.TrackID) {
	for cid := range strings.SplitSeq(cids, ",") {
		ids = append(ids, tr(cid))
	}
	return ids
}

func (s *scenario) line(t *testing.T, line string) []Effect {
	f := strings.Fields(line)
	if len(f) == 0 {
		return nil
	}
	verb, who := f[0], ""
	if len(f) > 1 {
		who = f[1]
	}
	w := split(f[min(len(f), 2):])
	switch verb {
	case "after":
		d, err := time.ParseDuration(who)
		if err != nil {
			t.Fatal(err)
		}
		return s.after(d)
	case "save":
		b, err := s.room.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if s.room, err = Restore(DefaultConfig(), b, s.now); err != nil {
			t.Fatal(err)
		}
		return nil
	case "assign":
		s.home, s.asked = nodeID(who), true
		return s.plan(nil)
	case "lost":
		if s.home == nodeID(who) {
			s.home = drtc.NodeID{}
		}
		return s.handle(NodeLost{Node: nodeID(who)})
	case "synced":
		c := NodeSynced{Node: nodeID(who)}
		for _, name := range w.list {
			c.Sessions = append(c.Sessions, se(name))
		}
		return s.handle(c)
	case "claimed":
		c := Claimed{Node: nodeID(who)}
		for _, name := range w.list {
			c.Sessions = append(c.Sessions, se(name))
		}
		return s.handle(c)
	case "unassigned":
		s.asked = false
		return s.handle(Planned{Err: who})
	case "speak":
		c := SpeakerLevels{Node: s.home}
		for _, x := range f[1:] {
			name, level, ok := strings.Cut(x, ":")
			if !ok {
				c.Node = nodeID(x)
				continue
			}
			l, _ := strconv.ParseFloat(level, 32)
			c.Speakers = append(c.Speakers, SessionLevel{Session: se(name), Level: float32(l), Active: true})
		}
		return s.handle(c)
	}
	c := s.command(verb, who, w)
	if c == nil {
		t.Fatalf("unknown line: %s", line)
	}
	return s.handle(c)
}

// handle gives the room a command, and a plan when it asks for one.
func (s *scenario) handle(c Command) []Effect { return s.plan(s.room.Handle(s.now, c)) }

// plan answers a question for a plan: everybody who needs a home gets the one.
// Without one the question stays open.
func (s *scenario) plan(effects []Effect) (out []Effect) {
	for _, e := range effects {
		if _, ok := e.(NeedPlan); !ok {
			out = append(out, e)
			continue
		}
		s.asked = true
		if !s.fits() {
			out = append(out, e)
		}
	}
	if !s.asked || !s.fits() {
		return out
	}
	s.asked = false
	p := plan.Plan{Homes: map[drtc.ParticipantID]drtc.NodeID{}}
	for _, m := range s.room.Shape().Members {
		p.Homes[m.ID] = m.Home
		if m.Home.IsZero() {
			p.Homes[m.ID] = s.home
		}
	}
	return append(out, s.plan(s.room.Handle(s.now, Planned{Plan: p}))...)
}

// fits reports whether the home will do for all who need one.
func (s *scenario) fits() bool {
	return !s.home.IsZero() && !slices.ContainsFunc(s.room.Shape().Members, func(m plan.Member) bool {
		return m.Home.IsZero() && slices.Contains(m.Exclude, s.home)
	})
}

// after lets time pass, with every timeout at its moment.
func (s *scenario) after(d time.Duration) (all []Effect) {
	end := s.now.Add(d)
	for {
		next := s.room.NextTimeout()
		if next.IsZero() || next.After(end) {
			s.now = end
			return all
		}
		s.now = next
		all = append(all, s.plan(s.room.HandleTimeout(s.now))...)
		if !s.room.NextTimeout().After(next) && len(all) > 0 && all[len(all)-1] == (Ended{}) {
			return all
		}
	}
}

func (s *scenario) connect(name string) Conn {
	s.last++
	s.conns[name], s.names[s.last] = s.last, name
	return s.last
}

func (s *scenario) command(verb, who string, w words) Command {
	cid := ""
	if len(w.list) > 0 {
		cid = w.list[0]
	}
	switch verb {
	case "join":
		j := Join{
			Conn: s.connect(who), Participant: pa(who), Session: se(who), Identity: drtc.Identity(who),
			Permission: Permission{
				Publish: !w.has("nopub"), Subscribe: !w.has("nosub"), PublishData: true,
				Hidden: w.has("hidden"), UpdateMetadata: w.has("meta"),
			},
			AutoSubscribe: !w.has("manual"), Client: Client{StreamPerTrack: w.has("firefox"), Resumes: w.has("resumes")},
		}
		if id := w.keys["as"]; id != "" {
			j.Participant, j.Session = pa(id), se(id)
			s.conns[id], s.names[j.Conn] = j.Conn, id
			delete(s.conns, who)
		}
		if watch := w.keys["watch"]; watch != "" {
			j.Watch = &Watch{Audio: int(w.num("a")), Video: int(w.num("v")), Identity: drtc.Identity(strings.TrimPrefix(watch, "*"))}
		}
		if w.has("cam") {
			j.Permission.Sources = []Source{Camera}
		}
		if w.has("offer") {
			j.Offer = &Offer{ID: 1, SDP: "sdp"}
		}
		return j
	case "open":
		return SessionOpened{Node: s.nodeOf(who), Session: se(who), Err: w.keys["err"]}
	case "offer":
		n, _ := strconv.Atoi(cid)
		return Offer{Participant: pa(who), ID: uint32(n), SDP: "sdp"}
	case "answer":
		return answerOf(who, w)
	case "track":
		t := Track{ID: tr(cid), CID: cid, Kind: Audio, Source: Microphone, Muted: w.has("muted")}
		if strings.HasPrefix(cid, "v") {
			t.Kind, t.Source = Video, Camera
			t.Layers = []Layer{{Quality: 0, RID: "q"}, {Quality: 1, RID: "h"}, {Quality: 2, RID: "f"}}
			if strings.HasPrefix(cid, "vs") {
				t.Source = ScreenShare
			}
		}
		return AddTrack{Participant: pa(who), Track: t}
	case "live":
		l := TrackLive{Session: se(who), Track: tr(cid), MID: "0", MIME: "audio/opus"}
		if strings.HasPrefix(cid, "v") {
			l.MIME = "video/VP8"
		}
		if w.has("svc") {
			l.MIME, l.Layers = "video/VP9", []Layer{{SSRC: 1}}
		}
		return l
	case "ended":
		return TrackEnded{Session: se(who), Track: tr(cid)}
	case "mute", "unmute":
		return Mute{Participant: pa(who), Track: tr(cid), Muted: verb == "mute"}
	case "subscribe", "unsubscribe":
		return Subscribe{Participant: pa(who), Tracks: trs(cid), On: verb == "subscribe"}
	case "settings":
		c := SetTrack{Participant: pa(who), Tracks: trs(cid)}
		_, _ = fmt.Sscanf(w.list[1], "%dx%d", &c.Settings.Width, &c.Settings.Height)
		return c
	}
	return s.event(verb, who, cid, w)
}

func answerOf(who string, w words) Command {
	n, _ := strconv.Atoi(w.list[0])
	c := Offered{
		Session: se(who), ID: uint32(n), SDP: "answer", MissingAudio: w.num("a"), MissingVideo: w.num("v"),
		Restarted: w.has("restart"), Invalid: w.has("invalid"), MIDs: map[string]drtc.TrackID{},
	}
	if w.has("err") {
		c.Err = "no answer"
	}
	if w.has("candidates") {
		c.SDP = "m=audio\r\na=candidate:1\r\na=candidate:2\r\nm=video\r\na=candidate:3\r\n"
	}
	if send := w.keys["send"]; send != "" {
		for i, cid := range strings.Split(send, ",") {
			c.Published = append(c.Published, Section{MID: strconv.Itoa(i), CID: cid, Track: tr(cid), MIME: "x/y"})
		}
	}
	if mids := w.keys["mids"]; mids != "" {
		for m := range strings.SplitSeq(mids, ",") {
			mid, cid, _ := strings.Cut(m, ":")
			c.MIDs[mid] = tr(cid)
		}
	}
	return c
}

func (s *scenario) event(verb, who, cid string, w words) Command {
	switch verb {
	case "subscribed":
		c := Subscribed{Session: se(who), MissingAudio: w.num("a"), MissingVideo: w.num("v"), Negotiate: w.has("negotiate")}
		if r := w.keys["refuse"]; r != "" {
			c.Refused, c.Tracks = map[drtc.TrackID]string{tr(r): "codec"}, trs(r)
		}
		if e := w.keys["err"]; e != "" {
			c.Err, c.Tracks = "no answer", trs(e)
		}
		return c
	case "sources":
		c := SourcesSet{Session: se(who), Refused: map[drtc.TrackID]string{}}
		for x := range strings.SplitSeq(cid, ",") {
			id, track, _ := strings.Cut(x, ":")
			sh := Showing{Seat: drtc.TrackID(id)}
			if track != "" {
				sh.Track = tr(track)
			}
			c.Seats = append(c.Seats, sh)
		}
		if r := w.keys["refuse"]; r != "" {
			c.Refused[drtc.TrackID(r)] = "codec"
		}
		if w.has("err") {
			c.Err = "no answer"
		}
		return c
	case "unsubscribed":
		return Unsubscribed{Session: se(who), Negotiate: true}
	case "negotiate":
		return NegotiationNeeded{Session: se(who)}
	case "permit":
		c := SetPermission{Participant: pa(who), All: w.has("all")}
		for _, g := range w.list {
			name, tracks, ok := strings.Cut(g, ":")
			if !ok {
				continue
			}
			grant := Grant{Identity: drtc.Identity(name), All: tracks == "all"}
			if strings.HasPrefix(name, "PA_") {
				grant = Grant{Participant: drtc.ParticipantID(name), All: tracks == "all"}
			}
			if !grant.All {
				grant.Tracks = trs(tracks)
			}
			c.Grants = append(c.Grants, grant)
		}
		return c
	case "metadata":
		c := SetMetadata{Participant: pa(who), Request: 1, Name: w.keys["name"], Metadata: w.keys["meta"]}
		if a := w.keys["attr"]; a != "" {
			k, v, _ := strings.Cut(a, ":")
			c.Attributes = map[string]string{k: v}
		}
		return c
	case "connected", "down", "closed":
		return SessionChanged{Session: se(who), Connected: verb == "connected", Closed: verb == "closed"}
	case "demand":
		c := LayerDemand{Session: se(who), Track: tr(cid)}
		for _, l := range strings.Split(w.list[1], ",") {
			if n, err := strconv.ParseUint(l, 10, 32); err == nil {
				c.Layers = append(c.Layers, uint32(n))
			}
		}
		return c
	case "active":
		return SubscriptionActive{Session: se(who), Track: tr(cid)}
	case "report":
		ms, _ := strconv.Atoi(cid)
		loss, _ := strconv.ParseFloat(w.list[1], 64)
		return SessionReport{Session: se(who), Figures: Figures{RoundTrip: time.Duration(ms) * time.Millisecond, DownlinkLoss: loss}}
	case "drop":
		return Dropped{Conn: s.conns[who], Participant: pa(who)}
	case "resume":
		id, conn := who, s.connect(who)
		if as := w.keys["of"]; as != "" {
			id, s.names[conn] = as, as
		}
		return Resume{Conn: conn, Participant: pa(id), Identity: drtc.Identity(who)}
	case "inspected":
		return Inspected{Session: se(who), Found: !w.has("lost"), LastSequence: w.num("seq")}
	case "leave":
		return Leave{Participant: pa(who)}
	case "dismiss":
		return Dismiss{Participant: pa(who), Reason: ServerShutdown, Action: Disconnect}
	case "trickle":
		return Trickle{Participant: pa(who), Candidates: []string{"c"}}
	case "features":
		return SetFeatures{Participant: pa(who), Track: tr(cid), Width: 640, Height: 360, AudioFeatures: []int32{1}}
	}
	return nil
}

func (s *scenario) nodeOf(name string) drtc.NodeID {
	if m := s.room.bySession(se(name)); m != nil {
		return m.Node
	}
	return drtc.NodeID{}
}

// effect is one line of a scenario's output.
func (s *scenario) effect(e Effect) string {
	who := func(c Conn) string { return fmt.Sprintf("%s#%d", s.names[c], c) }
	switch e := e.(type) {
	case ToClient:
		return who(e.Conn) + " <- " + message(e.Message)
	case CloseClient:
		return who(e.Conn) + " closed"
	case Refuse:
		return fmt.Sprintf("%s refused: %s", who(e.Conn), e.Reason)
	case ToNode:
		return fmt.Sprintf("node %d, %s: %s", e.Node[0], e.Session, nodeCommand(e.Command))
	case NeedPlan:
		return "plan?"
	case Ended:
		return "ended"
	}
	return fmt.Sprintf("%#v", e)
}

func people(list []Participant) string {
	var out []string
	for _, p := range list {
		text := fmt.Sprintf("%s v%d %s", p.Identity, p.Version, []string{"joining", "joined", "active", "gone"}[p.State])
		if p.State == Disconnected {
			text += fmt.Sprintf(" reason=%d", p.Reason)
		}
		if p.Metadata != "" || len(p.Attributes) > 0 {
			text += fmt.Sprintf(" meta=%s %v", p.Metadata, p.Attributes)
		}
		for _, t := range p.Tracks {
			text += " " + t.CID
			if t.Muted {
				text += "(muted)"
			}
		}
		out = append(out, text)
	}
	return "[" + strings.Join(out, "; ") + "]"
}

func message(m Message) string {
	switch m := m.(type) {
	case Welcome:
		return fmt.Sprintf("welcome self=%s others=%s", people([]Participant{m.Self}), people(m.Others))
	case WelcomeBack:
		return fmt.Sprintf("welcome back seq=%d", m.LastSequence)
	case Update:
		return "update " + people(m.Participants)
	case RefreshToken:
		return "token"
	case Answer:
		var mids []string
		for _, mid := range slices.Sorted(maps.Keys(m.MIDs)) {
			mids = append(mids, mid+":"+string(m.MIDs[mid]))
		}
		return strings.TrimSpace(fmt.Sprintf("answer %d %s", m.ID, strings.Join(mids, " ")))
	case RoomChanged:
		return fmt.Sprintf("room participants=%d publishers=%d", m.Room.Participants, m.Room.Publishers)
	case TrackPublished:
		return "published " + string(m.Track.ID)
	case RequestDone:
		return fmt.Sprintf("request %d failure=%d %s", m.Request, m.Failure, m.Text)
	case Goodbye:
		return fmt.Sprintf("goodbye reason=%d action=%d", m.Reason, m.Action)
	}
	return strings.TrimPrefix(fmt.Sprintf("%+v", m), "room.") + " " + strings.TrimPrefix(fmt.Sprintf("%T", m), "room.")
}

func nodeCommand(c NodeCommand) string {
	switch c := c.(type) {
	case OpenSession:
		if c.Unreported {
			return "open unreported"
		}
		return "open"
	case SendOffer:
		out := fmt.Sprintf("offer %d", c.ID)
		for _, p := range c.Publications {
			out += " " + p.CID
			if p.Muted {
				out += "(muted)"
			}
		}
		for _, seat := range c.Seats {
			out += fmt.Sprintf(" %s in %s", seat.ID, seat.Stream)
		}
		return out
	case SetSources:
		out := "sources"
		for _, sh := range c.Seats {
			out += fmt.Sprintf(" %s:%s", sh.Seat, sh.Track)
		}
		return out
	case SubscribeTracks:
		out := "subscribe"
		for _, sub := range c.Subscriptions {
			out += fmt.Sprintf(" %s as %s", sub.Track, sub.Stream)
			if sub.Settings != nil {
				out += fmt.Sprintf(" %dx%d", sub.Settings.Width, sub.Settings.Height)
			}
		}
		return out
	}
	return strings.TrimPrefix(fmt.Sprintf("%T%+v", c, c), "room.")
}
