package schedule_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/schedule"
)

func TestVerify_obeysOnlyWhatFollowsFromTheRound(t *testing.T) {
	rules := schedule.DefaultRules(genesis)
	agreed := schedule.Agreed{Epoch: 2, Nodes: strangers(30), Registries: registries(8)}
	course, err := schedule.Begin(rules, agreed)
	if err != nil {
		t.Fatal(err)
	}
	plan := next(t, course, rules, agreed, source(1))
	start := rules.Start(2, 0)
	order := plan[len(plan)-1]
	with := func(change func(*schedule.Test)) schedule.Test {
		o := order
		o.Challengers, o.Shares, o.Witnesses = slices.Clone(o.Challengers), slices.Clone(o.Shares), slices.Clone(o.Witnesses)
		change(&o)
		return o
	}
	second := schedule.Agreed{Epoch: 2, Nodes: strangers(30), Registries: registries(8)}
	other, err := schedule.Begin(rules, second)
	if err != nil {
		t.Fatal(err)
	}
	foreign := next(t, other, rules, second, source(2))[0]
	outsider := agreed.Registries[slices.IndexFunc(agreed.Registries, func(id drtc.NodeID) bool { return !slices.Contains(order.Witnesses, id) })]
	for _, row := range []struct {
		name   string
		order  schedule.Test
		issuer drtc.NodeID
		after  time.Duration
		want   error
	}{
		{"first witness at once", order, order.Witnesses[0], 0, nil},
		{"first witness at the end", order, order.Witnesses[0], rules.Wait, nil},
		{"second in its turn", order, order.Witnesses[1], 20 * time.Second, nil},
		{"last in its turn", order, order.Witnesses[4], 80 * time.Second, nil},
		{"second a skew early", order, order.Witnesses[1], 19 * time.Second, nil},
		{"second early", order, order.Witnesses[1], 17 * time.Second, schedule.ErrEarly},
		{"before the slot", order, order.Witnesses[0], -3 * time.Second, schedule.ErrEarly},
		{"late", order, order.Witnesses[0], rules.Wait + 3*time.Second, schedule.ErrLate},
		{"no witness", order, outsider, time.Minute, schedule.ErrNotWitness},
		{"a node", order, order.Prover, time.Minute, schedule.ErrNotWitness},
		{"drawn from another round", foreign, foreign.Witnesses[0], time.Minute, schedule.ErrNotPlanned},
		{"another prover", with(func(o *schedule.Test) { o.Prover = nodeID(3) }), order.Witnesses[0], time.Minute, schedule.ErrNotPlanned},
		{"another challenger", with(func(o *schedule.Test) { o.Challengers[0] = nodeID(3) }), order.Witnesses[0], time.Minute, schedule.ErrNotPlanned},
		{"another rate", with(func(o *schedule.Test) { o.RateKbps++ }), order.Witnesses[0], time.Minute, schedule.ErrNotPlanned},
		{"another share", with(func(o *schedule.Test) { o.Shares[0]++ }), order.Witnesses[0], time.Minute, schedule.ErrNotPlanned},
		{"another kind", with(func(o *schedule.Test) { o.Kind = schedule.Extra }), order.Witnesses[0], time.Minute, schedule.ErrNotPlanned},
		{"another slot", with(func(o *schedule.Test) { o.Slot++ }), order.Witnesses[0], time.Minute, schedule.ErrNotPlanned},
		{"witnesses of its choice", with(func(o *schedule.Test) { o.Witnesses[0] = outsider }), outsider, time.Minute, schedule.ErrNotPlanned},
		{"nothing", schedule.Test{}, order.Witnesses[0], time.Minute, schedule.ErrNotPlanned},
	} {
		err := rules.Verify(plan, row.order, row.issuer, start.Add(row.after), 2*time.Second)
		if !errors.Is(err, row.want) || row.want == nil && err != nil {
			t.Errorf("%s: got %v, want %v", row.name, err, row.want)
		}
	}
}

func TestWitnesses_areRankedByHashAndSpread(t *testing.T) {
	all := registries(10)
	first := map[drtc.NodeID]int{}
	for i := range 2000 {
		id := [32]byte{byte(i), byte(i >> 8)}
		five := schedule.Witnesses(all, id, 5)
		if len(five) != 5 {
			t.Fatalf("%d witnesses, want 5", len(five))
		}
		first[five[0]]++
		reversed := slices.Clone(all)
		slices.Reverse(reversed)
		if got := schedule.Witnesses(append(reversed, all...), id, 5); !slices.Equal(got, five) {
			t.Fatalf("the witnesses depend on the order of Registries: %v and %v", got, five)
		}
		// One that leaves moves up those behind it and nobody else.
		left := schedule.Witnesses(slices.DeleteFunc(slices.Clone(all), func(id drtc.NodeID) bool { return id == five[1] }), id, 5)
		if !slices.Equal(left[:4], []drtc.NodeID{five[0], five[2], five[3], five[4]}) {
			t.Fatalf("after %s left: %v of %v", five[1].Short(), left, five)
		}
	}
	for _, id := range all {
		if n := first[id]; n < 130 || n > 270 { // 200 give or take 5 deviations
			t.Errorf("%s is the first of %d in 2000 tests, want about 200", id.Short(), n)
		}
	}
	if got := schedule.Witnesses(all[:2], [32]byte{}, 5); len(got) != 2 {
		t.Errorf("%d witnesses of 2 registries", len(got))
	}
}

func TestRules_datesSlots(t *testing.T) {
	for _, rules := range []schedule.Rules{schedule.DefaultRules(genesis), schedule.DevelopmentRules(genesis)} {
		if err := rules.Validate(); err != nil {
			t.Fatal(err)
		}
		for _, at := range []struct {
			epoch uint64
			slot  uint32
		}{{0, 0}, {0, 3}, {7, 0}, {7, rules.Slots - 1}} {
			start := rules.Start(at.epoch, at.slot)
			for _, in := range []time.Duration{0, 1, rules.Slot - 1} {
				if e, s := rules.At(start.Add(in)); e != at.epoch || s != at.slot {
					t.Errorf("%s after slot %v begins it is %d/%d", in, at, e, s)
				}
			}
			from := source(1)
			if n := rules.Round(from.Clock, at.epoch, at.slot); from.Time(n).Before(start) || n > 1 && !from.Time(n-1).Before(start) || from.Time(n).Sub(start) >= from.Period {
				t.Errorf("slot %v at %s has round %d of %s", at, start, n, from.Time(n))
			}
		}
	}
}
