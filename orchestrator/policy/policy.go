package policy

import (
	"context"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
)

// Policy decides for one application.
type Policy interface {
	// Admit says whether and as what somebody comes into a room. It is asked at
	// every join, also of one that comes back, but not when a client resumes its
	// session. An error is a failure of the policy, not a refusal.
	Admit(ctx context.Context, q Request) (Verdict, error)
}

// Watcher is a Policy that is told what becomes of its rooms.
type Watcher interface {
	Policy
	// Changed returns what the policy wants done. Events of one room come in
	// order and one at a time; when a policy is too slow the oldest are left out.
	Changed(ctx context.Context, c Change) ([]room.Order, error)
}

// Via is how somebody takes part.
type Via string

// Ways of taking part.
const (
	ViaClient Via = "client" // the client protocol
	ViaWHIP   Via = "whip"   // publishes only
	ViaWHEP   Via = "whep"   // watches only, nobody hears of it
)

// Request is somebody who wants to come in.
type Request struct {
	Application string
	Room        string
	Identity    drtc.Identity
	Name        string
	Metadata    string
	// Attributes come from the token and, if that permits it, from the client;
	// room.AttributeRole only from the token.
	Attributes map[string]string
	Permission room.Permission // by the token
	Via        Via
	Place      *drtc.Place  // where the client says it is; nil is unknown
	Tracks     []room.Track // that it announces with the join
}

// Role is the role that the token names, or "".
func (q Request) Role() string { return q.Attributes[room.AttributeRole] }

// Verdict is what becomes of a Request.
type Verdict struct {
	// Refuse turns it away, with this reason for its user; empty admits.
	Refuse string
	Role   string // see room.RoleHost and its likes; empty is none
	Lobby  bool   // it waits until a host lets it in
	// Limit is the most that it may do besides what its role may; nil is what the
	// token allows.
	Limit *room.Permission
	// Rules are the room's from now on.
	Rules room.Rules
}

// Change is an event of a room.
type Change struct {
	Application string
	Room        string
	Event       room.Event
}

// Refusal is the error for one who is turned away.
type Refusal struct{ Reason string }

// Error is the reason, for the one who is turned away.
func (r *Refusal) Error() string { return r.Reason }

// requestOf is what a Join asks for.
func requestOf(application, name string, j room.Join) Request {
	q := Request{
		Application: application, Room: name, Identity: j.Identity, Name: j.Name, Metadata: j.Metadata,
		Attributes: j.Attributes, Permission: j.Permission, Via: ViaClient, Place: j.Place,
	}
	switch {
	case j.Watch != nil:
		q.Via = ViaWHEP
	case j.Client.Kind == room.KindIngress:
		q.Via = ViaWHIP
	}
	for _, t := range j.Tracks {
		q.Tracks = append(q.Tracks, t.Track)
	}
	return q
}

// timeout is the longest that any policy may take for one answer.
const timeout = 2 * time.Second
