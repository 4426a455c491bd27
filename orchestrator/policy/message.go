package policy

import (
	"fmt"
	"strings"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/plan"
	"github.com/drtc-network/drtc/orchestrator/room"
)

// What goes over the wire between a Webhook and its server
// (docs/apps/policies.md).
type (
	question struct {
		Type        string            `json:"type"` // admit
		Application string            `json:"application"`
		Room        string            `json:"room"`
		Identity    string            `json:"identity"`
		Name        string            `json:"name,omitempty"`
		Metadata    string            `json:"metadata,omitempty"`
		Attributes  map[string]string `json:"attributes,omitempty"`
		Permission  permission        `json:"permission"`
		Via         Via               `json:"via"`
		Place       *drtc.Place       `json:"place,omitempty"`
		Tracks      []track           `json:"tracks,omitempty"`
	}
	permission struct {
		Subscribe      bool     `json:"subscribe"`
		Publish        bool     `json:"publish"`
		PublishData    bool     `json:"publish_data"`
		Sources        []string `json:"sources,omitempty"`
		UpdateMetadata bool     `json:"update_metadata"`
	}
	track struct {
		ID     string `json:"id,omitempty"`
		Kind   string `json:"kind"`
		Source string `json:"source"`
	}
	answer struct {
		Admit      bool                  `json:"admit"`
		Reason     string                `json:"reason"` // of a refusal
		Role       string                `json:"role"`
		Lobby      bool                  `json:"lobby"`
		Permission *permission           `json:"permission"`
		Succession *room.Succession      `json:"succession"`
		Limits     map[string]permission `json:"limits"`
		AudioOnly  bool                  `json:"audio_only"`
		NeedMbps   float64               `json:"need_mbps"`
		Plan       *Spread               `json:"plan"`
	}
	news struct {
		Type         string    `json:"type"` // room_started and its likes
		Application  string    `json:"application"`
		Room         string    `json:"room"`
		At           time.Time `json:"at"`
		Participants uint32    `json:"participants"`
		Identity     string    `json:"identity,omitempty"`
		Role         string    `json:"role,omitempty"`
		Waiting      bool      `json:"waiting,omitempty"`
		Track        *track    `json:"track,omitempty"`
	}
	reaction struct {
		Orders []order `json:"orders"`
	}
	order struct {
		Do        string `json:"do"` // accept, deny, remove, mute, host or role
		Identity  string `json:"identity"`
		InPlaceOf string `json:"in_place_of"`
		Role      string `json:"role"`
		MayReturn bool   `json:"may_return"`
	}
)

func sourceNames() map[room.Source]string {
	return map[room.Source]string{
		room.Camera: "camera", room.Microphone: "microphone", room.ScreenShare: "screen_share", room.ScreenShareAudio: "screen_share_audio",
	}
}

func questionOf(q Request) question {
	out := question{
		Type: "admit", Application: q.Application, Room: q.Room, Identity: string(q.Identity), Name: q.Name,
		Metadata: q.Metadata, Attributes: q.Attributes, Permission: permissionTo(q.Permission), Via: q.Via, Place: q.Place,
	}
	for _, t := range q.Tracks {
		out.Tracks = append(out.Tracks, trackTo(t))
	}
	return out
}

func permissionTo(p room.Permission) permission {
	out := permission{Subscribe: p.Subscribe, Publish: p.Publish, PublishData: p.PublishData, UpdateMetadata: p.UpdateMetadata}
	for _, s := range p.Sources {
		out.Sources = append(out.Sources, sourceNames()[s])
	}
	return out
}

// limit reads a permission that cuts others.
func (p permission) limit() (room.Permission, error) {
	out := room.Permission{
		Subscribe: p.Subscribe, Publish: p.Publish, PublishData: p.PublishData, UpdateMetadata: p.UpdateMetadata, SubscribeMetrics: p.Subscribe,
	}
	for _, name := range p.Sources {
		found := false
		for s, known := range sourceNames() {
			if found = name == known; found {
				out.Sources = append(out.Sources, s)
				break
			}
		}
		if !found {
			return out, fmt.Errorf("%w: sources: want camera, microphone, screen_share and screen_share_audio, got %.40q", errAnswer, name)
		}
	}
	return out, nil
}

func trackTo(t room.Track) track {
	out := track{ID: string(t.ID), Kind: "audio", Source: sourceNames()[t.Source]}
	if t.Kind == room.Video {
		out.Kind = "video"
	}
	return out
}

// verdict reads an answer. The rules are those of the room as a whole, so each
// answer about the room should say the same.
func (a answer) verdict(q Request, base plan.Policy, usual Spread) (Verdict, error) {
	if !a.Admit {
		if a.Reason == "" {
			a.Reason = "the application does not let you in"
		}
		return Verdict{Refuse: strings.ToValidUTF8(a.Reason[:min(len(a.Reason), 256)], "")}, nil
	}
	v := Verdict{Role: a.Role, Lobby: a.Lobby}
	switch {
	case len(a.Role) > 64:
		return v, fmt.Errorf("%w: role: want at most 64 bytes, got %d", errAnswer, len(a.Role))
	case len(a.Limits) > 32:
		return v, fmt.Errorf("%w: limits: want at most 32 roles, got %d", errAnswer, len(a.Limits))
	case !(a.NeedMbps >= 0) || a.NeedMbps > 1000:
		return v, fmt.Errorf("%w: need_mbps: want 0 to 1000, got %v", errAnswer, a.NeedMbps)
	case a.AudioOnly && q.Via == ViaWHIP && hasVideo(q.Tracks):
		return Verdict{Refuse: "this room is for audio only: offer no video section"}, nil
	}
	if a.Permission != nil {
		limit, err := a.Permission.limit()
		if err != nil {
			return v, err
		}
		v.Limit = &limit
	}
	if a.Succession != nil {
		v.Rules.Succession = *a.Succession
	}
	v.Rules.AudioOnly, v.Rules.NeedMbps = a.AudioOnly, a.NeedMbps
	for name, p := range a.Limits {
		limit, err := p.limit()
		if err != nil {
			return v, err
		}
		if v.Rules.Limits == nil {
			v.Rules.Limits = map[string]room.Permission{}
		}
		v.Rules.Limits[name] = limit
	}
	spread := usual.over(base)
	if a.Plan != nil {
		spread = a.Plan.over(spread)
		if err := spread.Validate(); err != nil {
			return v, fmt.Errorf("%w: %w", errAnswer, err)
		}
	}
	v.Rules.Plans = []room.Stage{{Policy: spread}}
	return v, nil
}

func hasVideo(tracks []room.Track) bool {
	for _, t := range tracks {
		if t.Kind == room.Video {
			return true
		}
	}
	return false
}

func newsOf(c Change) news {
	names := map[room.EventKind]string{
		room.EventRoomStarted: "room_started", room.EventRoomFinished: "room_finished",
		room.EventParticipantJoined: "participant_joined", room.EventParticipantLeft: "participant_left",
		room.EventParticipantAborted: "participant_aborted",
		room.EventTrackPublished:     "track_published", room.EventTrackUnpublished: "track_unpublished",
	}
	p := c.Event.Participant
	n := news{
		Type: names[c.Event.Kind], Application: c.Application, Room: c.Room, At: c.Event.At.UTC(),
		Participants: c.Event.Room.Participants, Identity: string(p.Identity),
		Role: p.Attributes[room.AttributeRole], Waiting: p.Attributes[room.AttributeLobby] == room.Waiting,
	}
	if c.Event.Track.ID != "" {
		t := trackTo(c.Event.Track)
		n.Track = &t
	}
	return n
}

// orders reads what a server wants done.
func (a reaction) orders(now time.Time) ([]room.Order, error) {
	if len(a.Orders) > maxOrders {
		return nil, fmt.Errorf("%w: orders: want at most %d, got %d", errAnswer, maxOrders, len(a.Orders))
	}
	var out []room.Order
	for i, o := range a.Orders {
		id := drtc.Identity(o.Identity)
		from := now.Truncate(time.Second).Add(time.Second)
		if o.MayReturn {
			from = time.Time{}
		}
		if id == "" {
			return nil, fmt.Errorf("%w: orders[%d]: identity: want whom it is about, got none", errAnswer, i)
		}
		switch o.Do {
		case "accept":
			out = append(out, room.Accept{Identity: id})
		case "deny":
			out = append(out, room.Deny{Identity: id, TokensFrom: from})
		case "remove":
			out = append(out, room.Expel{Identity: id, TokensFrom: from})
		case "mute":
			out = append(out, room.Silence{Identity: id})
		case "host":
			out = append(out, room.Appoint{Identity: id, InPlaceOf: drtc.Identity(o.InPlaceOf)})
		case "role":
			out = append(out, room.SetRole{Identity: id, Role: o.Role})
		default:
			return nil, fmt.Errorf("%w: orders[%d]: do: want accept, deny, remove, mute, host or role, got %.40q", errAnswer, i, o.Do)
		}
	}
	return out, nil
}
