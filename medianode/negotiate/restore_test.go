package negotiate_test

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/negotiate"
)

func place(t testing.TB, tr *negotiate.Transport, mid string, track negotiate.Track) {
	t.Helper()
	if err := tr.Place(mid, track); err != nil {
		t.Fatal(err)
	}
}

func TestPlace_putsTracksBackOnTheirMids(t *testing.T) {
	tr := newTransport(t, config(negotiate.Answerer))
	for mid, track := range map[string]negotiate.Track{"5": vp8("TR_v", 10), "2": opus("TR_a", 20), "99": vp8("TR_w", 30)} {
		place(t, tr, mid, track)
	}
	if err := tr.Place("5", vp8("TR_x", 40)); !errors.Is(err, negotiate.ErrPlace) {
		t.Errorf("second track on mid 5: got %v, want ErrPlace", err)
	}
	a := answer(t, tr, read(t, "chromium_join_offer.sdp"))
	if want := (map[string]drtc.TrackID{"5": "TR_v", "2": "TR_a"}); !maps.Equal(a.Placed, want) || a.Restarted {
		t.Errorf("got placed %v, restarted %v, want %v: no section of the client is for TR_w", a.Placed, a.Restarted, want)
	}
	if len(tr.Pending()) != 0 || tr.Stale() {
		t.Errorf("%v pending, stale %v: a promise asks the client for nothing", tr.Pending(), tr.Stale())
	}
	if err := tr.Place("4", vp8("TR_x", 40)); !errors.Is(err, negotiate.ErrPlace) {
		t.Errorf("after the first answer: got %v, want ErrPlace", err)
	}
}

func TestPlace_aPromiseIsKeptForWhoTakesItUp(t *testing.T) {
	tr := newTransport(t, config(negotiate.Answerer))
	offer := small("video recvonly", "video recvonly", "audio recvonly")
	place(t, tr, "0", vp8("TR_kept", 10))
	place(t, tr, "1", vp8("TR_left", 20))
	answer(t, tr, offer)
	if b := bind(t, tr, vp8("TR_kept", 10)); b.Mid != "0" || tr.Stale() || tr.Promised("TR_kept") || !tr.Promised("TR_left") {
		t.Fatalf("got %+v, stale %v, promised %v and %v: want it on mid 0 with nothing to tell",
			b, tr.Stale(), tr.Promised("TR_kept"), tr.Promised("TR_left"))
	}
	if _, err := tr.Bind(vp8("TR_left", 99)); !errors.Is(err, negotiate.ErrTrack) {
		t.Errorf("other streams than were promised: got %v, want ErrTrack", err)
	}
	a := answer(t, tr, offer)
	if want := (map[string]drtc.TrackID{"0": "TR_kept"}); !maps.Equal(a.Placed, want) {
		t.Errorf("the second answer: placed %v, want %v", a.Placed, want)
	}
	if tr.Unbind("TR_left") || tr.Free(negotiate.Video) != 1 {
		t.Errorf("%d free video sections, want that of the promise that nobody took up", tr.Free(negotiate.Video))
	}
}

func TestPlace_anotherCodecNeedsAnotherSection(t *testing.T) {
	offer := small("video recvonly", "video recvonly")
	offer = strings.Replace(offer, "a=mid:1\r\n", "a=mid:1\r\na=rtpmap:98 AV1/90000\r\n", 1)
	head, tail, _ := strings.Cut(offer, "a=mid:1")
	i := strings.LastIndex(head, " 96 97")
	offer = head[:i] + " 96 97 98" + head[i+len(" 96 97"):] + "a=mid:1" + tail

	tr := newTransport(t, config(negotiate.Answerer))
	place(t, tr, "0", vp8("TR_1", 1))
	answer(t, tr, offer)
	if _, ok := tr.Format("TR_1", negotiate.Codec{Mime: negotiate.AV1}); ok {
		t.Fatal("a format for AV1 on a section without it")
	}
	if b := bind(t, tr, track("TR_1", negotiate.Video, negotiate.AV1, "", 1)); b.Mid != "1" || !tr.Stale() {
		t.Errorf("got %+v, stale %v, want mid 1 in the next negotiation", b, tr.Stale())
	}
	a := answer(t, tr, offer)
	has(t, sections(a.SDP)["0"], "a=inactive")
	if a.Placed["1"] != "TR_1" || a.Send[0].Codec.Mime != negotiate.AV1 {
		t.Errorf("got placed %v, sent %+v", a.Placed, a.Send)
	}
}

func TestRestore_namesStreamsThatNothingElseTells(t *testing.T) {
	offer := strings.Replace(small("video sendonly", "audio sendonly"), "a=ssrc:1000 cname:c\r\n",
		"a=rid:q send\r\na=rid:h send\r\na=rid:f send\r\na=simulcast:send q;h;f\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n", 1)
	tr := newTransport(t, config(negotiate.Answerer))
	err := tr.Restore([]negotiate.Source{
		{Mid: "0", RID: "f", SSRC: 30, RTX: 31}, {Mid: "0", RID: "q", SSRC: 10}, {Mid: "1", SSRC: 1001, RTX: 5}, {Mid: "1", SSRC: 7}, {Mid: "9", SSRC: 8},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // later negotiations tell as little
		a := answer(t, tr, offer)
		if want := []negotiate.SourceGroup{{SSRC: 10}, {}, {SSRC: 30, RTX: 31}}; !slices.Equal(a.Receive[0].SSRCs, want) {
			t.Errorf("layers %v: got %v, want %v", a.Receive[0].RIDs, a.Receive[0].SSRCs, want)
		}
		if want := []negotiate.SourceGroup{{SSRC: 1001, RTX: 5}, {SSRC: 7}}; !slices.Equal(a.Receive[1].SSRCs, want) {
			t.Errorf("one stream: got %v, want %v", a.Receive[1].SSRCs, want)
		}
	}
	if err := tr.Restore(nil); !errors.Is(err, negotiate.ErrPlace) {
		t.Errorf("after the first answer: got %v, want ErrPlace", err)
	}
}

func TestRestore_nodeBeginsDTLS(t *testing.T) {
	tr := newTransport(t, config(negotiate.Answerer))
	if err := tr.Restore(nil); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and keeps the role
		a := answer(t, tr, small("video recvonly"))
		has(t, a.SDP, "a=setup:active")
		if a.Role != negotiate.Active {
			t.Errorf("got role %v, want active", a.Role)
		}
	}

	chosen := newTransport(t, config(negotiate.Answerer))
	if err := chosen.Restore(nil); err != nil {
		t.Fatal(err)
	}
	if a := answer(t, chosen, strings.ReplaceAll(small("video recvonly"), "a=setup:actpass", "a=setup:active")); a.Role != negotiate.Passive {
		t.Errorf("to a peer that wants to begin: got role %v, want passive", a.Role)
	}
}

func TestRestore_badSources(t *testing.T) {
	for name, bad := range map[string][]negotiate.Source{
		"no mid":         {{SSRC: 1}},
		"a line break":   {{Mid: "0", RID: "q\r\na", SSRC: 1}},
		"no ssrc":        {{Mid: "0"}},
		"an ssrc twice":  {{Mid: "0", RID: "q", SSRC: 1}, {Mid: "0", RID: "h", SSRC: 1}},
		"rtx of another": {{Mid: "0", RID: "q", SSRC: 1, RTX: 2}, {Mid: "0", RID: "h", SSRC: 2}},
		"rtx of its own": {{Mid: "0", SSRC: 1, RTX: 1}},
		"too many":       make([]negotiate.Source, 65),
	} {
		if err := newTransport(t, config(negotiate.Answerer)).Restore(bad); !errors.Is(err, negotiate.ErrPlace) {
			t.Errorf("%s: got %v, want ErrPlace", name, err)
		}
	}
	if err := newTransport(t, config(negotiate.Offerer)).Restore(nil); !errors.Is(err, negotiate.ErrPlace) {
		t.Errorf("an offering transport: got %v, want ErrPlace", err)
	}
}

// rich gives the sections of a small offer the choice that browsers offer.
func rich(offer string) string {
	return strings.NewReplacer(
		"SAVPF 96 97\r\n", "SAVPF 96 97 102 103 98 99 45 46\r\n",
		"a=rtpmap:96 VP8/90000\r\n", "a=rtpmap:96 VP8/90000\r\na=rtpmap:102 H264/90000\r\na=fmtp:102 packetization-mode=1;profile-level-id=42e01f\r\n"+
			"a=rtpmap:103 rtx/90000\r\na=fmtp:103 apt=102\r\na=rtpmap:98 VP9/90000\r\na=fmtp:98 profile-id=0\r\na=rtpmap:99 rtx/90000\r\na=fmtp:99 apt=98\r\n"+
			"a=rtpmap:45 AV1/90000\r\na=rtpmap:46 rtx/90000\r\na=fmtp:46 apt=45\r\na=rtcp-fb:* transport-cc\r\n",
		"a=rtcp-mux\r\n", "a=rtcp-mux\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\na=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n"+
			"a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\na=extmap:1/sendonly urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\n",
	).Replace(offer)
}

var streams = regexp.MustCompile(`a=ssrc(-group:FID)?[: ][0-9 ]+`)

// shape is a description without what belongs to the node alone: credentials,
// the session's id and the numbers of streams.
func shape(sdp string) string {
	var out strings.Builder
	for line := range strings.Lines(sdp) {
		if !strings.HasPrefix(line, "o=") && !strings.HasPrefix(line, "a=ice-ufrag:") && !strings.HasPrefix(line, "a=ice-pwd:") {
			line = strings.Replace(line, "a=setup:active", "a=setup:passive", 1) // who moves has chosen no role
			out.WriteString(streams.ReplaceAllString(line, "a=ssrc "))
		}
	}
	return out.String()
}

// However a client and its node came to their sections, another node that is
// told which track is on which of them answers as the first would have.
func TestProperty_restore(t *testing.T) {
	kinds := rapid.SampledFrom([]string{"audio", "video"})
	directions := rapid.SampledFrom([]string{"recvonly", "recvonly", "recvonly", "sendonly", "sendrecv", "inactive", "off"})
	mimes := rapid.SampledFrom([]string{negotiate.VP8, negotiate.H264, negotiate.VP9, negotiate.AV1})
	rapid.Check(t, func(t *rapid.T) {
		before, err := negotiate.New(config(negotiate.Answerer))
		if err != nil {
			t.Fatal(err)
		}
		c := &client{}
		c.add("application", "x")
		bound, wishes := map[drtc.TrackID]negotiate.Track{}, map[string]string{}
		ssrc := uint32(1)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				if len(c.mids) < 10 {
					c.add(kinds.Draw(t, "kind"), directions.Draw(t, "direction"))
				}
			},
			"turn": func(t *rapid.T) {
				i := rapid.IntRange(0, len(c.mids)-1).Draw(t, "section")
				if wished := wishes[fmt.Sprintf("t%d", c.mids[i])]; i > 0 && wished == "" && c.directions[i] != "off" {
					c.directions[i] = directions.Draw(t, "direction")
				}
			},
			"publish": func(t *rapid.T) {
				if len(c.mids) >= 10 {
					return
				}
				cid, mime := fmt.Sprintf("t%d", c.next), mimes.Draw(t, "mime")
				c.add("video", "sendonly")
				before.Prefer(cid, mime)
				wishes[cid] = mime
			},
			"subscribe": func(t *rapid.T) {
				id := fmt.Sprintf("TR_%d", rapid.IntRange(0, 9).Draw(t, "track"))
				if _, ok := bound[drtc.TrackID(id)]; ok {
					return
				}
				tr := opus(id, ssrc)
				if rapid.Bool().Draw(t, "video") {
					tr = track(id, negotiate.Video, mimes.Draw(t, "mime"), "", ssrc)
				}
				ssrc += 2
				if _, err := before.Bind(tr); err != nil {
					t.Fatal(err)
				}
				bound[tr.ID] = tr
			},
			"unsubscribe": func(t *rapid.T) {
				if len(bound) > 0 {
					id := rapid.SampledFrom(slices.Sorted(maps.Keys(bound))).Draw(t, "track")
					before.Unbind(id)
					delete(bound, id)
				}
			},
			"offer": func(t *rapid.T) {
				if _, err := before.Answer(rich(c.offer())); err != nil {
					t.Fatal(err)
				}
			},
			"move": func(t *rapid.T) {
				offer := rich(c.offer())
				last, err := before.Answer(offer)
				if err != nil {
					t.Fatal(err)
				}
				after, err := negotiate.New(config(negotiate.Answerer))
				if err != nil {
					t.Fatal(err)
				}
				for cid, mime := range wishes {
					after.Prefer(cid, mime)
				}
				for mid, id := range last.Placed {
					tr := bound[id]
					tr.SSRC, tr.RTXSSRC = ssrc+1000, 0
					if tr.Kind == negotiate.Video {
						tr.RTXSSRC = ssrc + 1001
					}
					ssrc += 2
					if err := after.Place(mid, tr); err != nil {
						t.Fatal(err)
					}
				}
				var sources []negotiate.Source
				for _, r := range last.Receive {
					for _, g := range r.SSRCs {
						sources = append(sources, negotiate.Source{Mid: r.Mid, SSRC: g.SSRC, RTX: g.RTX})
					}
				}
				if err := after.Restore(sources); err != nil {
					t.Fatal(err)
				}
				a, err := after.Answer(strings.ReplaceAll(offer, "a=ice-ufrag:peer", "a=ice-ufrag:anew"))
				if err != nil {
					t.Fatal(err)
				}
				if got, want := shape(a.SDP), shape(last.SDP); got != want {
					t.Fatalf("got\n%s\nwant\n%s", got, want)
				}
				if !maps.Equal(a.Placed, last.Placed) || a.Role != negotiate.Active || a.Restarted {
					t.Fatalf("placed %v, role %v, restarted %v; before %v", a.Placed, a.Role, a.Restarted, last.Placed)
				}
				for _, r := range a.Receive {
					i := slices.IndexFunc(last.Receive, func(o negotiate.Receive) bool { return o.Mid == r.Mid })
					if i < 0 || !slices.Equal(r.SSRCs, last.Receive[i].SSRCs) || r.Extensions != last.Receive[i].Extensions {
						t.Fatalf("received %+v, before %+v", r, last.Receive)
					}
				}
				for _, id := range a.Placed { // all are subscribed again: nothing to tell the client
					tr := bound[id]
					for _, s := range a.Send {
						if s.TrackID == id {
							tr.SSRC, tr.RTXSSRC = s.SSRC, s.RTXSSRC
						}
					}
					if _, err := after.Bind(tr); err != nil {
						t.Fatal(err)
					}
				}
				if after.Stale() {
					t.Fatal("stale after every promise was taken up")
				}
				before = after // and it may move on
				for id := range bound {
					if !slices.Contains(slices.Collect(maps.Values(a.Placed)), id) {
						delete(bound, id)
					}
				}
				for _, s := range a.Send {
					tr := bound[s.TrackID]
					tr.SSRC, tr.RTXSSRC = s.SSRC, s.RTXSSRC
					bound[s.TrackID] = tr
				}
			},
		})
	})
}

func FuzzRestore(f *testing.F) {
	f.Add(read(f, "chromium_join_offer.sdp"), "3", "0", "q", uint32(7))
	f.Add(read(f, "chromium_publish_offer.sdp"), "5", "8", "h", uint32(1))
	f.Add(small("audio sendrecv", "video recvonly", "application x"), "1", "0", "", uint32(1000))
	f.Add(small("audio off", "video sendonly"), "0", "1", "", uint32(0))
	f.Fuzz(func(t *testing.T, offer, receives, sends, rid string, ssrc uint32) {
		tr := newTransport(t, config(negotiate.Answerer))
		promised := tr.Place(receives, vp8("TR_v", 100)) == nil
		_ = tr.Restore([]negotiate.Source{{Mid: sends, RID: rid, SSRC: ssrc, RTX: ssrc + 1}})
		for range 2 {
			a, err := tr.Answer(offer)
			if err != nil {
				return
			}
			for mid := range a.Placed {
				if !promised || mid != receives {
					t.Errorf("on mid %q, want %q", mid, receives)
				}
			}
			for _, r := range a.Receive {
				if len(r.SSRCs) > 17 { // 16 of the description, one restored
					t.Errorf("mid %q: %d streams", r.Mid, len(r.SSRCs))
				}
			}
			promised = false // nobody has taken it up
		}
	})
}
