package negotiate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"

	"github.com/drtc-network/drtc/medianode/negotiate"
)

func FuzzAnswer(f *testing.F) {
	for _, name := range []string{"chromium_join_offer.sdp", "chromium_publish_offer.sdp"} {
		f.Add(read(f, name))
	}
	f.Add(small("audio sendrecv", "video recvonly", "application x"))
	f.Add(small("audio off", "video sendonly"))
	f.Add("v=0\r\no=- 1 2 IN IP4 0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111")
	f.Fuzz(func(t *testing.T, offer string) {
		cfg := config(negotiate.Answerer)
		cfg.Codecs = append(negotiate.DefaultCodecs(), negotiate.RED)
		tr := newTransport(t, cfg)
		bind(t, tr, vp8("TR_v", 1))
		bind(t, tr, opus("TR_a", 3))
		a, err := tr.Answer(offer)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "negotiate: offer: ") {
				t.Errorf("got the error %q without its origin", err)
			}
			return
		}
		var parsed sdp.SessionDescription
		if err := parsed.UnmarshalString(a.SDP); err != nil {
			t.Fatalf("%v in our own answer\n%s", err, a.SDP)
		}
		if got, want := order(a.SDP), order(strings.ReplaceAll(offer, "\n", "\r\n")); len(got) > len(want) {
			t.Errorf("got mids %v, want %v", got, want)
		}
		for _, s := range a.Send {
			if slices.ContainsFunc(a.Receive, func(r negotiate.Receive) bool { return r.Active && r.Mid == s.Mid }) {
				t.Errorf("mid %s is sent and received", s.Mid)
			}
		}
		again, err := tr.Answer(offer)
		if err != nil || again.Restarted {
			t.Errorf("the same offer again: restarted %v, %v", again.Restarted, err)
		}
	})
}

func FuzzAccept(f *testing.F) {
	tr := newTransport(f, config(negotiate.Offerer))
	bind(f, tr, vp8("TR_v", 1))
	bind(f, tr, opus("TR_a", 3))
	offer, err := tr.Offer()
	if err != nil {
		f.Fatal(err)
	}
	for choice := range 3 {
		f.Add(reply(offer, func(string) int { return choice }))
	}
	f.Add(read(f, "chromium_join_answer.sdp"))
	f.Fuzz(func(t *testing.T, answer string) {
		tr := newTransport(t, config(negotiate.Offerer))
		bind(t, tr, vp8("TR_v", 1))
		bind(t, tr, opus("TR_a", 3))
		if _, err := tr.Offer(); err != nil {
			t.Fatal(err)
		}
		a, err := tr.Accept(answer)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "negotiate: answer: ") {
				t.Errorf("got the error %q without its origin", err)
			}
			return
		}
		if len(a.Send)+len(a.Refused) != 2 {
			t.Errorf("got %d tracks sent and %d refused, want 2 in all", len(a.Send), len(a.Refused))
		}
		if _, err := tr.Offer(); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	offer := read(b, "chromium_join_offer.sdp")
	tr := newTransport(b, config(negotiate.Answerer))
	b.ReportAllocs()
	for b.Loop() {
		answer(b, tr, offer)
	}
}
