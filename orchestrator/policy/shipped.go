package policy

import (
	"context"
	"fmt"
	"slices"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/plan"
	"github.com/drtc-network/drtc/orchestrator/room"
)

// Open admits everybody whose token is good, in the role that the token names.
// It is the policy of applications that have none.
type Open struct{}

// Admit implements Policy.
func (Open) Admit(_ context.Context, q Request) (Verdict, error) { return Verdict{Role: q.Role()}, nil }

// Hosts says how the host of a room is found.
type Hosts string

// Ways of finding a host.
const (
	// ByOrder makes the first one host, and when no host is left the one who has
	// been there longest.
	ByOrder Hosts = "order"
	// ByRole makes those host whose token says so. Stand-ins, if any, take their
	// place while none of them is there.
	ByRole Hosts = "role"
	// ByName makes those host whose identities are named, or whom a host or the
	// application's server appoints.
	ByName Hosts = "name"
)

// Host is the policy of meetings: somebody leads, and may have others wait.
type Host struct {
	Hosts    Hosts
	StandIns []string        // roles, the first first
	Named    []drtc.Identity // hosts by name
	Lobby    bool            // all but hosts wait
	Trusted  []string        // roles that do not wait
	Plan     plan.Policy
}

// Admit implements Policy.
func (p Host) Admit(_ context.Context, q Request) (Verdict, error) {
	v := Verdict{Role: q.Role(), Rules: room.Rules{Plans: []room.Stage{{Policy: p.Plan}}}}
	switch p.Hosts {
	case ByOrder:
		v.Rules.Succession.On = true
	case ByRole:
		v.Rules.Succession = room.Succession{On: len(p.StandIns) > 0, Roles: p.StandIns}
	case ByName:
		if v.Role == room.RoleHost {
			v.Role = ""
		}
		if slices.Contains(p.Named, q.Identity) && q.Via == ViaClient {
			v.Role = room.RoleHost
		}
	}
	v.Lobby = p.Lobby && v.Role != room.RoleHost && !slices.Contains(p.Trusted, v.Role) && !q.Permission.Hidden
	if v.Lobby && q.Via == ViaWHIP {
		v.Refuse = fmt.Sprintf("the room has a lobby: a WHIP client needs a token whose attribute %s is host or a trusted role", room.AttributeRole)
	}
	return v, nil
}

// AudioOnly is the policy of audio spaces, calls and podcasts: no video, nodes by
// their audio capacity, and the loudest voices alone cross between nodes.
type AudioOnly struct {
	// DefaultRole is that of those whose token names none; viewers may only
	// listen.
	DefaultRole string
	NeedMbps    float64 // what a node is expected to send one member
	Plan        plan.Policy
}

// Admit implements Policy.
func (p AudioOnly) Admit(_ context.Context, q Request) (Verdict, error) {
	v := Verdict{Role: q.Role(), Rules: room.Rules{
		AudioOnly: true, NeedMbps: p.NeedMbps,
		Succession: room.Succession{On: true, Roles: []string{room.RoleHost, room.RoleSpeaker}},
		Limits:     map[string]room.Permission{room.RoleViewer: listening(true)},
		Plans:      []room.Stage{{Policy: p.Plan}},
	}}
	if v.Role == "" {
		v.Role = p.DefaultRole
	}
	if q.Via == ViaWHIP && slices.ContainsFunc(q.Tracks, func(t room.Track) bool { return t.Kind == room.Video }) {
		v.Refuse = "this room is for audio only: offer no video section"
	}
	return v, nil
}

// listening is what an audience may do.
func listening(chat bool) room.Permission {
	return room.Permission{Subscribe: true, PublishData: chat, UpdateMetadata: true, SubscribeMetrics: true}
}

// LiveStream is the policy of streams and content delivery: few publish, many
// watch, and how the room spreads follows how many there are.
type LiveStream struct {
	// Publishers are the roles that may publish; everybody else is viewer.
	Publishers []string
	Chat       bool // viewers may send data
	// Popular and Viral are the audiences from which the stream fans out, and
	// from which nodes come ever nearer to the viewers.
	Popular, Viral int
	Quiet          plan.Policy // below Popular
	Wide           plan.Policy // from Popular on
	Widest         plan.Policy // from Viral on
}

// Admit implements Policy.
func (p LiveStream) Admit(_ context.Context, q Request) (Verdict, error) {
	v := Verdict{Role: q.Role(), Rules: room.Rules{
		Limits: map[string]room.Permission{room.RoleViewer: listening(p.Chat)},
		Plans: []room.Stage{
			{Policy: p.Quiet}, {Members: p.Popular, Policy: p.Wide}, {Members: p.Viral, Policy: p.Widest},
		},
	}}
	if v.Role != room.RoleHost && !slices.Contains(p.Publishers, v.Role) {
		v.Role = room.RoleViewer
	}
	if v.Role == room.RoleViewer && q.Via == ViaWHIP {
		v.Refuse = fmt.Sprintf("only publishers may send: the token's attribute %s must be one of %v", room.AttributeRole, append([]string{room.RoleHost}, p.Publishers...))
	}
	return v, nil
}

// AdaptiveRooms lets the planner choose the strategy by the room's shape and by
// what links measure, and has fewer voices cross links in a crowd.
type AdaptiveRooms struct {
	Crowd      int // members from which AudioLimit holds
	AudioLimit int
	Plan       plan.Policy
}

// Admit implements Policy.
func (p AdaptiveRooms) Admit(_ context.Context, q Request) (Verdict, error) {
	crowded := p.Plan
	crowded.AudioLimit = p.AudioLimit
	return Verdict{Role: q.Role(), Rules: room.Rules{
		Plans: []room.Stage{{Policy: p.Plan}, {Members: p.Crowd, Policy: crowded}},
	}}, nil
}
