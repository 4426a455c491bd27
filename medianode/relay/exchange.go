package relay

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/drtc-network/drtc"
)

// Link names one of the links of a room, as its Orchestrator does.
type Link string

// Output is what an Exchange decided. The concrete types are those below; they
// are to be acted on in their order.
type Output interface{ output() }

// Send is a message for the other end of a link.
type Send struct {
	Link    Link
	Message Message
}

// Publish makes a track of another node one of this node's: it is available.
// Streams arrive on the link's trunk as the announcement says.
type Publish struct {
	Link  Link
	Track drtc.TrackID
	Announcement
}

// Update changes a published track: its mute, its codec, its sizes or streams.
type Update struct {
	Link  Link
	Track drtc.TrackID
	Announcement
}

// Unpublish takes a track of another node away.
type Unpublish struct {
	Link  Link
	Track drtc.TrackID
	// Ended says that its client stopped publishing it.
	Ended bool
}

// Forward sends one stream of a track, or changes its quality.
type Forward struct {
	Link    Link
	Track   drtc.TrackID
	Index   int // of the stream, 0 lowest
	Quality int // of a scalable track, 0 for all
	Stream
}

// Stop ends the sending of a stream.
type Stop struct {
	Link  Link
	Track drtc.TrackID
	Index int
}

func (Send) output()      {}
func (Publish) output()   {}
func (Update) output()    {}
func (Unpublish) output() {}
func (Forward) output()   {}
func (Stop) output()      {}

// Config of an Exchange.
type Config struct {
	Self drtc.NodeID
	// Sources gives streams their SSRCs. Required.
	Sources Sources
	// First is the number of the first data packet of this node; any.
	First uint64
}

// Sources are the SSRCs with which this end sends on the trunk of a link. Those
// that were given back may be taken again: the other end expects nothing of them
// any more when it wants what they are for next.
type Sources interface {
	// Take returns two that nothing has, of which the second is 0 for audio.
	Take(l Link, video bool) (ssrc, rtx uint32)
	Give(l Link, ssrc, rtx uint32)
}

// Exchange is one room on one node. Every call may make outputs; take them
// before the next.
type Exchange struct {
	cfg    Config
	links  map[Link]*link
	routes map[drtc.NodeID]Link // by origin
	tracks map[drtc.TrackID]*track
	clock  uint64 // counts what happened, to tell new offers from old ones
	data   flow
	out    []Output
}

// link is one that is open at both ends.
type link struct {
	name    Link
	peer    drtc.NodeID
	version uint8
	asked   map[drtc.NodeID]bool // origins that the other end takes over it
	asking  []drtc.NodeID        // those that this end has asked for
	offers  int
}

// track is one that the node has or could have.
type track struct {
	id     drtc.TrackID
	local  *Announcement // of a client of this node
	offers []*offer      // of other nodes
	taken  *offer        // the one that is published; nil for none
	served *Announcement // what links were last told of: local, or the taken offer's
	wish   Wish          // of this node and those behind it, while taken
	sent   map[Link]*outgoing
}

// offer is a track as a link announces it.
type offer struct {
	link  *link
	since uint64 // when media was first seen of it, 0 before
	Announcement
}

// outgoing is a track as this end announced it on a link.
type outgoing struct {
	Announcement
	wish    Wish
	carried uint8 // bit per stream that is forwarded, with wish.Quality
}

// New makes an Exchange without links.
func New(cfg Config) *Exchange {
	return &Exchange{
		cfg: cfg, links: map[Link]*link{}, routes: map[drtc.NodeID]Link{}, tracks: map[drtc.TrackID]*track{},
		data: flow{next: cfg.First},
	}
}

// Take returns what was decided since the last call.
func (e *Exchange) Take() []Output {
	out := e.out
	e.out = nil
	return out
}

func (e *Exchange) emit(o Output) { e.out = append(e.out, o) }

// Empty reports whether the room has neither links nor routes.
func (e *Exchange) Empty() bool { return len(e.links) == 0 && len(e.routes) == 0 }

// SetLocal enters a track of a client of this node, or changes it. Path and the
// SSRCs of the streams are not looked at.
func (e *Exchange) SetLocal(id drtc.TrackID, a Announcement) {
	a.Path = nil
	t := e.track(id)
	if t.local == nil {
		t.local = &a
	} else {
		*t.local = a
	}
	e.settle(t, false)
}

// RemoveLocal takes a track of a client of this node away. Ended says that it
// is not published any more, by nobody.
func (e *Exchange) RemoveLocal(id drtc.TrackID, ended bool) {
	if t := e.tracks[id]; t != nil && t.local != nil {
		t.local = nil
		e.settle(t, ended)
	}
}

// Local reports whether a track was entered by SetLocal.
func (e *Exchange) Local(id drtc.TrackID) bool {
	return e.tracks[id] != nil && e.tracks[id].local != nil
}

// Refuse gives up what a Publish asked for and could not be done.
func (e *Exchange) Refuse(l Link, id drtc.TrackID) {
	if t := e.tracks[id]; t != nil {
		e.withdraw(t, e.links[l])
		e.settle(t, false)
	}
}

// Demand says which qualities of a track of another node are wanted here and
// behind this node, bit 0 the lowest: streams, or the spatial layers of a track
// with one stream.
func (e *Exchange) Demand(id drtc.TrackID, qualities uint8) {
	t := e.tracks[id]
	if t == nil || t.taken == nil {
		return
	}
	wish := Wish{Streams: qualities & (1<<len(t.taken.Streams) - 1)}
	if len(t.taken.Streams) == 1 && qualities != 0 {
		wish.Streams = 1
		for q := qualities; q != 0; q >>= 1 {
			wish.Quality++
		}
	}
	if wish != t.wish {
		t.wish = wish
		e.emit(Send{t.taken.link.name, Want{Track: id, Wish: wish}})
	}
}

// SetRoutes says over which link the tracks of each origin come. Links that are
// not up yet count once they are.
func (e *Exchange) SetRoutes(routes map[drtc.NodeID]Link) {
	e.routes = maps.Clone(routes)
	delete(e.routes, e.cfg.Self)
	for _, l := range e.ordered() {
		e.ask(l)
	}
	e.settleAll(func(t *track) bool {
		before := len(t.offers)
		t.offers = slices.DeleteFunc(t.offers, func(o *offer) bool { return e.routes[o.Origin()] != o.link.name && e.dropped(o) })
		return len(t.offers) != before
	})
}

// dropped counts an offer that is forgotten.
func (e *Exchange) dropped(o *offer) bool {
	o.link.offers--
	return true
}

// ask tells the other end of a link which origins this one takes over it, if
// that has changed.
func (e *Exchange) ask(l *link) {
	var origins []drtc.NodeID
	for o, via := range e.routes {
		if via == l.name && len(origins) < MaxOrigins {
			origins = append(origins, o)
		}
	}
	slices.SortFunc(origins, compareNodes)
	if !slices.Equal(origins, l.asking) {
		l.asking = origins
		e.emit(Send{l.name, Routes{Origins: origins}})
	}
}

func compareNodes(a, b drtc.NodeID) int { return slices.Compare(a[:], b[:]) }

// LinkUp says that a link to peer is open at both ends.
func (e *Exchange) LinkUp(name Link, peer drtc.NodeID, version uint8) {
	e.LinkDown(name)
	l := &link{name: name, peer: peer, version: version}
	e.links[name] = l
	e.ask(l)
}

// LinkDown says that a link is gone, and with it what came and went over it.
func (e *Exchange) LinkDown(name Link) {
	l := e.links[name]
	if l == nil {
		return
	}
	delete(e.links, name)
	e.settleAll(func(t *track) bool {
		if sent := t.sent[name]; sent != nil {
			e.halt(t, name, sent)
			e.give(name, sent)
			delete(t.sent, name)
		}
		e.withdraw(t, l)
		return true
	})
}

// Receive takes a message of the other end of a link. It reports whether the
// message was a stray: it concerned nothing that there is. An error, which is an
// ErrProtocol, ends the trunk.
func (e *Exchange) Receive(name Link, m Message) (stray bool, err error) {
	l := e.links[name]
	if l == nil {
		return true, nil
	}
	switch m := m.(type) {
	case Routes:
		e.askedFor(l, m.Origins)
		return false, nil
	case Track:
		return e.announced(l, m)
	case State:
		return e.changed(l, m), nil
	case Gone:
		// One that this end has given up by itself is taken back all the same.
		if t := e.tracks[m.Track]; t != nil && e.withdraw(t, l) {
			e.settle(t, m.Ended)
		}
		return false, nil
	case Want:
		t := e.tracks[m.Track]
		if t == nil || t.sent[name] == nil {
			return true, nil
		}
		e.carry(t, l, t.sent[name], m.Wish)
		return false, nil
	}
	return false, fmt.Errorf("%w: %T is no message of a link", ErrProtocol, m)
}

// askedFor takes which origins the other end wants over a link. What it wants no
// longer is taken back in words, so that it knows what of the messages that
// cross is old.
func (e *Exchange) askedFor(l *link, origins []drtc.NodeID) {
	l.asked = map[drtc.NodeID]bool{}
	for _, o := range origins {
		l.asked[o] = true
	}
	e.settleAll(func(*track) bool { return true })
}

// announced takes an offer, if the routes say that it comes this way and it has
// not been here before.
func (e *Exchange) announced(l *link, m Track) (stray bool, err error) {
	path := m.Path
	switch {
	case path[len(path)-1] != l.peer:
		return false, fmt.Errorf("%w: track %.64q was passed on by %s, not by %s", ErrProtocol, m.Track, path[len(path)-1], l.peer)
	case e.routes[path[0]] != l.name:
		return true, nil
	}
	t := e.track(m.Track)
	i := slices.IndexFunc(t.offers, func(o *offer) bool { return o.link == l })
	switch {
	case len(path) >= MaxPath || slices.Contains(path, e.cfg.Self) || len(m.Codecs) == 0:
		// Not to be had here. It is no fault of the other's.
		e.withdraw(t, l)
	case i >= 0:
		e.change(t, t.offers[i], m.Announcement)
	case l.offers >= MaxTracks:
		return false, fmt.Errorf("%w: more than %d tracks on one link", ErrProtocol, MaxTracks)
	default:
		o := &offer{link: l, Announcement: m.Announcement}
		e.seen(o)
		t.offers = append(t.offers, o)
		l.offers++
	}
	e.settle(t, false)
	return false, nil
}

// change replaces what is known of an offer. What is published of it changes
// with it, unless that has become another kind of thing.
func (e *Exchange) change(t *track, o *offer, a Announcement) {
	before := o.Announcement
	o.Announcement = a
	e.seen(o)
	if t.taken != o {
		return
	}
	if before.Video != a.Video || len(before.Streams) != len(a.Streams) || before.Origin() != a.Origin() {
		e.leave(t, false)
		return
	}
	e.emit(Update{o.link.name, t.id, a})
}

// changed takes a State.
func (e *Exchange) changed(l *link, m State) (stray bool) {
	t := e.tracks[m.Track]
	if t == nil {
		return true
	}
	i := slices.IndexFunc(t.offers, func(o *offer) bool { return o.link == l })
	if i < 0 {
		return true
	}
	a := t.offers[i].Announcement
	a.Muted, a.Mime = m.Muted, m.Mime
	e.change(t, t.offers[i], a)
	e.settle(t, false)
	return false
}

// seen notes when media of an offer was first seen.
func (e *Exchange) seen(o *offer) {
	if e.clock++; o.since == 0 && o.Mime != 0 {
		o.since = e.clock
	}
}

// track finds a track or makes an empty one.
func (e *Exchange) track(id drtc.TrackID) *track {
	t := e.tracks[id]
	if t == nil {
		t = &track{id: id, sent: map[Link]*outgoing{}}
		e.tracks[id] = t
	}
	return t
}

// withdraw forgets a link's offer of a track, and reports whether there was one.
func (e *Exchange) withdraw(t *track, l *link) bool {
	before := len(t.offers)
	t.offers = slices.DeleteFunc(t.offers, func(o *offer) bool { return o.link == l && e.dropped(o) })
	return len(t.offers) != before
}

// ordered lists the links by name: equal histories make equal outputs.
func (e *Exchange) ordered() []*link {
	return slices.SortedFunc(maps.Values(e.links), func(a, b *link) int { return cmp.Compare(a.name, b.name) })
}

// settleAll settles the tracks that change says have changed.
func (e *Exchange) settleAll(change func(*track) bool) {
	for _, id := range slices.Sorted(maps.Keys(e.tracks)) {
		if t := e.tracks[id]; change(t) {
			e.settle(t, false)
		}
	}
}

// Tracks is how many tracks the Exchange knows of.
func (e *Exchange) Tracks() int { return len(e.tracks) }
