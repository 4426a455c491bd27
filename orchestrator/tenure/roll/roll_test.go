package roll_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/orchestrator/tenure/roll"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// pair is the roll of a who has read that b lives.
func pair() *roll.Roll {
	r := roll.New("a", "a1", "http://a")
	r.Begin()
	r.SawMember("a", r.Beat(), 1)
	r.SawMember("b", roll.Member{Life: "b1", URL: "http://b"}, 2)
	r.Current()
	return r
}

func outputs(r *roll.Roll) (all []roll.Output) {
	for o, ok := r.Poll(); ok; o, ok = r.Poll() {
		all = append(all, o)
	}
	return all
}

func beats(r *roll.Roll, n int, revision uint64) {
	for i := range n {
		r.SawMember("a", r.Beat(), revision+uint64(i))
	}
}

func wantOutputs(t *testing.T, doing string, r *roll.Roll, want ...roll.Output) {
	t.Helper()
	if got := outputs(r); fmt.Sprintf("%T%v", got, got) != fmt.Sprintf("%T%v", want, want) {
		t.Errorf("%s: got %T%v, want %v", doing, got, got, want)
	}
}

func take(t *testing.T, r *roll.Roll, key roll.Key, read roll.Tenure, at, revision uint64) roll.Tenure {
	t.Helper()
	claim, write, err := r.Claim(noon, key, read, at)
	if err != nil || !write {
		t.Fatalf("claim: %t, %v", write, err)
	}
	if err := r.Took(key, claim, revision); err != nil {
		t.Fatal(err)
	}
	return claim
}

func TestClaim_ofARoomThatSomebodyHas(t *testing.T) {
	r := pair()
	of := roll.Tenure{Member: "b", Life: "b1", Term: 5}
	r.SawTenure("x", of, 3)
	if got, want := r.Owner("x"), (roll.Owner{Member: "b", URL: "http://b", Term: 5}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	_, _, err := r.Claim(noon, "x", of, 3)
	var taken *roll.TakenError
	if !errors.As(err, &taken) || taken.Owner.Member != "b" {
		t.Errorf("got %v, want that b has it", err)
	}
}

func TestClaim_isAboveTheTermAndTheTime(t *testing.T) {
	for read, want := range map[uint64]uint64{0: uint64(noon.UnixMilli()), math.MaxUint64 - 1: math.MaxUint64} {
		claim, _, err := pair().Claim(noon, "x", roll.Tenure{Term: read}, 3)
		if err != nil || claim.Term != want {
			t.Errorf("over %d: got %d, %v, want %d", read, claim.Term, err, want)
		}
	}
	if _, _, err := pair().Claim(noon, "x", roll.Tenure{Term: math.MaxUint64}, 3); !errors.Is(err, roll.ErrSpent) {
		t.Errorf("got %v, want ErrSpent", err)
	}
	if claim, _, err := pair().Claim(time.Unix(-100, 0), "x", roll.Tenure{Term: 7}, 3); err != nil || claim.Term != 8 {
		t.Errorf("with a clock before 1970: got %d, %v, want 8", claim.Term, err)
	}
}

func TestSilence_ofThreeOwnBeatsIsDeath(t *testing.T) {
	r := pair()
	of := roll.Tenure{Member: "b", Life: "b1", Term: 5}
	r.SawTenure("x", of, 3)
	beats(r, 2, 10)
	wantOutputs(t, "after two beats", r)
	r.SawMember("b", roll.Member{Life: "b1", URL: "http://b", Beat: 2}, 12)
	beats(r, 2, 13)
	wantOutputs(t, "after two more", r)
	beats(r, 1, 15)
	wantOutputs(t, "after the third", r, roll.Offered{Key: "x"})
	if got := r.Owner("x"); got.Member != "" {
		t.Errorf("the room of a dead member is %+v's", got)
	}
	claim := take(t, r, "x", of, 3, 16)
	if claim.Term <= 5 || !r.Owner("x").Mine {
		t.Errorf("got %+v, want a term above 5", claim)
	}
	// It was only slow. It comes back and finds that the room is ours.
	r.SawMember("b", roll.Member{Life: "b1", URL: "http://b", Beat: 3}, 17)
	wantOutputs(t, "when it comes back", r)
}

// A reader that was cut off judges nobody by what it has not heard.
func TestSilence_isCountedAnewWhenTheWatchBeginsAnew(t *testing.T) {
	r := pair()
	r.SawTenure("x", roll.Tenure{Member: "b", Life: "b1", Term: 5}, 3)
	beats(r, 2, 10)
	r.Begin()
	r.SawMember("b", roll.Member{Life: "b1"}, 2)
	r.SawTenure("x", roll.Tenure{Member: "b", Life: "b1", Term: 5}, 3)
	r.SawMember("a", r.Beat(), 12)
	r.Current()
	beats(r, 2, 13)
	wantOutputs(t, "two beats after it", r)
	beats(r, 1, 15)
	wantOutputs(t, "three beats after it", r, roll.Offered{Key: "x"})
}

func TestMember_anotherLifeLeavesItsRoomsAtOnce(t *testing.T) {
	r := pair()
	of := roll.Tenure{Member: "b", Life: "b1", Term: 5}
	var keys []roll.Key
	for i := range 20 {
		keys = append(keys, roll.Key(fmt.Sprint("k", i)))
		r.SawTenure(keys[i], of, uint64(3+i))
	}
	r.SawMember("b", roll.Member{Life: "b2", URL: "http://b"}, 30)
	var mine, theirs []roll.Key
	for _, key := range keys {
		if r.Heir(key, "") == "a" {
			mine = append(mine, key)
		} else {
			theirs = append(theirs, key)
		}
	}
	var offered []roll.Key
	for _, o := range outputs(r) {
		offered = append(offered, o.(roll.Offered).Key)
	}
	slices.Sort(offered)
	slices.Sort(mine)
	if !slices.Equal(offered, mine) || len(mine) == 0 || len(theirs) == 0 {
		t.Errorf("offered are %v, want %v; the other takes %v", offered, mine, theirs)
	}
	// A member that says goodbye leaves all.
	r.MemberGone("b")
	beats(r, 3, 40)
	offered = nil
	for _, o := range outputs(r) {
		offered = append(offered, o.(roll.Offered).Key)
	}
	for _, key := range keys {
		if !slices.Contains(offered, key) {
			t.Errorf("%s is not offered when nobody else is left", key)
		}
	}
}

func TestLeave_handsTheRoomToOne(t *testing.T) {
	a, b := pair(), roll.New("b", "b1", "http://b")
	b.Begin()
	b.SawMember("b", b.Beat(), 2)
	b.SawMember("a", roll.Member{Life: "a1", URL: "http://a"}, 1)
	b.Current()
	claim := take(t, a, "x", roll.Tenure{}, 0, 5)
	b.SawTenure("x", claim, 5)
	handed, at, err := a.Leave("x", "b")
	if err != nil || at != 5 {
		t.Fatalf("leave: at %d, %v", at, err)
	}
	if _, _, err := a.Leave("x", "b"); !errors.Is(err, roll.ErrNotHeld) {
		t.Errorf("leaving twice: got %v", err)
	}
	a.SawTenure("x", handed, 6)
	b.SawTenure("x", handed, 6)
	if got := a.Owner("x"); got != (roll.Owner{Member: "b", URL: "http://b"}) {
		t.Errorf("a thinks that the room is %+v's, want b's without a term", got)
	}
	if _, _, err := a.Claim(noon, "x", handed, 6); err == nil {
		t.Error("a may take back what it handed over")
	}
	wantOutputs(t, "b", b, roll.Offered{Key: "x"})
	if next := take(t, b, "x", handed, 6, 7); next.Term <= claim.Term {
		t.Errorf("b has term %d after a's %d", next.Term, claim.Term)
	}
	// One whom it was handed to may be dead.
	a.SawTenure("y", roll.Tenure{Term: 4, To: "nobody"}, 8)
	a.MemberGone("b")
	beats(a, 4, 10)
	if got := outputs(a); !slices.Contains(got, roll.Output(roll.Offered{Key: "y"})) {
		t.Errorf("a room for a dead member: got %v, want it offered", got)
	}
}

func TestLost_whenTheStoreSaysSo(t *testing.T) {
	for name, news := range map[string]func(*roll.Roll){
		"another member":    func(r *roll.Roll) { r.SawTenure("x", roll.Tenure{Member: "b", Life: "b1", Term: 99}, 6) },
		"gone":              func(r *roll.Roll) { r.TenureGone("x", 6) },
		"gone when watched": func(r *roll.Roll) { r.Begin(); r.Current() },
		"told otherwise":    func(r *roll.Roll) { r.Drop("x") },
	} {
		r := pair()
		take(t, r, "x", roll.Tenure{}, 0, 5)
		r.SawTenure("x", roll.Tenure{Member: "b", Life: "b1", Term: 1}, 4) // old news
		r.TenureGone("x", 3)
		wantOutputs(t, name+": old news", r)
		news(r)
		wantOutputs(t, name, r, roll.Lost{Key: "x"})
		if r.Owner("x").Mine {
			t.Errorf("%s: the room is still held", name)
		}
	}
}

func TestTook_tooLate(t *testing.T) {
	r := pair()
	claim, _, err := r.Claim(noon, "x", roll.Tenure{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	// The store took it at 5, but b's news of 6 come before the answer.
	r.SawTenure("x", roll.Tenure{Member: "b", Life: "b1", Term: claim.Term + 1}, 6)
	var taken *roll.TakenError
	if err := r.Took("x", claim, 5); !errors.As(err, &taken) || r.Owner("x").Mine {
		t.Errorf("got %v, want that b has it", err)
	}
}

func TestRaise_isNoLossWhenItsNewsComeBeforeItsAnswer(t *testing.T) {
	r := pair()
	claim := take(t, r, "x", roll.Tenure{}, 0, 5)
	up, at, write, err := r.Raise(noon, "x", claim.Term+9)
	if err != nil || !write || at != 5 || up.Term <= claim.Term+9 {
		t.Fatalf("got %+v over %d, %t, %v", up, at, write, err)
	}
	r.SawTenure("x", up, 6)
	wantOutputs(t, "the news", r)
	if err := r.Took("x", up, 6); err != nil {
		t.Error(err)
	}
	if o := r.Owner("x"); !o.Mine || o.Term != up.Term {
		t.Errorf("got %+v, want it held with %d", o, up.Term)
	}
	if _, _, write, err := r.Raise(noon, "x", claim.Term); write || err != nil {
		t.Errorf("above a lower term: got %t, %v, want nothing to write", write, err)
	}
}

func TestForget_whoIsLongDead(t *testing.T) {
	r := pair()
	beats(r, 600, 10)
	wantOutputs(t, "after 600 beats", r, roll.Forget{Member: "b", Revision: 2})
}

func TestSpare_isWhatIsOverTheShare(t *testing.T) {
	r := pair()
	for i := range 10 {
		take(t, r, roll.Key(fmt.Sprint("k", i)), roll.Tenure{}, 0, uint64(10+i))
	}
	if n, to := r.Spare(); n != 5 || to != "b" {
		t.Errorf("ten rooms of ten for two: got %d for %q, want 5 for b", n, to)
	}
	for i := range 9 {
		r.SawTenure(roll.Key(fmt.Sprint("b", i)), roll.Tenure{Member: "b", Life: "b1", Term: 1}, uint64(30+i))
	}
	if n, _ := r.Spare(); n != 0 {
		t.Errorf("ten of nineteen: got %d, want none", n)
	}
}

// A member that ends is handed no room and is offered none, its own included.
func TestRetire_nobodyHandsRoomsToWhoEnds(t *testing.T) {
	r := pair()
	for i := range 8 {
		take(t, r, roll.Key(fmt.Sprint("r", i)), roll.Tenure{}, 0, uint64(10+i))
	}
	if got := r.Heir("r1", "a"); got != "b" {
		t.Fatalf("the heir is %q, want b", got)
	}
	if rooms, to := r.Spare(); rooms == 0 || to != "b" {
		t.Fatalf("%d rooms are spare, for %q, want some for b", rooms, to)
	}
	r.SawMember("b", roll.Member{Life: "b1", URL: "http://b", Ending: true}, 30)
	if got := r.Heir("r1", "a"); got != "" {
		t.Errorf("the heir is %q, want nobody: b ends too", got)
	}
	if rooms, to := r.Spare(); rooms != 0 || to != "" {
		t.Errorf("%d rooms are spare, for %q, want none: b ends", rooms, to)
	}
	outputs(r)
	r.SawTenure("s", roll.Tenure{Term: 1, To: "b"}, 31)
	wantOutputs(t, "a room that was handed to who ends", r, roll.Offered{Key: "s"})
	r.Retire()
	if m := r.Beat(); !m.Ending {
		t.Errorf("the beat is %+v, want that it says so", m)
	}
	r.SawTenure("t", roll.Tenure{Term: 1, To: "a"}, 32)
	wantOutputs(t, "a room that was handed to us as we end", r)
}

func BenchmarkSawMember(b *testing.B) {
	r := pair()
	for i := range 100_000 {
		r.SawTenure(roll.Key(fmt.Sprint("k", i)), roll.Tenure{Member: "b", Life: "b1", Term: 1}, uint64(10+i))
	}
	revision := uint64(200_000)
	for b.Loop() { // a second of an operator with 100,000 rooms
		revision += 2
		r.SawMember("b", roll.Member{Life: "b1"}, revision)
		r.SawMember("a", r.Beat(), revision+1)
	}
}

// world is a store, a node and members of whom nobody keeps time: what is written
// may be taken at any later moment or never, what was taken is answered and told
// at any later moment, and answers may be lost. Members are replaced by new
// processes, and clocks are as they are.
type world struct {
	t        *rapid.T
	revision uint64
	stored   map[roll.Key]stored
	beats    map[string]roll.Member
	members  []*process
	writes   []*write
	holder   map[roll.Key]map[uint64]string // of each term
	node     map[roll.Key]uint64            // the greatest term that it saw
	lives    int
}

type stored struct {
	roll.Tenure
	revision uint64
}

// process is a member and the news that have not reached it.
type process struct {
	name, life string
	roll       *roll.Roll
	news       []func(*roll.Roll)
	skew       time.Duration
	told       map[roll.Key]bool // Lost was told
	stopped    bool
}

// write is one that the store may take.
type write struct {
	by       *process
	key      roll.Key
	tenure   roll.Tenure
	over     uint64
	revision uint64 // at which it was taken
	done     bool
	release  bool
}

func (w *world) tell(news func(*roll.Roll)) {
	for _, p := range w.members {
		p.news = append(p.news, news)
	}
}

func (w *world) start(name string, skew time.Duration) {
	w.lives++
	p := &process{name: name, life: fmt.Sprint(name, w.lives), skew: skew, told: map[roll.Key]bool{}}
	p.roll = roll.New(name, p.life, "http://"+name)
	p.roll.Begin()
	for key, s := range w.stored {
		p.roll.SawTenure(key, s.Tenure, s.revision)
	}
	for other, m := range w.beats {
		p.roll.SawMember(other, m, 1)
	}
	p.roll.Current()
	for i, old := range w.members {
		if old.name == name {
			old.stopped = true
			w.members = slices.Delete(w.members, i, i+1)
			break
		}
	}
	w.members = append(w.members, p)
	w.beat(p)
}

func (w *world) beat(p *process) {
	w.revision++
	m, at := p.roll.Beat(), w.revision
	w.beats[p.name] = m
	w.tell(func(r *roll.Roll) { r.SawMember(p.name, m, at) })
}

// take begins to take a room with what the store has now.
func (w *world) take(p *process, key roll.Key) {
	s := w.stored[key]
	claim, needed, err := p.roll.Claim(noon.Add(p.skew), key, s.Tenure, s.revision)
	if err == nil && needed {
		w.writes = append(w.writes, &write{by: p, key: key, tenure: claim, over: s.revision})
	}
}

// apply lets the store decide on a write.
func (w *world) apply(wr *write) {
	wr.done = true
	s := w.stored[wr.key]
	if s.revision != wr.over {
		return
	}
	if !wr.release {
		if other, ok := w.holder[wr.key][wr.tenure.Term]; ok {
			w.t.Fatalf("term %d of %s is given to %s and was %s's", wr.tenure.Term, wr.key, wr.by.life, other)
		}
		if wr.tenure.Term <= s.Term {
			w.t.Fatalf("term %d of %s after %d", wr.tenure.Term, wr.key, s.Term)
		}
		if w.holder[wr.key] == nil {
			w.holder[wr.key] = map[uint64]string{}
		}
		w.holder[wr.key][wr.tenure.Term] = wr.by.life
	}
	w.revision++
	wr.revision = w.revision
	w.stored[wr.key] = stored{wr.tenure, w.revision}
	key, tenure, at := wr.key, wr.tenure, w.revision
	w.tell(func(r *roll.Roll) { r.SawTenure(key, tenure, at) })
}

// answer tells who wrote.
func (w *world) answer(wr *write) {
	if wr.release || wr.by.stopped || wr.revision == 0 {
		return
	}
	if wr.by.roll.Took(wr.key, wr.tenure, wr.revision) == nil {
		wr.by.told[wr.key] = false
	}
}

// write lets a member write the room at a node, if it thinks that it may.
func (w *world) write(p *process, key roll.Key) {
	term, _, ok := p.roll.Held(key)
	if !ok {
		return
	}
	if w.holder[key][term] != p.life {
		w.t.Fatalf("%s writes %s with term %d, which is %q's", p.life, key, term, w.holder[key][term])
	}
	if term >= w.node[key] {
		w.node[key] = term
	} else if w.stored[key].Term < w.node[key] {
		w.t.Fatalf("the node has seen term %d of %s and the store has %d", w.node[key], key, w.stored[key].Term)
	}
}

func (w *world) drain(p *process) {
	for o, ok := p.roll.Poll(); ok; o, ok = p.roll.Poll() {
		if lost, ok := o.(roll.Lost); ok {
			p.told[lost.Key] = true
		}
	}
}

func (w *world) deliver(p *process) {
	if len(p.news) > 0 {
		p.news[0](p.roll)
		p.news = p.news[1:]
	}
}

// settle lets all writes end and all news arrive.
func (w *world) settle() {
	for _, wr := range w.writes {
		if !wr.done {
			w.apply(wr)
			w.answer(wr)
		}
	}
	w.writes = nil
	for _, p := range w.members {
		for len(p.news) > 0 {
			w.deliver(p)
		}
	}
}

func TestRoll_noTermHasTwoMembers(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{
			t: rt, stored: map[roll.Key]stored{}, beats: map[string]roll.Member{},
			holder: map[roll.Key]map[uint64]string{}, node: map[roll.Key]uint64{},
		}
		names := []string{"a", "b", "c"}
		skew := func() time.Duration { return time.Duration(rapid.IntRange(-100, 100).Draw(rt, "skew")) * time.Hour }
		for _, name := range names {
			w.start(name, skew())
		}
		keys := []roll.Key{"x", "y"}
		for range rapid.IntRange(1, 150).Draw(rt, "steps") {
			p := rapid.SampledFrom(w.members).Draw(rt, "member")
			key := rapid.SampledFrom(keys).Draw(rt, "key")
			switch rapid.SampledFrom([]string{
				"deliver", "deliver", "deliver", "beat", "beat", "take", "take", "apply", "apply", "write", "leave", "raise", "restart", "all news",
			}).Draw(rt, "step") {
			case "deliver":
				w.deliver(p)
			case "all news":
				for len(p.news) > 0 {
					w.deliver(p)
				}
			case "beat":
				w.beat(p)
			case "take":
				w.take(p, key)
			case "apply":
				if len(w.writes) > 0 {
					i := rapid.IntRange(0, len(w.writes)-1).Draw(rt, "write")
					wr := w.writes[i]
					w.writes = slices.Delete(w.writes, i, i+1)
					if rapid.IntRange(0, 9).Draw(rt, "reaches") > 0 {
						w.apply(wr)
					}
					if rapid.IntRange(0, 4).Draw(rt, "answered") > 0 {
						w.answer(wr)
					}
				}
			case "write":
				w.write(p, key)
			case "leave":
				to := rapid.SampledFrom(append(names, "")).Draw(rt, "to")
				if free, at, err := p.roll.Leave(key, to); err == nil {
					w.writes = append(w.writes, &write{by: p, key: key, tenure: free, over: at, release: true})
				}
			case "raise":
				if up, at, needed, err := p.roll.Raise(noon.Add(p.skew), key, w.node[key]); err == nil && needed {
					w.writes = append(w.writes, &write{by: p, key: key, tenure: up, over: at})
				}
			case "restart":
				w.start(p.name, skew())
			}
			w.drain(p)
		}
		w.settle()
		// All have heard all: a room is held by who the store says, or by nobody.
		for _, p := range w.members {
			w.drain(p)
			for _, key := range p.roll.Keys() {
				if s := w.stored[key]; s.Life != p.life {
					rt.Fatalf("%s holds %s, which is %+v in the store", p.life, key, s)
				}
				if p.told[key] {
					rt.Fatalf("%s was told that it lost %s and holds it", p.life, key)
				}
			}
		}
		// Nobody waits for ever: whoever owns a room as others see it can be asked
		// for it, and takes it if need be.
		for _, key := range keys {
			for range 5 {
				for _, p := range w.members {
					w.beat(p)
				}
				w.settle()
			}
			for _, p := range w.members {
				asked := p
				if o := p.roll.Owner(key); o.Member != "" {
					for _, q := range w.members {
						if q.name == o.Member {
							asked = q
						}
					}
				}
				if o := asked.roll.Owner(key); o.Member != "" && o.Member != asked.name {
					rt.Fatalf("%s sends for %s to %s, which sends on to %s", p.life, key, asked.life, o.Member)
				}
				w.take(asked, key)
				w.settle()
				if _, _, ok := asked.roll.Held(key); !ok {
					rt.Fatalf("%s is asked for %s and can't take it: %+v", asked.life, key, w.stored[key])
				}
			}
		}
	})
}
