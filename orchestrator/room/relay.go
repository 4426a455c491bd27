package room

import (
	"maps"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/cascade"
	"github.com/drtc-network/drtc/orchestrator/plan"
)

// hop is what one end of a link has reported.
type hop struct {
	node    drtc.NodeID
	link    cascade.LinkID
	figures RelayFigures
	planned RelayFigures // those by which the plan was made
	bad     int          // reports in a row that are worse
}

// relay applies what nodes say of links.
func (r *Room) relay(c Command) {
	switch c := c.(type) {
	case RelayPrepared:
		r.cascade.Prepared(r.now, c.Node, c.Link, c.Description, c.Signature, c.Err)
	case RelayOpened:
		r.cascade.Opened(r.now, c.Node, c.Link, c.Err)
	case RoutesSet:
		r.cascade.RoutesSet(r.now, c.Node, c.Err)
	case Claimed:
		r.claimed(c)
	case RelayChanged:
		r.cascade.Changed(r.now, c.Node, c.Link, c.Connected, c.Closed)
	case RelayReported:
		r.reported(c)
	case TrackAvailable:
		r.trackAvailable(c)
	}
}

// orders hands the orders of the cascade to the nodes.
func (r *Room) orders() {
	for _, o := range r.cascade.Orders() {
		r.changed = true
		lane := drtc.SessionID("link:" + o.Link)
		var command NodeCommand
		switch do := o.Do.(type) {
		case cascade.Prepare:
			command = PrepareRelay{Link: o.Link, Room: r.state.ID, Peer: do.Peer}
		case cascade.Open:
			command = OpenRelay{
				Link: o.Link, Room: r.state.ID, Peer: do.Peer, Description: do.Description, Signature: do.Signature,
				Application: r.state.Application, AudioLimit: do.AudioLimit,
			}
		case cascade.Close:
			command = CloseRelay{Link: o.Link}
			r.hops = slices.DeleteFunc(r.hops, func(h hop) bool { return h.link == o.Link })
		case cascade.SetRoutes:
			lane, command = r.lane(), SetRelayRoutes{Room: r.state.ID, Routes: do.Routes}
		}
		r.out = append(r.out, ToNode{Node: o.Node, Session: lane, Command: command})
	}
}

// lane keeps the commands about the room itself in order.
func (r *Room) lane() drtc.SessionID { return drtc.SessionID("room:" + r.state.ID) }

// Link is what may be shown of a relay link.
type Link struct {
	cascade.Link
	Figures [2]RelayFigures // as A and B report them
}

// Links lists the relay links of the room.
func (r *Room) Links() []Link {
	var out []Link
	for _, l := range r.cascade.Links() {
		shown := Link{Link: l}
		for _, h := range r.hops {
			switch {
			case h.link != l.ID:
			case h.node == l.A:
				shown.Figures[0] = h.figures
			default:
				shown.Figures[1] = h.figures
			}
		}
		out = append(out, shown)
	}
	return out
}

// costs is what the links have measured. A pair that can't be linked costs all.
func (r *Room) costs() []plan.LinkCost {
	var out []plan.LinkCost
	for _, l := range r.Links() {
		cost := plan.LinkCost{A: l.A, B: l.B}
		for _, f := range l.Figures {
			cost.RoundTrip = max(cost.RoundTrip, f.RoundTrip)
			cost.Loss = max(cost.Loss, f.LossSent, f.LossReceived)
		}
		if cost.RoundTrip > 0 {
			out = append(out, cost)
		}
	}
	for _, pair := range r.cascade.Failing() {
		out = append(out, plan.LinkCost{A: pair.A, B: pair.B, RoundTrip: time.Second, Loss: 1})
	}
	return out
}

// trackAvailable notes that a track of another node's client has come to a node
// or has gone from it, and subscribes those who wait for it.
func (r *Room) trackAvailable(c TrackAvailable) {
	n := r.node(c.Node)
	if n.news != nil {
		n.news[c.Track] = true
	}
	origin, was := n.tracks[c.Track]
	r.changed = true
	if !c.Available {
		delete(n.tracks, c.Track)
	} else {
		n.tracks[c.Track] = c.Origin
	}
	if publisher, _ := r.track(c.Track); publisher != nil && publisher.Node == c.Node {
		return // its client has come to this node
	}
	if !c.Available || !was || origin != c.Origin {
		r.lapse(c.Node, c.Track)
	}
	r.reconcileAt(c.Node, c.Track)
}

// lapse notes that a node has not what it was told to forward of a track: it is
// told again when the track is there.
func (r *Room) lapse(at drtc.NodeID, id drtc.TrackID) {
	for _, v := range r.state.Members {
		if v.Node != at {
			continue
		}
		if s := v.Subscriptions[id]; s != nil && s.On {
			s.lapsed, s.doubted = true, false
		}
		if v.watch != nil {
			v.watch.lapse(id)
		}
	}
}

// reconcileAt is reconcile for everybody on a node.
func (r *Room) reconcileAt(at drtc.NodeID, id drtc.TrackID) {
	for _, v := range r.state.Members {
		if v.Node == at {
			r.reconcile(v, id)
		}
	}
}

// has reports whether v's node has t, so that v may be subscribed to it.
func (r *Room) has(v, publisher *member, t *publication) bool {
	if !t.Live {
		return false
	}
	if publisher.Node == v.Node {
		return !t.Away
	}
	n := r.nodes[v.Node]
	if n == nil {
		return false
	}
	_, there := n.tracks[t.ID]
	return there
}

// claim asks a node what it has of the room.
func (r *Room) claim(at drtc.NodeID) {
	n := r.node(at)
	n.claimAt, n.news = time.Time{}, map[drtc.TrackID]bool{}
	r.cascade.Claiming(at)
	r.out = append(r.out, ToNode{Node: at, Session: r.lane(), Command: ClaimRoom{Room: r.state.ID}})
}

// claimed takes what a node has of the room. Sessions are told by NodeSynced, but
// to a restored room.
func (r *Room) claimed(c Claimed) {
	if r.lost(c.Node) {
		return
	}
	if c.Err != "" {
		r.node(c.Node).claimAt = r.now.Add(retryDelay)
		return
	}
	r.cascade.Claimed(r.now, c.Node, c.Links)
	n := r.node(c.Node)
	if n.unheard {
		r.heard(n, c)
	}
	news := n.news // came later than what it answers
	n.news = nil
	for _, id := range slices.Sorted(maps.Keys(n.tracks)) {
		if !slices.Contains(c.Tracks, id) && !news[id] {
			r.trackAvailable(TrackAvailable{Node: c.Node, Track: id, Origin: n.tracks[id]})
		}
	}
	for _, id := range c.Tracks {
		if news[id] {
			continue
		}
		if publisher, t := r.track(id); t != nil && publisher.Node != c.Node {
			if _, known := n.tracks[id]; !known {
				r.trackAvailable(TrackAvailable{Node: c.Node, Track: id, Origin: publisher.Node, Available: true})
			}
		}
	}
}
