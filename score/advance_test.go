package score

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
)

const percent = econ.One / 100

// network is nodes 0 to n-1, each tested by its successors with the qualities
// given, one result a value.
type network struct {
	t      *testing.T
	rules  Rules
	book   Book
	report Report
	in     Input
}

func newNetwork(t *testing.T, nodes int) *network {
	n := &network{t: t, rules: DefaultRules()}
	n.begin(0, nodes)
	return n
}

func (n *network) begin(epoch uint64, nodes int) {
	n.in = Input{Epoch: epoch}
	for i := range nodes {
		n.in.Nodes = append(n.in.Nodes, Node{ID: nodeID(i), Delegated: true})
	}
}

// tested gives node p results by the challengers after it.
func (n *network) tested(p int, further bool, qualities ...econ.Wad) {
	for k, q := range qualities {
		r := Result{Slot: uint32(len(n.in.Results)), Prover: nodeID(p), Challenger: nodeID((p + 1 + k) % len(n.in.Nodes)), Further: further, Quality: q}
		binary.BigEndian.PutUint64(r.Test[:], uint64(len(n.in.Results)))
		n.in.Results = append(n.in.Results, r)
	}
}

// close ends the epoch and begins the next.
func (n *network) close() {
	n.t.Helper()
	var err error
	if n.book, n.report, err = Advance(n.book, n.in, n.rules); err != nil {
		n.t.Fatal(err)
	}
	n.begin(n.in.Epoch+1, len(n.in.Nodes))
}

func (n *network) score(i int) Score {
	n.t.Helper()
	s, ok := n.report.Find(nodeID(i))
	if !ok {
		n.t.Fatalf("no score of node %d", i)
	}
	return s
}

func repeat(q econ.Wad, n int) []econ.Wad { return slices.Repeat([]econ.Wad{q}, n) }

func TestMedian_ofWeights(t *testing.T) {
	for name, tt := range map[string]struct {
		list []weighted
		want econ.Wad
		ok   bool
	}{
		"nothing":                 {nil, 0, false},
		"nothing that weighs":     {[]weighted{{5, 0}}, 0, false},
		"one":                     {[]weighted{{5, 3}}, 5, true},
		"odd":                     {[]weighted{{1, 1}, {2, 1}, {9, 1}}, 2, true},
		"even: the middle":        {[]weighted{{1, 1}, {2, 1}, {5, 1}, {9, 1}}, 3, true},
		"heavy":                   {[]weighted{{1, 1}, {2, 1}, {9, 3}}, 9, true},
		"half by a weight of two": {[]weighted{{2, 2}, {4, 0}, {6, 1}, {7, 1}}, 4, true},
	} {
		got, ok := median(tt.list)
		if got != tt.want || ok != tt.ok {
			t.Errorf("%s: got %d, %t, want %d, %t", name, got, ok, tt.want, tt.ok)
		}
	}
}

func TestMedian_weightIsRepetition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Uint64Range(0, 20), 1, 12).Draw(t, "values")
		slices.Sort(values)
		var whole, single []weighted
		for _, v := range values {
			weight := rapid.Uint32Range(1, 4).Draw(t, "weight")
			whole = append(whole, weighted{econ.Wad(v), weight * 1000})
			for range weight {
				single = append(single, weighted{econ.Wad(v), 1})
			}
		}
		a, _ := median(whole)
		b, _ := median(single)
		if a != b {
			t.Fatalf("got %d with weights, %d with repetitions", a, b)
		}
	})
}

func TestAdvance_fewResults(t *testing.T) {
	n := newNetwork(t, 40)
	for p := range 30 {
		n.tested(p, false, repeat(90*percent+econ.Wad(p)*percent/10, 8)...)
	}
	n.tested(30, false, repeat(99*percent, 7)...) // better than the 25th percentile
	n.tested(31, false, repeat(85*percent, 7)...) // worse
	n.tested(32, false, repeat(99*percent, 8)...) // enough
	n.close()
	// 31 nodes have eight results: the eighth of them from below stands at 0.907.
	for i, want := range map[int]econ.Wad{30: 907 * (econ.One / 1000), 31: 85 * percent, 32: 99 * percent, 33: 0} {
		if got := n.score(i); got.Quality != want {
			t.Errorf("node %d with %d results has V %d, want %d", i, got.Results, got.Quality, want)
		}
	}
	if n.score(30).Measured != 99*percent || !n.score(30).Few || n.score(32).Few {
		t.Errorf("got %+v, want a measured 0.99 and the mark of few results", n.score(30))
	}
}

// A network that begins has nobody to compare with.
func TestAdvance_firstResultsOfAll(t *testing.T) {
	n := newNetwork(t, 5)
	for p := range 5 {
		n.tested(p, false, repeat(95*percent, 4)...)
	}
	n.close()
	if got := n.score(0).Quality; got != 95*percent {
		t.Errorf("V is %d, want that of the node's own results", got)
	}
}

func TestAdvance_resultsLeaveTheWindow(t *testing.T) {
	n := newNetwork(t, 12)
	n.tested(0, false, repeat(95*percent, 8)...)
	for want := range []int{8, 8, 8, 8, 8, 8, 8} {
		n.close()
		if got := n.score(0).Results; got != 8 {
			t.Fatalf("after epoch %d: %d results, want 8", want, got)
		}
	}
	n.close()
	if got := n.score(0); got.Results != 0 || got.Quality != 0 {
		t.Errorf("after the window: %d results and V %d, want none and 0", got.Results, got.Quality)
	}
}

func TestAdvance_orderOfEvidenceDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		r := rand.New(rand.NewPCG(seed, 0))
		book := Book{}
		for epoch := range uint64(3) {
			in := drawInput(r, epoch)
			other := shuffled(r, in)
			a, first, err := Advance(book, in, DefaultRules())
			if err != nil {
				t.Fatal(err)
			}
			b, second, err := Advance(book, other, DefaultRules())
			if err != nil {
				t.Fatal(err)
			}
			if first.Hash() != second.Hash() || a.Hash() != b.Hash() {
				t.Fatalf("seed %d: reports %x and %x, books %x and %x", seed, first.Hash(), second.Hash(), a.Hash(), b.Hash())
			}
			for _, s := range first.Scores {
				if err := s.Scores.Validate(); err != nil {
					t.Fatal(err)
				}
			}
			decoded, err := Decode(a.Encode())
			if err != nil || decoded.Hash() != a.Hash() || string(decoded.Encode()) != string(a.Encode()) {
				t.Fatalf("seed %d: the book does not come back: %v", seed, err)
			}
			book = decoded
		}
	})
}

// drawInput is an epoch of ten nodes with something of everything.
func drawInput(r *rand.Rand, epoch uint64) Input {
	in := Input{Epoch: epoch, Registries: 4}
	place := func() Place {
		return Place{int32(r.IntN(halfTurn+1) - halfTurn/2), int32(r.IntN(2*halfTurn+1) - halfTurn)}
	}
	for i := range 10 {
		n := Node{ID: nodeID(i), Delegated: r.IntN(4) > 0, HasPlace: r.IntN(5) > 0}
		if n.HasPlace {
			n.Place = place()
		}
		for k := range r.IntN(4) {
			n.Probes = append(n.Probes, Probe{Registry: nodeID(100 + k), Place: place(), RoundTrip: uint32(r.IntN(300_000) + 1)})
		}
		in.Nodes = append(in.Nodes, n)
		for k := range 1 + r.IntN(8) {
			t := Result{Slot: uint32(r.IntN(48)), Prover: n.ID, Challenger: nodeID((i + 1 + k) % 10), Further: r.IntN(3) == 0, Quality: econ.Wad(r.Uint64N(uint64(econ.One) + 1))}
			binary.BigEndian.PutUint64(t.Test[:], r.Uint64())
			in.Results = append(in.Results, t)
		}
		for k := range r.IntN(5) {
			life := uint32(r.IntN(86400))
			in.Uptimes = append(in.Uptimes, Uptime{nodeID(100 + k), n.ID, uint32(r.IntN(int(life) + 1)), life})
			in.Sessions = append(in.Sessions, Sessions{nodeID(200 + k), n.ID, uint32(r.IntN(50)), r.Uint64N(1 << 62), econ.Wad(r.Uint64N(uint64(econ.One) + 1))})
			in.Supplies = append(in.Supplies, Supply{[20]byte{byte(k)}, n.ID, r.Uint64() >> r.IntN(64)})
		}
		if n.HasPlace {
			in.Demands = append(in.Demands, Demand{n.ID, CellOf(n.Place), r.Uint64() >> r.IntN(64), uint32(r.IntN(100_000))})
		}
	}
	return in
}

func shuffled(r *rand.Rand, in Input) Input {
	mix(r, &in.Nodes)
	mix(r, &in.Results)
	mix(r, &in.Uptimes)
	mix(r, &in.Demands)
	mix(r, &in.Supplies)
	mix(r, &in.Sessions)
	for i := range in.Nodes {
		mix(r, &in.Nodes[i].Probes)
	}
	return in
}

func mix[T any](r *rand.Rand, list *[]T) {
	*list = slices.Clone(*list)
	r.Shuffle(len(*list), func(i, j int) { (*list)[i], (*list)[j] = (*list)[j], (*list)[i] })
}

// The same bytes on every machine: whoever builds for another architecture finds
// out here.
func TestAdvance_isTheSameEverywhere(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 0))
	var book Book
	var report Report
	for epoch := range uint64(9) {
		var err error
		if book, report, err = Advance(book, drawInput(r, epoch), DefaultRules()); err != nil {
			t.Fatal(err)
		}
	}
	h := report.Hash()
	if got, want := hex.EncodeToString(h[:]), "1d3511761326514acc969ab94f3a783a33e05ec9cbcf2a14f5bd61b2848bb468"; got != want {
		t.Errorf("the report of nine epochs is %s, want %s", got, want)
	}
}

func TestAdvance_reportNamesItsInputs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	in := drawInput(r, 0)
	in.Results = append(in.Results[:0:0], in.Results...)
	_, before, err := Advance(Book{}, in, DefaultRules())
	if err != nil {
		t.Fatal(err)
	}
	changes := map[string]func(*Input, *Rules){
		"rules":    func(_ *Input, r *Rules) { r.AlarmTests++ },
		"nodes":    func(in *Input, _ *Rules) { in.Nodes[3].Delegated = !in.Nodes[3].Delegated },
		"results":  func(in *Input, _ *Rules) { in.Results[0].Quality ^= 1 },
		"uptimes":  func(in *Input, _ *Rules) { in.Uptimes[0].Life++ },
		"demands":  func(in *Input, _ *Rules) { in.Demands[0].RoundTrip++ },
		"supplies": func(in *Input, _ *Rules) { in.Supplies[0].Bytes++ },
		"sessions": func(in *Input, _ *Rules) { in.Sessions[0].Count++ },
	}
	for name, change := range changes {
		other, rules := shuffled(r, in), DefaultRules()
		change(&other, &rules)
		_, after, err := Advance(Book{}, other, rules)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range after.Inputs {
			if changed := s != before.Inputs[i]; changed != (s.Name == name) {
				t.Errorf("change of %s: hash of %s differs: %t", name, s.Name, changed)
			}
		}
		if after.Hash() == before.Hash() {
			t.Errorf("change of %s: the report has the same hash", name)
		}
	}
}

func TestAdvance_namesWhatIsWrong(t *testing.T) {
	stranger := nodeID(99)
	for want, change := range map[string]func(*Input, *Rules, *Book){
		"epoch 0, want 1": func(_ *Input, _ *Rules, b *Book) { b.next = 1 },
		"Window is 0":     func(_ *Input, r *Rules, _ *Book) { r.Window = 0 },
		"AlarmBelow is 7": func(_ *Input, r *Rules, _ *Book) { r.AlarmBelow = 7 },
		"without id":      func(in *Input, _ *Rules, _ *Book) { in.Nodes[0].ID = drtc.NodeID{} },
		"is listed twice": func(in *Input, _ *Rules, _ *Book) { in.Nodes[0].ID = in.Nodes[1].ID },
		"micro-degrees":   func(in *Input, _ *Rules, _ *Book) { in.Nodes[0].HasPlace, in.Nodes[0].Place.Lat = true, 90_000_001 },
		"probed it twice": func(in *Input, _ *Rules, _ *Book) { in.Nodes[0].Probes = []Probe{{RoundTrip: 1}, {RoundTrip: 2}} },
		"no round trip":   func(in *Input, _ *Rules, _ *Book) { in.Nodes[0].Probes = []Probe{{}} },
		"has place": func(in *Input, _ *Rules, _ *Book) {
			in.Nodes[0].Probes = []Probe{{Place: Place{Lon: 180_000_001}, RoundTrip: 1}}
		},
		"prover and challenger": func(in *Input, _ *Rules, _ *Book) { in.Results[0].Challenger = in.Results[0].Prover },
		"quality is":            func(in *Input, _ *Rules, _ *Book) { in.Results[0].Quality = econ.One + 1 },
		"two results":           func(in *Input, _ *Rules, _ *Book) { in.Results[0].Test = in.Results[1].Test },
		"more than 1 results":   func(_ *Input, r *Rules, _ *Book) { r.PerEpoch, r.AlarmTests, r.JointTests, r.RelapseTests = 1, 1, 1, 1 },
		"results name node":     func(in *Input, _ *Rules, _ *Book) { in.Results[0].Prover = stranger },
		"uptimes name node":     func(in *Input, _ *Rules, _ *Book) { in.Uptimes = []Uptime{{Node: stranger}} },
		"demands name node":     func(in *Input, _ *Rules, _ *Book) { in.Demands = []Demand{{Node: stranger, Cell: CellOf(Place{})}} },
		"supplies name node":    func(in *Input, _ *Rules, _ *Book) { in.Supplies = []Supply{{Node: stranger}} },
		"sessions name node":    func(in *Input, _ *Rules, _ *Book) { in.Sessions = []Sessions{{Node: stranger}} },
		"up for 2 s of 1":       func(in *Input, _ *Rules, _ *Book) { in.Uptimes = []Uptime{{Node: nodeID(0), Up: 2, Life: 1}} },
		"two uptimes": func(in *Input, _ *Rules, _ *Book) {
			in.Uptimes = []Uptime{{Node: nodeID(0)}, {Node: nodeID(0), Life: 1}}
		},
		"S2 cell of level 6": func(in *Input, _ *Rules, _ *Book) { in.Demands = []Demand{{Node: nodeID(0), Cell: 1}} },
		"demand of cell 1001 is listed twice": func(in *Input, _ *Rules, _ *Book) {
			in.Demands = slices.Repeat([]Demand{{Node: nodeID(0), Cell: CellOf(Place{})}}, 2)
		},
		"application 00":      func(in *Input, _ *Rules, _ *Book) { in.Supplies = slices.Repeat([]Supply{{Node: nodeID(0)}}, 2) },
		"quality of node":     func(in *Input, _ *Rules, _ *Book) { in.Sessions = []Sessions{{Node: nodeID(0), Quality: econ.One + 1}} },
		"reports node":        func(in *Input, _ *Rules, _ *Book) { in.Sessions = slices.Repeat([]Sessions{{Node: nodeID(0)}}, 2) },
		"nodes, want at most": func(in *Input, _ *Rules, _ *Book) { in.Nodes = make([]Node, MaxNodes+1) },
	} {
		n := newNetwork(t, 4)
		n.tested(0, false, repeat(econ.One, 2)...)
		rules, book := DefaultRules(), Book{}
		change(&n.in, &rules, &book)
		_, _, err := Advance(book, n.in, rules)
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want ErrInvalid and %q", err, want)
		}
	}
}

func TestBook_isBounded(t *testing.T) {
	const seed = 5
	r := rand.New(rand.NewPCG(seed, 0))
	var book Book
	most := 0
	for epoch := range uint64(60) {
		var err error
		if book, _, err = Advance(book, drawInput(r, epoch), DefaultRules()); err != nil {
			t.Fatal(err)
		}
		if size := len(book.Encode()); epoch == 10 {
			most = 2 * size
		} else if epoch > 10 && size > most {
			t.Fatalf("seed %d: %d bytes after epoch %d, want at most %d", seed, size, epoch, most)
		}
	}
	book, _, err := Advance(book, Input{Epoch: 60 + uint64(DefaultRules().Forget)}, DefaultRules())
	if err != nil || book.Len() != 0 {
		t.Errorf("nodes that are long gone are remembered: %d, %v", book.Len(), err)
	}
}

func FuzzDecode(f *testing.F) {
	book, _, err := Advance(Book{}, Input{
		Nodes:    []Node{{ID: nodeID(0)}, {ID: nodeID(1)}},
		Results:  []Result{{Prover: nodeID(0), Challenger: nodeID(1), Quality: econ.One}, {Test: [32]byte{1}, Prover: nodeID(1), Challenger: nodeID(0), Further: true}},
		Sessions: []Sessions{{nodeID(2), nodeID(0), 7, 7, 1}},
	}, DefaultRules())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(Book{}.Encode())
	f.Add(book.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		book, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("got %v, want ErrInvalid", err)
			}
			return
		}
		if string(book.Encode()) != string(b) {
			t.Errorf("%x is written as %x", b, book.Encode())
		}
		if book.Next() < 1<<63 {
			in := Input{Epoch: book.Next()}
			if _, _, err := Advance(book, in, DefaultRules()); err != nil {
				t.Errorf("a book that was read cannot be continued: %v", err)
			}
		}
	})
}
