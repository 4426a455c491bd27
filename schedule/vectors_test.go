package schedule

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/drtc-network/drtc"
)

// Seeds, draws, ids and witnesses against those of another language.
func TestVectors(t *testing.T) {
	text, err := os.ReadFile("../spec/vectors/schedule.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Seed struct {
			Round            uint64
			Randomness, Root string
			Epoch            uint64
			Slot             uint32
			Seed             string
		}
		Words   []string
		Below   [][2]string
		Shuffle []int
		Test    struct {
			Kind        Kind
			Prover      drtc.NodeID
			Challengers []drtc.NodeID
			ID          string
		}
		Witnesses struct{ Registries, First5 []drtc.NodeID }
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	word := func(s string) [32]byte {
		b, err := hex.DecodeString(s)
		if err != nil || len(b) != 32 {
			t.Fatalf("%q is not 32 bytes", s)
		}
		return [32]byte(b)
	}
	seed := Seed(v.Seed.Round, word(v.Seed.Randomness), v.Seed.Epoch, v.Seed.Slot, word(v.Seed.Root))
	if seed != word(v.Seed.Seed) {
		t.Fatalf("seed %x, want %s", seed, v.Seed.Seed)
	}
	s := newStream(seed)
	for i, want := range v.Words {
		if got := fmt.Sprintf("%016x", s.word()); got != want {
			t.Errorf("word %d is %s, want %s", i, got, want)
		}
	}
	s = newStream(seed)
	for i, row := range v.Below {
		var n, want uint64
		if _, err := fmt.Sscan(row[0], &n); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Sscan(row[1], &want); err != nil {
			t.Fatal(err)
		}
		if got := s.below(n); got != want {
			t.Fatalf("draw %d below %d is %d, want %d", i, n, got, want)
		}
	}
	order := make([]int, len(v.Shuffle))
	for i := range order {
		order[i] = i
	}
	newStream(seed).shuffle(order)
	if !slices.Equal(order, v.Shuffle) {
		t.Errorf("shuffled to %v, want %v", order, v.Shuffle)
	}
	test := Test{Kind: v.Test.Kind, Prover: v.Test.Prover, Challengers: v.Test.Challengers}
	test.identify(seed)
	if test.ID != word(v.Test.ID) {
		t.Errorf("test id %x, want %s", test.ID, v.Test.ID)
	}
	if got := Witnesses(v.Witnesses.Registries, test.ID, 5); !slices.Equal(got, v.Witnesses.First5) {
		t.Errorf("witnesses %v, want %v", got, v.Witnesses.First5)
	}
}

// An urn against the same draw without a tree.
func TestUrn_drawsTheOwnerOfATicket(t *testing.T) {
	for n := 1; n < 40; n++ {
		tickets := make([]uint64, n)
		r := newStream([32]byte{byte(n)})
		for i := range tickets {
			tickets[i] = r.below(4) * r.below(1000)
		}
		tickets[n-1]++
		u := newUrn(slices.Clone(tickets))
		a, b := newStream([32]byte{1}), newStream([32]byte{1})
		for total := sum(tickets); total > 0; total = sum(tickets) {
			rest, want := b.below(total), 0
			for rest >= tickets[want] {
				rest -= tickets[want]
				want++
			}
			if got := u.draw(a); got != want || u.total != total {
				t.Fatalf("%d nodes: drew %d of %d tickets, want %d of %d", n, got, u.total, want, total)
			}
			u.remove(want)
			tickets[want] = 0
		}
		if u.total != 0 {
			t.Fatalf("%d nodes: %d tickets are left of none", n, u.total)
		}
	}
}

func sum(v []uint64) (n uint64) {
	for _, x := range v {
		n += x
	}
	return n
}
