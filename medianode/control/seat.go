package control

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/drtc-network/drtc/medianode/negotiate"
)

// maxSeats bounds the seats of one session.
const maxSeats = 16

// seat is a section of the session whose source changes without a negotiation.
type seat struct {
	id     drtc.TrackID
	kind   negotiate.Kind
	ssrc   uint32
	rtx    uint32
	source drtc.TrackID // empty for none
	format negotiate.Codec
}

func (st *seat) config() engine.SeatConfig {
	return engine.SeatConfig{ID: st.id, Video: st.kind == negotiate.Video, SSRC: st.ssrc, RTX: st.rtx}
}

// furnish gives the session the seats that it does not have; the caller holds
// e.mu. The next answer places them.
func (e *session) furnish(seats []*medianodev1.Seat) error {
	for i, m := range seats {
		id := drtc.TrackID(m.Seat)
		switch {
		case e.seats[id] != nil:
			continue
		case m.Seat == "" || len(m.Seat) > maxIDBytes || m.Stream == "" || len(m.Stream) > maxIDBytes:
			return invalid("seats[%d]: want a seat and a stream of 1 to %d bytes", i, maxIDBytes)
		case e.dual || len(e.seats) >= maxSeats:
			return invalid("seats[%d]: want at most %d, in a session of mode MODE_SINGLE", i, maxSeats)
		case e.wanted[id] != nil:
			return invalid("seats[%d]: %.64q is a track of the session", i, m.Seat)
		}
		st := &seat{id: id, kind: negotiate.Audio, ssrc: e.freshSSRC(), rtx: e.freshSSRC()}
		t := negotiate.Track{ID: id, Stream: m.Stream, Kind: negotiate.Audio, SSRC: st.ssrc}
		if m.Kind == medianodev1.Kind_KIND_VIDEO {
			st.kind, t.Kind, t.RTXSSRC = negotiate.Video, negotiate.Video, st.rtx
		}
		if _, err := e.subscriber.describe.Bind(t); err != nil {
			return invalid("seats[%d]: %w", i, err)
		}
		e.seats[id] = st
	}
	return nil
}

// SetSources implements the ControlService.
func (s *Service) SetSources(ctx context.Context, req *connect.Request[medianodev1.SetSourcesRequest]) (*connect.Response[medianodev1.SetSourcesResponse], error) {
	e, err := s.find(ctx, req.Msg.Session)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	resp := &medianodev1.SetSourcesResponse{Refused: map[string]string{}}
	for _, m := range req.Msg.Sources {
		reason, err := s.setSource(e, drtc.TrackID(m.Seat), drtc.TrackID(m.Track))
		if err != nil {
			return nil, err
		}
		if reason != "" {
			resp.Refused[m.Seat] = reason
		}
	}
	return connect.NewResponse(resp), nil
}

// setSource changes one seat, or says why not; the caller holds e.mu.
func (s *Service) setSource(e *session, id, source drtc.TrackID) (refused string, err error) {
	st := e.seats[id]
	switch {
	case e.closed:
		return "the session has ended", nil
	case !e.perms.subscribe:
		return "the participant may not subscribe", nil
	case st == nil:
		return "the session has no such seat", nil
	}
	var format negotiate.Codec
	var home engine.CoreID
	if source != "" {
		kind, media, publisher, ok := s.lookup(e, source)
		if !ok || kind != st.kind {
			return "no such " + string(st.kind) + " track in this room on this node", nil
		}
		if format, ok = e.subscriber.describe.Format(id, media); !ok {
			return fmt.Sprintf("the client negotiated no format for %s", media.Mime), nil
		}
		var err error
		if home, err = s.media.Home(publisher); err != nil {
			return "the track has ended", nil
		}
	}
	st.source, st.format = source, format
	return "", s.command(e.subscriber.peer, func(now time.Time, c *engine.Core) error {
		return c.SetSource(now, e.subscriber.peer, id, source, home, payloadType(format))
	})
}

// sendSections lists the sections of an agreement for the engine. A seat goes
// on in the format of its source, and so does a section from another node.
func (e *session) sendSections(in []negotiate.Send) []engine.SendSection {
	var out []engine.SendSection
	for _, s := range in {
		if st := e.seats[s.TrackID]; st != nil && st.source != "" {
			s.Codec = st.format
		}
		if w := e.wanted[s.TrackID]; w != nil && w.shown {
			s.Codec = w.format
		}
		out = append(out, engine.SendSection{
			Track: s.TrackID, Mid: s.Mid, Codec: payloadType(s.Codec), Extensions: extensions(s.Extensions), Active: s.Active,
		})
	}
	return out
}
