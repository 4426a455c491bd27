package cascade

import "github.com/drtc-network/drtc"

// LinkID names one attempt at a link of the room, the same at both ends.
type LinkID string

// Route says that a node gets the tracks of one node's clients over a link.
type Route struct {
	Origin drtc.NodeID `json:"origin"`
	Link   LinkID      `json:"link"`
}

// Order is something that a node shall do.
type Order struct {
	Node drtc.NodeID
	Link LinkID // of none with SetRoutes
	Do   Action
}

// Action of an Order.
type Action interface{ action() }

// Actions.
type (
	// Prepare asks for the node's description, answered by Prepared.
	Prepare struct{ Peer drtc.NodeID }
	// Open hands over the peer's description, answered by Opened.
	Open struct {
		Peer        drtc.NodeID
		Description []byte
		Signature   []byte
		AudioLimit  int
	}
	// Close ends the link.
	Close struct{}
	// SetRoutes replaces the node's routes, answered by RoutesSet.
	SetRoutes struct{ Routes []Route }
)

func (Prepare) action()   {}
func (Open) action()      {}
func (Close) action()     {}
func (SetRoutes) action() {}
