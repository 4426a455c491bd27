package datapacket_test

import (
	"errors"
	"testing"

	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	"github.com/google/go-cmp/cmp"

	"github.com/drtc-network/drtc/medianode/datapacket"
)

func marshal(t interface{ Fatal(...any) }, m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// forged is a packet that claims to come from somebody else everywhere.
//
//nolint:staticcheck // older clients read the deprecated copies of the sender
func forged() *livekit.DataPacket {
	return &livekit.DataPacket{
		ParticipantIdentity: "mallory", ParticipantSid: "PA_mallory", DestinationIdentities: []string{"bob", "carol"}, Sequence: 7,
		Value: &livekit.DataPacket_User{User: &livekit.UserPacket{
			ParticipantSid: "PA_mallory", ParticipantIdentity: "mallory", Payload: []byte("hello"), Topic: proto.String("chat"),
		}},
	}
}

func TestParse_readsWhatRoutingNeeds(t *testing.T) {
	p, err := datapacket.Parse(marshal(t, forged()))
	if err != nil {
		t.Fatal(err)
	}
	if want := (datapacket.Packet{Sequence: 7, Destinations: []string{"bob", "carol"}}); !cmp.Equal(p, want) {
		t.Errorf("got %+v, want %+v", p, want)
	}
}

//nolint:staticcheck // older clients read the deprecated copies of the sender
func TestRewrite_replacesEverySender(t *testing.T) {
	got := &livekit.DataPacket{}
	if err := proto.Unmarshal(datapacket.Rewrite(nil, marshal(t, forged()), "PA_alice", "alice"), got); err != nil {
		t.Fatal(err)
	}
	want := forged()
	want.ParticipantIdentity, want.ParticipantSid = "alice", "PA_alice"
	want.GetUser().ParticipantIdentity, want.GetUser().ParticipantSid = "alice", "PA_alice"
	if d := cmp.Diff(want, got, protocmp.Transform()); d != "" {
		t.Errorf("want(-) got(+):\n%s", d)
	}
}

func TestRewrite_addsAMissingSender(t *testing.T) {
	got := &livekit.DataPacket{}
	in := &livekit.DataPacket{Value: &livekit.DataPacket_RpcAck{RpcAck: &livekit.RpcAck{RequestId: "1"}}}
	if err := proto.Unmarshal(datapacket.Rewrite(nil, marshal(t, in), "PA_alice", "alice"), got); err != nil {
		t.Fatal(err)
	}
	if got.ParticipantIdentity != "alice" || got.ParticipantSid != "PA_alice" || got.GetRpcAck().GetRequestId() != "1" {
		t.Errorf("got %v", got)
	}
}

//nolint:staticcheck // older clients read the deprecated copies of the sender
func TestRewrite_keepsEverythingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String()
		in := &livekit.DataPacket{
			ParticipantIdentity: text.Draw(t, "identity"), ParticipantSid: text.Draw(t, "sid"),
			DestinationIdentities: rapid.SliceOf(text).Draw(t, "destinations"), Sequence: rapid.Uint32().Draw(t, "sequence"),
		}
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			in.Value = &livekit.DataPacket_User{User: &livekit.UserPacket{Payload: rapid.SliceOf(rapid.Byte()).Draw(t, "payload"), ParticipantSid: text.Draw(t, "user sid")}}
		case 1:
			in.Value = &livekit.DataPacket_StreamChunk{StreamChunk: &livekit.DataStream_Chunk{StreamId: text.Draw(t, "stream"), ChunkIndex: rapid.Uint64().Draw(t, "index"), Content: rapid.SliceOf(rapid.Byte()).Draw(t, "content")}}
		case 2:
			in.Value = &livekit.DataPacket_RpcRequest{RpcRequest: &livekit.RpcRequest{Id: text.Draw(t, "id"), Method: text.Draw(t, "method")}}
		}
		raw := marshal(t, in)
		// A field of the future: number 900, any bytes.
		raw = append(raw, 0xa2, 0x38, 3, 1, 2, 3)
		if _, err := datapacket.Parse(raw); err != nil {
			t.Fatal(err)
		}
		got := &livekit.DataPacket{}
		if err := proto.Unmarshal(datapacket.Rewrite(nil, raw, "PA_alice", "alice"), got); err != nil {
			t.Fatal(err)
		}
		want := &livekit.DataPacket{}
		if err := proto.Unmarshal(raw, want); err != nil {
			t.Fatal(err)
		}
		want.ParticipantIdentity, want.ParticipantSid = "alice", "PA_alice"
		if u := want.GetUser(); u.GetParticipantSid() != "" {
			u.ParticipantSid = "PA_alice"
		}
		if !proto.Equal(want, got) {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestParse_boundsWhatItTakes(t *testing.T) {
	if _, err := datapacket.Parse(make([]byte, datapacket.MaxSize+1)); !errors.Is(err, datapacket.ErrTooLarge) {
		t.Errorf("too large: got %v", err)
	}
	many := &livekit.DataPacket{DestinationIdentities: make([]string, datapacket.MaxDestinations+1)}
	if _, err := datapacket.Parse(marshal(t, many)); !errors.Is(err, datapacket.ErrDestinations) {
		t.Errorf("many destinations: got %v", err)
	}
	for _, bad := range [][]byte{{0xff}, {0x12, 5, 1}, {0x10, 1}, {0x12, 1, 0xff}, {0x28, 1}, {0x82, 1, 1, 1}} {
		if _, err := datapacket.Parse(bad); !errors.Is(err, datapacket.ErrMalformed) {
			t.Errorf("% x: got %v, want ErrMalformed", bad, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(marshal(f, forged()))
	f.Add([]byte{0x12, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := datapacket.Parse(b); err != nil {
			datapacket.Rewrite(nil, b, "PA_alice", "alice") // must not panic either
			return
		}
		out := datapacket.Rewrite(nil, b, "PA_alice", "alice")
		if _, err := datapacket.Parse(out); err != nil && len(out) <= datapacket.MaxSize {
			t.Errorf("rewritten packet is refused: %v", err)
		}
	})
}
