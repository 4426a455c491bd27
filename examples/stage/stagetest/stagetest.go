// Package stagetest runs examples in tests: a network of the real program, and guests that speak the client protocol without media.
//
// Contract: what Start has started is gone when the test ends. A Guest is used by
// one goroutine.
package stagetest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc/examples/stage"
)

// patience is for what must happen; it is never waited out when tests pass.
const patience = 20 * time.Second

// Show is a running example.
type Show struct {
	*stage.Site
	t *testing.T
}

// Start runs an example as its command does, with a drtc program.
func Start(t *testing.T, program string, e stage.Example) *Show {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan *stage.Site, 1), make(chan error, 1)
	go func() {
		ended <- stage.Run(ctx, e, stage.Network{}, program, "127.0.0.1:0", io.Discard, func(s *stage.Site) { ready <- s })
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the example ended with %v", err)
		}
	})
	select {
	case s := <-ready:
		return &Show{s, t}
	case err := <-ended:
		ended <- err
		t.Fatal(err)
		return nil
	}
}

// Ask sends JSON to a path of the example's page and reads the answer.
func (s *Show) Ask(method, path string, body, into any) int {
	s.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.send(method, s.URL+path, "", text, into)
}

func (s *Show) send(method, address, token string, body []byte, into any) int {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, address, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			s.t.Fatalf("%s %s: no JSON: %q", method, address, text)
		}
	}
	return resp.StatusCode
}

// Page is the example's page, as text.
func (s *Show) Page() string {
	s.t.Helper()
	resp, err := http.Get(s.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return string(text)
}

// Guest is somebody in a room.
type Guest struct {
	Self   *livekit.ParticipantInfo
	Others []*livekit.ParticipantInfo
	token  string
	room   string
	show   *Show
	in     chan *livekit.SignalResponse
	socket *websocket.Conn
}

// Token asks the page for a token.
func (s *Show) Token(identity, room, role string) string {
	s.t.Helper()
	var given struct{ Token, Call string }
	if status := s.Ask(http.MethodPost, "/api/join", map[string]string{"identity": identity, "room": room, "role": role}, &given); status != http.StatusOK {
		s.t.Fatalf("no token: %d", status)
	}
	if call, err := url.Parse(given.Call); err != nil || call.Query().Get("token") != given.Token {
		s.t.Errorf("the call's address is %q", given.Call)
	}
	return given.Token
}

// Join gets somebody into a room with a token of the page.
func (s *Show) Join(identity, room, role string) *Guest {
	s.t.Helper()
	g, status := s.Enter(room, s.Token(identity, room, role))
	if g == nil {
		s.t.Fatalf("%s did not get in: status %d", identity, status)
	}
	return g
}

// Enter joins a room with any token. One who is refused gets no Guest but the HTTP
// status.
func (s *Show) Enter(room, token string) (*Guest, int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	address := "ws" + strings.TrimPrefix(s.Network.URL, "http") + "/rtc/v1?" + url.Values{"access_token": {token}, "join_request": {request(s.t)}}.Encode()
	socket, resp, err := websocket.Dial(ctx, address, nil) //nolint:bodyclose // Dial closes it
	if err != nil {
		if resp == nil {
			s.t.Fatal(err)
		}
		return nil, resp.StatusCode
	}
	socket.SetReadLimit(1 << 20)
	s.t.Cleanup(func() { _ = socket.CloseNow() })
	g := &Guest{token: token, room: room, show: s, socket: socket, in: make(chan *livekit.SignalResponse, 1000)}
	go func() {
		defer close(g.in)
		for {
			_, frame, err := socket.Read(context.Background())
			if err != nil {
				return
			}
			m := &livekit.SignalResponse{}
			if proto.Unmarshal(frame, m) == nil {
				g.in <- m
			}
		}
	}()
	joined := g.expect("a join response", func(m *livekit.SignalResponse) bool { return m.GetJoin() != nil }).GetJoin()
	g.Self, g.Others = joined.GetParticipant(), joined.GetOtherParticipants()
	return g, http.StatusOK
}

// request is what a client asks for with its address.
func request(t *testing.T) string {
	jr, err := proto.Marshal(&livekit.JoinRequest{
		ClientInfo:         &livekit.ClientInfo{Sdk: livekit.ClientInfo_JS, Protocol: 17, Version: "2.23.0"},
		ConnectionSettings: &livekit.ConnectionSettings{AutoSubscribe: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(jr)
	_ = z.Close()
	wrapped, err := proto.Marshal(&livekit.WrappedJoinRequest{Compression: livekit.WrappedJoinRequest_GZIP, JoinRequest: packed.Bytes()})
	if err != nil {
		t.Fatal(err)
	}
	return base64.URLEncoding.EncodeToString(wrapped)
}

func (g *Guest) expect(what string, ok func(*livekit.SignalResponse) bool) *livekit.SignalResponse {
	g.show.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case m, open := <-g.in:
			if !open {
				g.show.t.Fatalf("the connection ended before %s came", what)
			}
			if ok(m) {
				return m
			}
		case <-timeout:
			g.show.t.Fatalf("%s did not come", what)
		}
	}
}

// Hears waits until the guest is told that somebody has an attribute of a value,
// "" for none.
func (g *Guest) Hears(identity, attribute, value string) *livekit.ParticipantInfo {
	g.show.t.Helper()
	var found *livekit.ParticipantInfo
	g.expect(fmt.Sprintf("that %s has %s=%q", identity, attribute, value), func(m *livekit.SignalResponse) bool {
		for _, p := range m.GetUpdate().GetParticipants() {
			if p.GetIdentity() == identity && p.GetAttributes()[attribute] == value {
				found = p
				return true
			}
		}
		return false
	})
	return found
}

// Publish announces a microphone or a camera, and returns why it was refused, or
// "".
func (g *Guest) Publish(video bool) string {
	g.show.t.Helper()
	add := &livekit.AddTrackRequest{Cid: "mic", Type: livekit.TrackType_AUDIO, Source: livekit.TrackSource_MICROPHONE}
	if video {
		add = &livekit.AddTrackRequest{Cid: "cam", Type: livekit.TrackType_VIDEO, Source: livekit.TrackSource_CAMERA}
	}
	frame, err := proto.Marshal(&livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: add}})
	if err == nil {
		err = g.socket.Write(g.show.t.Context(), websocket.MessageBinary, frame)
	}
	if err != nil {
		g.show.t.Fatal(err)
	}
	m := g.expect("an answer to a track", func(m *livekit.SignalResponse) bool {
		return m.GetTrackPublished().GetCid() == add.Cid || m.GetRequestResponse().GetAddTrack().GetCid() == add.Cid
	})
	return m.GetRequestResponse().GetMessage()
}

// Moderate asks for something as a host does, and returns the status.
func (g *Guest) Moderate(action string, body map[string]any) int {
	g.show.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		g.show.t.Fatal(err)
	}
	return g.show.send(http.MethodPost, g.show.Network.URL+"/drtc/v1/rooms/"+url.PathEscape(g.room)+"/"+action, g.token, text, nil)
}

// Leave ends the connection for good.
func (g *Guest) Leave() {
	g.show.t.Helper()
	frame, err := proto.Marshal(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{}}})
	if err == nil {
		err = g.socket.Write(g.show.t.Context(), websocket.MessageBinary, frame)
	}
	if err != nil {
		g.show.t.Fatal(err)
	}
}
