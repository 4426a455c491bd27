package allocate_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/orchestrator/allocate"
)

// A Field drops what Decide drops, and its best candidate is Decide's.
func TestField_agreesWithDecide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := draw(t)
		q.request.NeedMbps, q.request.RoomNodes, q.request.AccuracyKm = 0, nil, 0
		q.request.AudioOnly = false // a Field's load is by the sessions of all
		if q.request.Place == nil {
			p := drawPlace(t)
			q.request.Place = &p
		}
		f, err := allocate.Prepare(q.now, q.snapshot, q.request, q.policy)
		if err != nil {
			t.Fatal(err)
		}
		d, refusal := q.decide(t)
		best := -1
		score := func(i int) float64 { return f.Score(i, q.request.Place.DistanceKm(f.Candidate(i).Place)) }
		for i := range f.Len() {
			room := f.Room(i, allocate.Taken{}, 0, q.request.AudioOnly, q.policy.MaxLoad) > 0
			if full := f.Full(i, allocate.Taken{}, 0, q.request.AudioOnly); f.Dropped(i).Cause == "" && room != (full.Cause == "") {
				t.Errorf("%v has room: %v, and is %v", f.Candidate(i).ID, room, full)
			}
			if f.Dropped(i).Cause == "" && room && (best < 0 || f.Compare(i, score(i), best, score(best)) < 0) {
				best = i
			}
		}
		switch {
		case refusal != nil && best >= 0:
			t.Errorf("got %v, and Decide refuses: %v", f.Candidate(best).ID, refusal)
		case refusal == nil && (best < 0 || f.Candidate(best).ID != d.Node):
			t.Errorf("got candidate %d, want %v", best, d.Node)
		}
	})
}

// What Room says can be given one by one, and not one more.
func TestField_roomIsWhatFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCandidate(t)
		c.ID[0]++
		p := allocate.DefaultPolicy()
		f, err := allocate.Prepare(start, allocate.Snapshot{At: start, Nodes: []allocate.Candidate{c}}, allocate.Request{Room: "RM_a"}, p)
		if err != nil {
			t.Fatal(err)
		}
		need := rapid.SampledFrom([]float64{0.1, 5}).Draw(t, "need")
		audio := rapid.Bool().Draw(t, "audio")
		if f.Dropped(0).Cause == allocate.Invalid {
			return
		}
		var taken allocate.Taken
		room := f.Room(0, taken, need, audio, p.MaxLoad)
		for n := range min(room, 2000) + 1 {
			if full := f.Full(0, taken, need, audio).Cause != ""; full != (n == room) {
				t.Fatalf("full: %v after %d, there was room for %d", full, n, room)
			}
			taken.Sessions++
			taken.Mbps = float64(n+1) * need
		}
	})
}
