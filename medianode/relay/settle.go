package relay

import (
	"slices"

	"github.com/drtc-network/drtc"
)

// settle brings a track to what its offers, the routes and the links make of
// it. Ended says that it goes since its client stopped publishing it.
func (e *Exchange) settle(t *track, ended bool) {
	best := e.choose(t)
	if t.taken != nil && t.taken != best {
		e.leave(t, ended)
	}
	if best != nil && t.taken == nil {
		t.taken = best
		e.emit(Publish{best.link.name, t.id, best.Announcement})
	}
	if source, _ := t.source(); source != t.served { // what was forwarded has ended with the other
		t.served = source
		for _, sent := range t.sent {
			sent.carried = 0
		}
	}
	for _, l := range e.ordered() {
		e.announce(t, l, ended)
	}
	if t.local == nil && len(t.offers) == 0 && len(t.sent) == 0 {
		delete(e.tracks, t.id)
	}
}

// choose picks where a track comes from: from a client of this node before all
// others, else from where media was seen last to begin: its client has moved
// there.
func (e *Exchange) choose(t *track) (best *offer) {
	if t.local != nil {
		return nil
	}
	for _, o := range t.offers {
		if best == nil || o.since > best.since || o.since == best.since && o == t.taken {
			best = o
		}
	}
	return best
}

// leave unpublishes the track; what was forwarded of it has ended with it.
func (e *Exchange) leave(t *track, ended bool) {
	e.emit(Unpublish{t.taken.link.name, t.id, ended})
	if i := slices.Index(t.offers, t.taken); i >= 0 && t.wish != (Wish{}) {
		e.emit(Send{t.taken.link.name, Want{Track: t.id}}) // it is there still, but not wanted
	}
	t.taken, t.wish, t.served = nil, Wish{}, nil
}

// source is what the node has of a track, nil for nothing, and the link that it
// has it from, empty for its own client.
func (t *track) source() (a *Announcement, from Link) {
	switch {
	case t.local != nil:
		return t.local, ""
	case t.taken != nil:
		return &t.taken.Announcement, t.taken.link.name
	}
	return nil, ""
}

// announce tells a link of a track what it doesn't know yet.
func (e *Exchange) announce(t *track, l *link, ended bool) {
	sent := t.sent[l.name]
	a, ok := e.passable(t, l)
	switch {
	case !ok && sent == nil:
		return
	case !ok:
		e.halt(t, l.name, sent)
		e.give(l.name, sent)
		delete(t.sent, l.name)
		e.emit(Send{l.name, Gone{Track: t.id, Ended: ended}})
		return
	case sent == nil:
		sent = &outgoing{}
		t.sent[l.name] = sent
	}
	if len(sent.Streams) != len(a.Streams) || sent.Video != a.Video {
		e.halt(t, l.name, sent)
		e.give(l.name, sent)
		a.Streams = e.streams(l.name, a)
	} else {
		for i := range a.Streams {
			a.Streams[i] = Stream{a.Streams[i].RID, sent.Streams[i].SSRC, sent.Streams[i].RTX}
		}
	}
	if l.version < Version2 {
		a.Muted = false
	}
	before := sent.Announcement
	sent.Announcement = a
	switch {
	case !before.sameTrack(&a), l.version < Version2 && before.Mime != a.Mime:
		e.emit(Send{l.name, Track{Track: t.id, Announcement: a}})
	case before.Muted != a.Muted || before.Mime != a.Mime:
		e.emit(Send{l.name, State{Track: t.id, Muted: a.Muted, Mime: a.Mime}})
	}
	if before.Mime != a.Mime { // what is forwarded changes its payload type
		sent.carried = 0
	}
	e.carry(t, l, sent, sent.wish)
}

// passable returns the track as it would be announced on a link, if it may.
func (e *Exchange) passable(t *track, l *link) (Announcement, bool) {
	source, from := t.source()
	if source == nil || from == l.name {
		return Announcement{}, false
	}
	a := *source
	a.Path = append(slices.Clone(a.Path), e.cfg.Self)
	a.Streams = slices.Clone(a.Streams)
	if len(a.Path) >= MaxPath || !l.asked[a.Path[0]] || slices.Contains(a.Path, l.peer) {
		return Announcement{}, false
	}
	return a, true
}

// streams gives a track its SSRCs on a link. It keeps them as long as it has as
// many streams, wherever those come from.
func (e *Exchange) streams(l Link, a Announcement) []Stream {
	out := make([]Stream, 0, len(a.Streams))
	for _, s := range a.Streams {
		s.SSRC, s.RTX = e.cfg.Sources.Take(l, a.Video)
		out = append(out, s)
	}
	return out
}

// give is the end of a track's SSRCs.
func (e *Exchange) give(l Link, sent *outgoing) {
	for _, s := range sent.Streams {
		e.cfg.Sources.Give(l, s.SSRC, s.RTX)
	}
	sent.Streams = nil
}

// carry forwards what the other end of a link wants, and nothing else.
func (e *Exchange) carry(t *track, l *link, sent *outgoing, w Wish) {
	changed := w.Quality != sent.wish.Quality
	sent.wish = w
	for i, s := range sent.Streams {
		bit := uint8(1) << i
		switch wanted := w.Streams&bit != 0; {
		case wanted && (sent.carried&bit == 0 || changed):
			sent.carried |= bit
			e.emit(Forward{Link: l.name, Track: t.id, Index: i, Quality: int(w.Quality), Stream: s})
		case !wanted && sent.carried&bit != 0:
			sent.carried &^= bit
			e.emit(Stop{l.name, t.id, i})
		}
	}
}

// halt stops all that is forwarded of a track on a link.
func (e *Exchange) halt(t *track, name Link, sent *outgoing) {
	for i := range sent.Streams {
		if sent.carried&(1<<i) != 0 {
			e.emit(Stop{name, t.id, i})
		}
	}
	sent.carried = 0
}

// seenPackets is how many data packets of an origin are remembered, so that none
// is delivered twice while routes change.
const seenPackets = 256

// flow is the data packets of the room.
type flow struct {
	next uint64
	seen map[drtc.NodeID]*window
}

// window remembers the newest packets of one origin.
type window struct {
	ring [seenPackets]uint64
	at   int
}

// Originate numbers a data packet of a client of this node and returns the links
// that it goes out on.
func (e *Exchange) Originate(packet []byte) (Data, []Link) {
	if e.data.next++; e.data.next == 0 {
		e.data.next = 1
	}
	d := Data{Origin: e.cfg.Self, Sequence: e.data.next, Packet: packet}
	return e.pass("", d)
}

// Relay takes a data packet from a link. It reports whether it is for the
// clients of this node, and for which further links; nothing of both if it came
// another way than the routes say, or came before.
func (e *Exchange) Relay(from Link, d Data) (deliver bool, onward Data, to []Link) {
	if l := e.links[from]; l == nil || e.routes[d.Origin] != from || e.repeated(d) {
		return false, Data{}, nil
	}
	onward, to = e.pass(from, d)
	return true, onward, to
}

func (e *Exchange) pass(from Link, d Data) (Data, []Link) {
	if d.Hops++; d.Hops > MaxPath {
		return Data{}, nil
	}
	var to []Link
	for _, l := range e.ordered() {
		if l.name != from && l.asked[d.Origin] && l.peer != d.Origin {
			to = append(to, l.name)
		}
	}
	return d, to
}

// repeated notes a packet and reports whether it was here before.
func (e *Exchange) repeated(d Data) bool {
	if d.Sequence == 0 {
		return false
	}
	w := e.data.seen[d.Origin]
	if w == nil {
		if e.data.seen == nil {
			e.data.seen = map[drtc.NodeID]*window{}
		}
		for origin := range e.data.seen { // what has no route any more
			if _, ok := e.routes[origin]; !ok {
				delete(e.data.seen, origin)
			}
		}
		w = &window{}
		e.data.seen[d.Origin] = w
	}
	if slices.Contains(w.ring[:], d.Sequence) {
		return true
	}
	w.ring[w.at] = d.Sequence
	w.at = (w.at + 1) % seenPackets
	return false
}
