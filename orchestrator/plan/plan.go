package plan

import (
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/allocate"
)

// Member is one who needs a home node: a participant or a spectator.
type Member struct {
	ID     drtc.ParticipantID
	Place  *drtc.Place // nil is unknown
	Region drtc.Region // used where Place is nil; empty is Input.Region

	Publishes bool    // it sends tracks, so its home is an origin
	AudioOnly bool    // it counts against a node's audio capacity
	NeedMbps  float64 // what its home will send it, 0 or more

	// Home is the node that it is on; zero if it is on none. The node's figures
	// in Input.Nodes count it.
	Home    drtc.NodeID
	Exclude []drtc.NodeID // never these, for instance those that refused it
	Pin     drtc.NodeID   // if not zero, this node or none
}

// Input is everything that Make looks at. It is not changed.
type Input struct {
	Now     time.Time
	Room    drtc.RoomID
	Nodes   allocate.Snapshot
	Policy  Policy
	Region  drtc.Region // of the Orchestrator, for members of whom nothing is known
	Members []Member
	Current Plan // the plan that holds now; zero for a new room

	// Lost are dead: nothing goes through them and who was there gets another
	// home, first its standby. Draining nodes are left in order: who is there gets
	// another home if there is one, and until Member.Home says that it is there the
	// old node keeps routes, but passes nothing on. Quarantined nodes pass nothing
	// on either and get nobody, but keep whom they have.
	Lost, Draining []drtc.NodeID

	Costs []LinkCost // what was measured; other pairs are judged by distance
}

// LinkCost is what was measured between two nodes, in either direction.
type LinkCost struct {
	A, B      drtc.NodeID
	RoundTrip time.Duration
	Loss      float64 // 0 to 1
}

// Link is a relay link. A is the smaller id.
type Link struct{ A, B drtc.NodeID }

// Route says that Node gets the tracks of the clients of Origin from Via, to
// which it has a link.
type Route struct{ Origin, Node, Via drtc.NodeID }

// Plan is the shape of a room. The zero Plan is a room that nobody is in. A
// plan is a value that nobody changes: Make shares nothing with its Input.
type Plan struct {
	Strategy Strategy // the one that is in force, never Adaptive unless zero

	Homes  map[drtc.ParticipantID]drtc.NodeID
	Links  []Link  // by A, then B
	Routes []Route // by Origin, then Node

	// Standby names for each home node the node that its members go to when it
	// dies, of another owner. It is linked and has routes, so that it knows the
	// tracks; nobody there wants media yet.
	Standby map[drtc.NodeID]drtc.NodeID

	AudioLimit int // the loudest so many audio tracks cross a link; 0 is all

	Refused map[drtc.ParticipantID]error // errors.Is allocate.ErrNoNode
	Reasons []Reason                     // at most maxReasons
}

// Reason says why the plan is as it is.
type Reason struct {
	Topic Topic
	Node  drtc.NodeID // zero when it is about the room
	Text  string      // for a person
}

// Topic is what a Reason is about.
type Topic string

// The topics, in the order in which a Plan lists them.
const (
	Chosen    Topic = "strategy"  // why this strategy
	Opened    Topic = "opened"    // why the room came to a node
	Left      Topic = "left"      // why a node's members get another home
	Stayed    Topic = "stayed"    // why members stay on a node that should be left
	Unmet     Topic = "unmet"     // a wish of the policy that no node can fulfil
	Relaying  Topic = "relaying"  // a node without members passes streams on
	Unguarded Topic = "unguarded" // a node has no standby
)
