package datapacket

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/drtc-network/drtc"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

const (
	sid      = drtc.ParticipantID("PA_sender")
	identity = drtc.Identity("sender")
)

// values are one packet of each kind.
func values() []*livekit.DataPacket {
	return []*livekit.DataPacket{
		{},
		{Value: &livekit.DataPacket_User{User: &livekit.UserPacket{
			ParticipantSid: "PA_forged", ParticipantIdentity: "forged", Payload: []byte("hi"), Topic: proto.String("t"),
			Id: proto.String("id"), StartTime: proto.Uint64(7), Nonce: []byte{1},
		}}},
		{Value: &livekit.DataPacket_Speaker{Speaker: &livekit.ActiveSpeakerUpdate{Speakers: []*livekit.SpeakerInfo{{Sid: "PA_x", Level: 1}}}}},
		{Value: &livekit.DataPacket_SipDtmf{SipDtmf: &livekit.SipDTMF{Code: 5, Digit: "5"}}},
		{Value: &livekit.DataPacket_Transcription{Transcription: &livekit.Transcription{TrackId: "TR_x"}}},
		{Value: &livekit.DataPacket_Metrics{Metrics: &livekit.MetricsBatch{TimestampMs: 9}}},
		{Value: &livekit.DataPacket_ChatMessage{ChatMessage: &livekit.ChatMessage{Id: "c", Message: "hello"}}},
		{Value: &livekit.DataPacket_RpcRequest{RpcRequest: &livekit.RpcRequest{Id: "r", Method: "m", Payload: "p"}}},
		{Value: &livekit.DataPacket_RpcAck{RpcAck: &livekit.RpcAck{RequestId: "r"}}},
		{Value: &livekit.DataPacket_RpcResponse{RpcResponse: &livekit.RpcResponse{RequestId: "r", Value: &livekit.RpcResponse_Payload{Payload: "p"}}}},
		{Value: &livekit.DataPacket_StreamHeader{StreamHeader: &livekit.DataStream_Header{StreamId: "s", Topic: "t"}}},
		{Value: &livekit.DataPacket_StreamChunk{StreamChunk: &livekit.DataStream_Chunk{StreamId: "s", Content: []byte("c")}}},
		{Value: &livekit.DataPacket_StreamTrailer{StreamTrailer: &livekit.DataStream_Trailer{StreamId: "s"}}},
		{Value: &livekit.DataPacket_EncryptedPacket{EncryptedPacket: &livekit.EncryptedPacket{Iv: []byte{1}, EncryptedValue: []byte{2}}}},
	}
}

var kinds = []Kind{KindNone, KindUser, KindSpeaker, KindSIPDTMF, KindTranscription, KindMetrics, KindChat, KindRPCRequest,
	KindRPCAck, KindRPCResponse, KindStreamHeader, KindStreamChunk, KindStreamTrailer, KindEncrypted}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParse_kindsAndSequence(t *testing.T) {
	for i, v := range values() {
		v.Sequence = 4_000_000_000
		p, err := Parse(marshal(t, v))
		if err != nil || p.Kind != kinds[i] || p.Sequence != v.Sequence {
			t.Errorf("%T: kind %d, sequence %d, %v; want kind %d, sequence %d", v.Value, p.Kind, p.Sequence, err, kinds[i], v.Sequence)
		}
	}
}

func TestParse_destinations(t *testing.T) {
	user := func(u *livekit.UserPacket) *livekit.DataPacket {
		return &livekit.DataPacket{Value: &livekit.DataPacket_User{User: u}}
	}
	both := user(&livekit.UserPacket{DestinationIdentities: []string{"old"}})
	both.DestinationIdentities = []string{"new", "newer"}
	for _, c := range []struct {
		name   string
		packet *livekit.DataPacket
		want   []drtc.Identity
		ids    []drtc.ParticipantID
	}{
		{"everybody", user(&livekit.UserPacket{}), nil, nil},
		{"packet", &livekit.DataPacket{DestinationIdentities: []string{"a", "b"}}, []drtc.Identity{"a", "b"}, nil},
		{"user packet of an old client", user(&livekit.UserPacket{DestinationIdentities: []string{"a", "b"}}), []drtc.Identity{"a", "b"}, nil},
		{"user packet of an older client", user(&livekit.UserPacket{DestinationSids: []string{"PA_a"}}), nil, []drtc.ParticipantID{"PA_a"}},
		{"the packet's go first", both, []drtc.Identity{"new", "newer"}, nil},
	} {
		p, err := Parse(marshal(t, c.packet))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := slices.Collect(p.Destinations()); !slices.Equal(got, c.want) {
			t.Errorf("%s: destinations %q, want %q", c.name, got, c.want)
		}
		if got := slices.Collect(p.DestinationIDs()); !slices.Equal(got, c.ids) {
			t.Errorf("%s: destination ids %q, want %q", c.name, got, c.ids)
		}
		if want := len(c.want)+len(c.ids) > 0; p.Addressed() != want {
			t.Errorf("%s: addressed %v, want %v", c.name, p.Addressed(), want)
		}
		for range p.Destinations() { // a loop may end early
			break
		}
	}
}

func TestParse_refuses(t *testing.T) {
	many := func(n int) []string { return slices.Repeat([]string{"x"}, n) }
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"the longest", marshal(t, &livekit.DataPacket{ParticipantIdentity: strings.Repeat("i", MaxSize-4)}), nil},
		{"too long", marshal(t, &livekit.DataPacket{ParticipantIdentity: strings.Repeat("i", MaxSize-3)}), ErrSize},
		{"the most destinations", marshal(t, &livekit.DataPacket{DestinationIdentities: many(MaxDestinations)}), nil},
		{"too many destinations", marshal(t, &livekit.DataPacket{DestinationIdentities: many(MaxDestinations + 1)}), ErrDestinations},
		{"too many old destinations", marshal(t, &livekit.DataPacket{Value: &livekit.DataPacket_User{User: &livekit.UserPacket{
			DestinationSids: many(MaxDestinations + 1),
		}}}), ErrDestinations},
		{"half a tag", []byte{0x80}, ErrMalformed},
		{"half a field", []byte{0x12, 9, 1}, ErrMalformed},
		{"half a field of the user packet", []byte{0x12, 2, 0x0a, 9}, ErrMalformed},
		{"destination that is no text", []byte{0x2a, 1, 0xff}, ErrMalformed},
		{"end of no group", []byte{0x0c}, ErrMalformed},
	} {
		if _, err := Parse(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestRewrite_namesTheSender(t *testing.T) {
	for _, v := range values() {
		v.ParticipantSid, v.ParticipantIdentity = "PA_forged", "forged"
		b := marshal(t, v)
		for range 2 { // forged twice
			b = protowire.AppendString(protowire.AppendTag(b, fieldIdentity, protowire.BytesType), "admin")
			b = protowire.AppendString(protowire.AppendTag(b, fieldSID, protowire.BytesType), "PA_admin")
		}
		out := Rewrite([]byte("kept"), b, sid, identity)
		if !bytes.HasPrefix(out, []byte("kept")) {
			t.Fatalf("dst was overwritten: %q", out[:4])
		}
		if bytes.Contains(out, []byte("forged")) || bytes.Contains(out, []byte("admin")) {
			t.Errorf("%T: a forged name is still there: %q", v.Value, out)
		}
		checkAgainstOracle(t, b, out[4:])
	}
}

func TestRewrite_hiddenSenderHasNoName(t *testing.T) {
	v := values()[1]
	v.ParticipantIdentity = "forged"
	var got livekit.DataPacket
	if err := proto.Unmarshal(Rewrite(nil, marshal(t, v), "", ""), &got); err != nil {
		t.Fatal(err)
	}
	if got.ParticipantIdentity != "" || got.ParticipantSid != "" || got.GetUser().ParticipantIdentity != "" || got.GetUser().ParticipantSid != "" {
		t.Errorf("a name is left: %v", &got)
	}
}

// checkAgainstOracle compares with the generated types: the same message but
// for the sender.
func checkAgainstOracle(t interface {
	Helper()
	Fatalf(string, ...any)
}, in, out []byte) {
	t.Helper()
	var want, got livekit.DataPacket
	if err := proto.Unmarshal(in, &want); err != nil {
		return // nobody could read it before either
	}
	want.ParticipantIdentity, want.ParticipantSid = string(identity), string(sid)
	if u := want.GetUser(); u != nil {
		u.ParticipantIdentity, u.ParticipantSid = string(identity), string(sid)
	}
	if err := proto.Unmarshal(out, &got); err != nil {
		t.Fatalf("rewritten packet: %v\nin  %x\nout %x", err, in, out)
	}
	if !proto.Equal(&want, &got) {
		t.Fatalf("rewritten packet differs:\nwant %v\ngot  %v\nin  %x\nout %x", &want, &got, in, out)
	}
}

// Any sequence of values, forged names, destinations and unknown fields, in any
// order and any number: the rewritten packet is the same but for the sender,
// and the destinations are those that the generated types see.
func TestRewrite_keepsEverythingElse(t *testing.T) {
	all := values()
	rapid.Check(t, func(t *rapid.T) {
		var b []byte
		for range rapid.IntRange(0, 8).Draw(t, "fields") {
			number := protowire.Number(rapid.IntRange(1, 40).Draw(t, "number"))
			text := rapid.StringN(0, 8, 32).Draw(t, "text")
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				v, err := proto.Marshal(all[rapid.IntRange(0, len(all)-1).Draw(t, "value")])
				if err != nil {
					t.Fatal(err)
				}
				b = append(b, v...)
			case 1:
				known := []protowire.Number{fieldIdentity, fieldSID, fieldDestinations}
				b = appendField(b, rapid.SampledFrom(known).Draw(t, "known"), text)
			case 2:
				var user []byte
				for range rapid.IntRange(0, 5).Draw(t, "user fields") {
					user = appendField(user, protowire.Number(rapid.IntRange(1, 12).Draw(t, "user field")), text)
				}
				b = appendField(b, protowire.Number(KindUser), string(user))
			case 3:
				b = protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), rapid.Uint64().Draw(t, "varint"))
			case 4:
				b = appendField(b, number+20, text)
			}
		}
		checkBoth(t, b)
	})
}

func appendField(b []byte, number protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), s)
}

// checkBoth checks Parse and Rewrite of any bytes against the generated types.
func checkBoth(t interface {
	Helper()
	Fatalf(string, ...any)
}, b []byte) {
	t.Helper()
	var oracle livekit.DataPacket
	readable := proto.Unmarshal(b, &oracle) == nil
	p, err := Parse(b)
	if err != nil {
		if readable && !errors.Is(err, ErrSize) && !errors.Is(err, ErrDestinations) {
			t.Fatalf("Parse(%x): %v, but the generated types read it", b, err)
		}
		return
	}
	out := Rewrite(nil, b, sid, identity)
	if _, err := Parse(out); err != nil && !errors.Is(err, ErrSize) {
		t.Fatalf("Parse of the rewritten %x: %v", out, err)
	}
	checkAgainstOracle(t, b, out)
	if !readable {
		return
	}
	message := oracle.ProtoReflect()
	kind := KindNone
	if value := message.WhichOneof(message.Descriptor().Oneofs().ByName("value")); value != nil {
		kind = Kind(value.Number())
	}
	if p.Kind != kind {
		t.Fatalf("kind %d, want %d\nin %x", p.Kind, kind, b)
	}
	var want []string
	if want = oracle.DestinationIdentities; len(want) == 0 {
		want = oracle.GetUser().GetDestinationIdentities()
	}
	var got, gotIDs []string
	for d := range p.Destinations() {
		got = append(got, string(d))
	}
	for d := range p.DestinationIDs() {
		gotIDs = append(gotIDs, string(d))
	}
	if !slices.Equal(got, want) || !slices.Equal(gotIDs, oracle.GetUser().GetDestinationSids()) {
		t.Fatalf("destinations %q, ids %q; want %q, %q\nin %x", got, gotIDs, want, oracle.GetUser().GetDestinationSids(), b)
	}
	if p.Sequence != oracle.Sequence {
		t.Fatalf("sequence %d, want %d\nin %x", p.Sequence, oracle.Sequence, b)
	}
}

func FuzzPacket(f *testing.F) {
	for _, v := range values() {
		v.ParticipantIdentity, v.DestinationIdentities = "forged", []string{"a", "b"}
		f.Add(marshal(f, v))
	}
	f.Add(appendField(appendField(nil, 2, "\x32\x01a"), 2, "\x32\x01b"))                     // two user packets merge
	f.Add(appendField(appendField(appendField(nil, 2, "\x32\x01a"), 9, ""), 2, "\x1a\x01b")) // but not across another
	f.Add([]byte{0xa3, 0x01, 0x08, 0x01, 0xa4, 0x01})                                        // a group
	f.Fuzz(func(t *testing.T, b []byte) { checkBoth(t, b) })
}

func BenchmarkRewrite(b *testing.B) {
	v := values()[1]
	v.GetUser().Payload = make([]byte, 1000)
	in := marshal(b, v)
	dst := make([]byte, 0, 2000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(in); err != nil {
			b.Fatal(err)
		}
		dst = Rewrite(dst[:0], in, sid, identity)
	}
}
