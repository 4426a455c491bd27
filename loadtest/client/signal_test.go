package client

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/livekit/protocol/livekit"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"google.golang.org/protobuf/proto"
)

const patience = 20 * time.Second

func newTestAPI(t *testing.T) *webrtc.API {
	t.Helper()
	api, err := NewAPI(Options{NACK: true, RTX: true, TWCC: true, Interfaces: LoopbackInterfaces("127.0.0.1")})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

func newTestTrack(t *testing.T, mime, id string) *webrtc.TrackLocalStaticRTP {
	t.Helper()
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, id, "alice")
	if err != nil {
		t.Fatal(err)
	}
	return track
}

// talk is a server's side of one WebSocket.
type talk struct {
	t      *testing.T
	socket *websocket.Conn
}

func (k talk) send(ctx context.Context, m *livekit.SignalResponse) {
	b, err := proto.Marshal(m)
	if err == nil {
		err = k.socket.Write(ctx, websocket.MessageBinary, b)
	}
	if err != nil {
		k.t.Error(err)
	}
}

// receive returns the next request, nil at the end.
func (k talk) receive(ctx context.Context) *livekit.SignalRequest {
	_, b, err := k.socket.Read(ctx)
	if err != nil {
		return nil
	}
	m := &livekit.SignalRequest{}
	if err := proto.Unmarshal(b, m); err != nil {
		k.t.Error(err)
	}
	return m
}

// serveSignal runs a server that has one conversation with each client, and
// returns how to reach it.
func serveSignal(t *testing.T, converse func(context.Context, *http.Request, talk)) *Signal {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		socket, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer socket.CloseNow()
		converse(r.Context(), r, talk{t, socket})
	}))
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &Signal{API: newTestAPI(t), Base: base, Room: "r", Sign: func(identity string, publishes bool) (string, error) {
		if publishes {
			return identity + "-may-publish", nil
		}
		return identity, nil
	}}
}

func joined() *livekit.SignalResponse {
	return &livekit.SignalResponse{Message: &livekit.SignalResponse_Join{Join: &livekit.JoinResponse{}}}
}

func TestSignal_publishes(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	arrived := make(chan string, 2)
	left := make(chan struct{})
	signal := serveSignal(t, func(ctx context.Context, r *http.Request, k talk) {
		if got, want := r.Header.Get("Authorization"), "Bearer alice-may-publish"; got != want {
			t.Errorf("the token is %q, want %q", got, want)
		}
		pc, err := newTestAPI(t).NewPeerConnection(webrtc.Configuration{})
		if err != nil {
			t.Error(err)
			return
		}
		defer pc.Close()
		pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { arrived <- track.Codec().MimeType })
		k.send(ctx, joined())
		for m := k.receive(ctx); m != nil; m = k.receive(ctx) {
			switch m := m.GetMessage().(type) {
			case *livekit.SignalRequest_AddTrack:
				k.send(ctx, &livekit.SignalResponse{Message: &livekit.SignalResponse_TrackPublished{
					TrackPublished: &livekit.TrackPublishedResponse{Cid: m.AddTrack.GetCid()}}})
			case *livekit.SignalRequest_Offer:
				sdp, err := Answer(ctx, pc, m.Offer.GetSdp())
				if err != nil {
					t.Error(err)
				}
				k.send(ctx, &livekit.SignalResponse{Message: &livekit.SignalResponse_Answer{
					Answer: &livekit.SessionDescription{Type: "answer", Sdp: sdp, Id: m.Offer.GetId()}}})
			case *livekit.SignalRequest_Leave:
				close(left)
			}
		}
	})

	audio, video := newTestTrack(t, webrtc.MimeTypeOpus, "a"), newTestTrack(t, webrtc.MimeTypeVP8, "v")
	session, err := signal.Publish(ctx, Publisher{Name: "alice", Audio: audio, Video: video, KeyFrame: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	// Packets are lost until the transport is up.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	got := map[string]bool{}
	for n := uint16(0); len(got) < 2; n++ {
		for _, track := range []*webrtc.TrackLocalStaticRTP{audio, video} {
			if err := track.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: n}, Payload: make([]byte, 50)}); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case mime := <-arrived:
			got[mime] = true
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("only %v arrived", got)
		}
	}
	if err := session.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-left:
	case <-ctx.Done():
		t.Error("the server was not told that the client leaves")
	}
}

func TestSignal_subscribes(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	connected := make(chan struct{})
	signal := serveSignal(t, func(ctx context.Context, _ *http.Request, k talk) {
		pc, err := newTestAPI(t).NewPeerConnection(webrtc.Configuration{})
		if err != nil {
			t.Error(err)
			return
		}
		defer pc.Close()
		pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
			if s == webrtc.PeerConnectionStateConnected {
				close(connected)
			}
		})
		if _, err := pc.AddTrack(newTestTrack(t, webrtc.MimeTypeVP8, "v")); err != nil {
			t.Error(err)
		}
		k.send(ctx, joined())
		sdp, err := offer(ctx, pc)
		if err != nil {
			t.Error(err)
		}
		k.send(ctx, &livekit.SignalResponse{Message: &livekit.SignalResponse_Offer{
			Offer: &livekit.SessionDescription{Type: "offer", Sdp: sdp, Id: 5}}})
		for m := k.receive(ctx); m != nil; m = k.receive(ctx) {
			if a := m.GetAnswer(); a != nil {
				if a.GetId() != 5 {
					t.Errorf("the answer is to offer %d, want 5", a.GetId())
				}
				if err := setAnswer(pc, a.GetSdp()); err != nil {
					t.Error(err)
				}
			}
		}
	})
	sessions, err := signal.Subscribe(ctx, Subscriber{Name: "bob", Track: func(*webrtc.TrackRemote, *webrtc.RTPReceiver) {}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-connected:
	case <-ctx.Done():
		t.Error("it did not connect")
	}
	for _, s := range sessions {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestSignal_failsWhenTheServerSendsItAway(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	signal := serveSignal(t, func(ctx context.Context, _ *http.Request, k talk) {
		k.send(ctx, &livekit.SignalResponse{Message: &livekit.SignalResponse_Leave{Leave: &livekit.LeaveRequest{}}})
		k.receive(ctx)
	})
	if _, err := signal.Subscribe(ctx, Subscriber{Name: "bob"}, nil); !errors.Is(err, errLeft) {
		t.Errorf("got %v, want %v", err, errLeft)
	}
}
