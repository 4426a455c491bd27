package negotiate_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/medianode/negotiate"
)

// client is a model of a browser: sections that it turns as it likes.
type client struct {
	kinds, directions []string
	mids              []int
	next              int
}

func (c *client) add(kind, direction string) {
	c.kinds, c.directions, c.mids = append(c.kinds, kind), append(c.directions, direction), append(c.mids, c.next)
	c.next++
}

func (c *client) offer() string {
	var bundle, body string
	for i, mid := range c.mids {
		if c.directions[i] != "off" {
			bundle += fmt.Sprintf(" %d", mid)
		}
		body += smallSection(c.kinds[i], c.directions[i], mid)
	}
	return "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE" + bundle + "\r\n" + body
}

func (c *client) publishes(mid string) bool {
	d := c.directions[slices.IndexFunc(c.mids, func(m int) bool { return fmt.Sprint(m) == mid })]
	return d == "sendonly" || d == "sendrecv"
}

// order is the list of mids of a description.
func order(sdp string) []string {
	var mids []string
	for line := range strings.SplitSeq(sdp, "\r\n") {
		if mid, ok := strings.CutPrefix(line, "a=mid:"); ok {
			mids = append(mids, mid)
		}
	}
	return mids
}

// checkPlaces holds what is true of every agreement: one track on one section,
// and no section goes from one track to another at once.
func checkPlaces(t *rapid.T, before, now map[string]drtc.TrackID, bound map[drtc.TrackID]negotiate.Kind) {
	seen := make(map[drtc.TrackID]string)
	for mid, id := range now {
		if other, ok := seen[id]; ok {
			t.Fatalf("track %s on mids %s and %s", id, mid, other)
		}
		seen[id] = mid
		if _, ok := bound[id]; !ok {
			t.Fatalf("track %s on mid %s is not bound", id, mid)
		}
		if was, ok := before[mid]; ok && was != id {
			t.Fatalf("mid %s went from %s to %s without a pause", mid, was, id)
		}
	}
}

func TestProperty_answer(t *testing.T) {
	kinds := rapid.SampledFrom([]string{"audio", "video"})
	directions := rapid.SampledFrom([]string{"recvonly", "recvonly", "recvonly", "sendonly", "sendrecv", "inactive", "off"})
	rapid.Check(t, func(t *rapid.T) {
		tr, err := negotiate.New(config(negotiate.Answerer))
		if err != nil {
			t.Fatal(err)
		}
		c := &client{}
		c.add("application", "x") // keeps the group alive
		bound := make(map[drtc.TrackID]negotiate.Kind)
		var placed map[string]drtc.TrackID
		ssrc := uint32(1)
		negotiation := func() negotiate.Agreement {
			offer := c.offer()
			a, err := tr.Answer(offer)
			if err != nil {
				t.Fatalf("%v\n%s", err, offer)
			}
			if got, want := order(a.SDP), order(offer); !slices.Equal(got, want) {
				t.Fatalf("got mids %v, want %v", got, want)
			}
			checkPlaces(t, placed, a.Placed, bound)
			for mid, id := range a.Placed {
				i := slices.IndexFunc(c.mids, func(m int) bool { return fmt.Sprint(m) == mid })
				if c.publishes(mid) || c.directions[i] != "recvonly" || c.kinds[i] != string(bound[id]) {
					t.Fatalf("track %s on mid %s, which is %s %s", id, mid, c.kinds[i], c.directions[i])
				}
			}
			placed = a.Placed
			return a
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				if len(c.mids) < 12 {
					c.add(kinds.Draw(t, "kind"), directions.Draw(t, "direction"))
				}
			},
			"turn": func(t *rapid.T) {
				if i := rapid.IntRange(0, len(c.mids)-1).Draw(t, "section"); i > 0 && c.directions[i] != "off" {
					c.directions[i] = directions.Draw(t, "direction")
				}
			},
			"recycle": func(t *rapid.T) {
				i := rapid.IntRange(0, len(c.mids)-1).Draw(t, "section")
				if c.directions[i] != "off" {
					return
				}
				negotiation() // both sides must know that it is off
				c.kinds[i], c.directions[i], c.mids[i] = kinds.Draw(t, "kind"), directions.Draw(t, "direction"), c.next
				c.next++
			},
			"bind": func(t *rapid.T) {
				kind := kinds.Draw(t, "kind")
				id := fmt.Sprintf("TR_%d", rapid.IntRange(0, 9).Draw(t, "track"))
				if _, ok := bound[drtc.TrackID(id)]; ok {
					return
				}
				track := opus(id, ssrc)
				if kind == "video" {
					track = vp8(id, ssrc)
				}
				ssrc += 2
				if _, err := tr.Bind(track); err != nil {
					t.Fatal(err)
				}
				bound[track.ID] = track.Kind
			},
			"unbind": func(t *rapid.T) {
				if len(bound) > 0 {
					id := rapid.SampledFrom(slices.Sorted(maps.Keys(bound))).Draw(t, "track")
					tr.Unbind(id)
					delete(bound, id)
				}
			},
			"offer": func(t *rapid.T) { negotiation() },
			"settle": func(t *rapid.T) {
				negotiation()
				a := negotiation()
				for _, kind := range []negotiate.Kind{negotiate.Audio, negotiate.Video} {
					if tr.Free(kind) > 0 && tr.Pending()[kind] > 0 {
						t.Fatalf("%d free %s sections while %d tracks wait", tr.Free(kind), kind, tr.Pending()[kind])
					}
				}
				waiting := tr.Pending()[negotiate.Audio] + tr.Pending()[negotiate.Video]
				if tr.Stale() || len(a.Placed)+waiting != len(bound) {
					t.Fatalf("stale %v, %d placed, %d waiting, %d bound", tr.Stale(), len(a.Placed), waiting, len(bound))
				}
			},
		})
	})
}

// reply answers one of our offers like a browser would; choice picks what to do
// with each section: 0 to receive, 1 inactive, 2 to refuse it.
func reply(offer string, choice func(mid string) int) string {
	head, _, _ := strings.Cut(offer, "m=")
	var bundle, body string
	for _, s := range strings.Split(offer, "\r\nm=")[1:] {
		mid := order(s)[0]
		what := choice(mid)
		if strings.HasPrefix(strings.SplitN(s, " ", 3)[1], "0") {
			what = 2
		}
		s = strings.NewReplacer("a=setup:actpass", "a=setup:active", "a=sendonly", "a=recvonly",
			"a=ice-ufrag:", "a=ice-ufrag:peer-", "a=ice-pwd:", "a=ice-pwd:peer-").Replace("m=" + strings.TrimSuffix(s, "\r\n") + "\r\n")
		switch what {
		case 1:
			s = strings.Replace(s, "a=recvonly", "a=inactive", 1)
		case 2:
			s = strings.Replace(s, " 9 ", " 0 ", 1)
		}
		if what != 2 {
			bundle += " " + mid
		}
		body += s
	}
	i, j := strings.Index(head, "a=group:"), strings.Index(head, "a=ice-lite")
	return head[:i] + "a=group:BUNDLE" + bundle + "\r\n" + head[j+len("a=ice-lite\r\n"):] + body
}

func TestProperty_offer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tr, err := negotiate.New(config(negotiate.Offerer))
		if err != nil {
			t.Fatal(err)
		}
		bound := make(map[drtc.TrackID]negotiate.Kind)
		var placed map[string]drtc.TrackID
		var mids []string
		var open string
		ssrc := uint32(1)
		t.Repeat(map[string]func(*rapid.T){
			"bind": func(t *rapid.T) {
				id := fmt.Sprintf("TR_%d", rapid.IntRange(0, 9).Draw(t, "track"))
				if _, ok := bound[drtc.TrackID(id)]; ok {
					return
				}
				track := opus(id, ssrc)
				if rapid.Bool().Draw(t, "video") {
					track = vp8(id, ssrc)
				}
				ssrc += 2
				b, err := tr.Bind(track)
				if err != nil || b.Mid == "" {
					t.Fatalf("got %+v, %v", b, err)
				}
				bound[track.ID] = track.Kind
			},
			"unbind": func(t *rapid.T) {
				if len(bound) > 0 {
					id := rapid.SampledFrom(slices.Sorted(maps.Keys(bound))).Draw(t, "track")
					tr.Unbind(id)
					delete(bound, id)
				}
			},
			"offer": func(t *rapid.T) {
				if open != "" {
					return
				}
				if open, err = tr.Offer(); err != nil {
					t.Fatal(err)
				}
				now := order(open)
				if len(now) < len(mids) || !slices.Equal(now[:len(mids)], mids) {
					t.Fatalf("got mids %v after %v", now, mids)
				}
				mids = now
			},
			"withdraw": func(t *rapid.T) {
				tr.Withdraw()
				open = ""
			},
			"accept": func(t *rapid.T) {
				if open == "" {
					return
				}
				choices := rapid.SliceOfN(rapid.SampledFrom([]int{0, 0, 0, 1, 2}), len(mids), len(mids)).Draw(t, "choices")
				a, err := tr.Accept(reply(open, func(mid string) int {
					if mid == "0" {
						return 0
					}
					return choices[slices.Index(mids, mid)]
				}))
				if err != nil {
					t.Fatalf("%v\n%s", err, open)
				}
				open = ""
				checkPlaces(t, placed, a.Placed, bound)
				placed = a.Placed
				for _, s := range a.Send {
					if want := choices[slices.Index(mids, s.Mid)] == 0; s.Active != want {
						t.Fatalf("mid %s: got active %v, want %v", s.Mid, s.Active, want)
					}
				}
				for _, r := range a.Refused { // final on an offering transport
					tr.Unbind(r.TrackID)
					delete(bound, r.TrackID)
				}
			},
		})
	})
}
