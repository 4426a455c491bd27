package signal

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
)

// client is one connection.
type client struct {
	server      *Server
	caller      Caller
	name        RoomName
	participant drtc.ParticipantID
	out         *outbox
	socket      *websocket.Conn
	firstOut    *outgoing   // taken before the upgrade
	text        atomic.Bool // the client speaks JSON
}

// awaitFirst waits for the room's first message. Only a room that has one gets
// a socket.
func (c *client) awaitFirst(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.server.config.FirstWait)
	defer cancel()
	for {
		m, ok, closed := c.out.take()
		switch {
		case ok:
			c.firstOut = &m
			return nil
		case closed:
			_, reason := c.out.end()
			return refuse(http.StatusServiceUnavailable, "%s", cmp.Or(reason, "the room ended the connection"))
		}
		select {
		case <-c.out.signal:
		case <-ctx.Done():
			c.out.Close()
			return refuse(http.StatusServiceUnavailable, "the room did not answer in time")
		}
	}
}

// run reads and writes until either side ends the connection.
func (c *client) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A read whose context ends tears the socket down, so reading goes on until
	// the writer has said good-bye.
	reading, stopReading := context.WithCancel(context.WithoutCancel(ctx))
	defer stopReading()
	var others sync.WaitGroup
	others.Go(func() {
		defer stopReading()
		defer cancel()
		c.write(ctx)
	})
	others.Go(func() { c.ping(ctx, cancel) })
	c.read(reading)
	if !c.out.isClosed() { // otherwise the writer is about to end by itself
		cancel()
		_ = c.socket.CloseNow() // ends a write that waits
	}
	others.Wait()
	_ = c.socket.CloseNow()
}

// read hands the client's messages on until the socket ends.
func (c *client) read(ctx context.Context) {
	for {
		kind, frame, err := c.socket.Read(ctx)
		if err != nil {
			return
		}
		m := &livekit.SignalRequest{}
		if kind == websocket.MessageText {
			c.text.Store(true)
			err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(frame, m)
		} else {
			err = proto.Unmarshal(frame, m)
		}
		if err != nil {
			continue // of a newer client, or garbage: neither is a reason to end a call
		}
		if err := c.handle(ctx, m); err != nil {
			return
		}
	}
}

// handle answers what needs no room and hands the rest to it.
func (c *client) handle(ctx context.Context, m *livekit.SignalRequest) error {
	now := c.server.config.Now().UnixMilli()
	switch v := m.GetMessage().(type) {
	case *livekit.SignalRequest_Ping:
		c.respond(&livekit.SignalResponse{Message: &livekit.SignalResponse_Pong{Pong: now}})
		return nil
	case *livekit.SignalRequest_PingReq:
		c.respond(&livekit.SignalResponse{Message: &livekit.SignalResponse_PongResp{PongResp: &livekit.Pong{
			LastPingTimestamp: v.PingReq.GetTimestamp(), Timestamp: now,
		}}})
		return nil
	case *livekit.SignalRequest_Simulate:
		return c.drill(ctx, v.Simulate)
	}
	commands, response := commandsFrom(c.participant, m, func() drtc.TrackID { return drtc.TrackID(newID(drtc.TrackPrefix)) })
	if response != nil {
		c.respond(response)
	}
	for _, command := range commands {
		if err := c.server.config.Rooms.Post(ctx, c.name, command); err != nil {
			return err
		}
	}
	return nil
}

// drill obeys requests to simulate failures, where that is allowed.
func (c *client) drill(ctx context.Context, s *livekit.SimulateScenario) error {
	if !c.server.config.Drills {
		return nil
	}
	d := room.Dismiss{Participant: c.participant, Reason: room.ServerShutdown, Action: room.Disconnect}
	switch s.GetScenario().(type) {
	case *livekit.SimulateScenario_ServerLeave:
	case *livekit.SimulateScenario_NodeFailure, *livekit.SimulateScenario_LeaveRequestFullReconnect:
		d.Reason, d.Action = room.Migration, room.Reconnect
	case *livekit.SimulateScenario_Migration:
		d.Reason, d.Action = room.Migration, room.DoResume
	default:
		return nil
	}
	return c.server.config.Rooms.Post(ctx, c.name, d)
}

func (c *client) respond(r *livekit.SignalResponse) { c.out.put(outgoing{response: r}) }

// write sends what the room has until the outbox is closed.
func (c *client) write(ctx context.Context) {
	if c.firstOut != nil && c.send(ctx, *c.firstOut) != nil {
		return
	}
	for {
		m, ok, closed := c.out.take()
		switch {
		case ok:
			if err := c.send(ctx, m); err != nil {
				return
			}
			continue
		case closed:
			c.close()
			return
		}
		select {
		case <-c.out.signal:
		case <-ctx.Done():
			c.goAway()
			return
		}
	}
}

// close ends the socket after the room closed the outbox.
func (c *client) close() {
	if overflow, _ := c.out.end(); overflow {
		c.server.config.Log.Info("client does not read and is cut off", slog.String("participant", string(c.participant)))
		_ = c.socket.CloseNow() // it would not read a reason either
		return
	}
	_ = c.socket.Close(websocket.StatusNormalClosure, "")
}

// goAway ends the socket when the server ends; otherwise the socket has ended.
func (c *client) goAway() {
	if c.server.ctx.Err() != nil {
		_ = c.socket.Close(websocket.StatusGoingAway, "the Orchestrator is shutting down")
	}
}

// send writes one frame. Messages of the room that clients don't have are
// skipped.
func (c *client) send(ctx context.Context, m outgoing) error {
	response := m.response
	if response == nil {
		response = c.responseTo(m.message)
	}
	if response == nil {
		return nil
	}
	// A write whose context ends tears the socket down, so a frame under way is
	// finished even when the server ends.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.server.config.WriteTimeout)
	defer cancel()
	kind, marshal := websocket.MessageBinary, proto.Marshal
	if c.text.Load() {
		kind, marshal = websocket.MessageText, protojson.Marshal
	}
	frame, err := marshal(response)
	if err != nil {
		c.server.config.Log.Error("message to a client can't be written", slog.Any("error", err))
		return nil
	}
	return c.socket.Write(ctx, kind, frame)
}

// ping keeps the connection and whatever is in its path awake, and finds out
// when its other end is gone.
func (c *client) ping(ctx context.Context, cancel context.CancelFunc) {
	ticker := time.NewTicker(c.server.config.PingInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		pong, done := context.WithTimeout(ctx, 2*c.server.config.PingInterval)
		err := c.socket.Ping(pong)
		done()
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				c.server.config.Log.Debug("client does not answer pings", slog.String("participant", string(c.participant)))
			}
			cancel()
			return
		}
	}
}
