package receipt

import (
	"fmt"
	"time"
)

// Period is over what a Budget counts.
type Period string

// The periods; days and months are those of UTC.
const (
	PerDay   Period = "day"
	PerMonth Period = "month"
)

// Budget bounds what may be used in a period. Key, Application and Room narrow it;
// a Room of "*" bounds each room by itself.
type Budget struct {
	Application string `toml:"application"`
	Key         string `toml:"key"`
	Room        string `toml:"room"`
	// Gigabytes of 10^9 bytes, client and relay bytes together.
	Gigabytes float64 `toml:"gigabytes"`
	Per       Period  `toml:"per"`
	// End closes rooms that are over it; else they go on and nobody new comes in.
	End bool `toml:"end"`
}

// EachRoom is the Room of a Budget that bounds every room by itself.
const EachRoom = "*"

// Validate names the field that is wrong.
func (b Budget) Validate() error {
	switch {
	case b.Per != PerDay && b.Per != PerMonth:
		return fmt.Errorf("receipt: budget: per: want %q or %q, got %.20q", PerDay, PerMonth, b.Per)
	case !(b.Gigabytes >= 0 && b.Gigabytes <= 1e9):
		return fmt.Errorf("receipt: budget: gigabytes: want 0 to 1e9, got %v", b.Gigabytes)
	}
	return nil
}

func (b Budget) bytes() uint64 { return uint64(b.Gigabytes * 1e9) }

// pot is what a budget counts together: all that it bounds, or each room.
type pot struct{ application, room string }

// pot of a Spender, false if the budget does not bound it.
func (b Budget) pot(s Spender) (pot, bool) {
	switch {
	case b.Application != "" && b.Application != s.Application, b.Key != "" && b.Key != s.Key:
		return pot{}, false
	case b.Room == EachRoom:
		return pot{s.Application, s.Room}, true
	case b.Room != "" && b.Room != s.Room:
		return pot{}, false
	}
	return pot{}, true
}

func (b Budget) covers(day, now Day) bool {
	return day == now || b.Per == PerMonth && day.Month() == now.Month()
}

// ends is when the present period is over.
func (b Budget) ends(now time.Time) time.Time {
	y, m, d := now.UTC().Date()
	if b.Per == PerMonth {
		return time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC)
	}
	return time.Date(y, m, d+1, 0, 0, 0, 0, time.UTC)
}

func (b Budget) what(s Spender) string {
	switch {
	case b.Room != "":
		return fmt.Sprintf("room %q", s.Room)
	case b.Key != "":
		return fmt.Sprintf("API key %q", s.Key)
	case b.Application != "":
		return fmt.Sprintf("application %q", s.Application)
	}
	return "this service"
}

// Exceeded is why a Spender is refused.
type Exceeded struct {
	Reason string // for its user
	End    bool   // its room is closed
}

// Tally is what budgets have left in the present periods.
type Tally struct {
	budgets []Budget
	now     time.Time
	used    []map[pot]uint64 // of each budget
}

// NewTally counts the rows of all members for budgets.
func NewTally(budgets []Budget, now time.Time, rows []Row) *Tally {
	t := &Tally{budgets: budgets, now: now}
	today := DayOf(now)
	for _, b := range budgets {
		used := map[pot]uint64{}
		for _, r := range rows {
			if p, ok := b.pot(r.Spender); ok && b.covers(r.Day, today) {
				used[p] += r.Sum()
			}
		}
		t.used = append(t.used, used)
	}
	return t
}

// Exceeded says whether a Spender may use no more, by the first of the budgets
// that is used up, one that ends rooms before others.
func (t *Tally) Exceeded(s Spender) (found Exceeded, ok bool) {
	for i, b := range t.budgets {
		p, bound := b.pot(s)
		if !bound || ok && !b.End {
			continue
		}
		if used := t.used[i][p]; used >= b.bytes() {
			found = Exceeded{End: b.End, Reason: fmt.Sprintf("the budget of %s is used up: %.3f of %.3f GB this %s, until %s",
				b.what(s), float64(used)/1e9, b.Gigabytes, b.Per, b.ends(t.now).Format(time.RFC3339))}
			if ok = true; b.End {
				return found, true
			}
		}
	}
	return found, ok
}

// Authority is what an application lets an Orchestrator spend, by its signature
// (design decision 12).
type Authority struct {
	// Bytes that may be signed for in all, client and relay together.
	Bytes uint64
	// Until is the last epoch in which they may.
	Until uint64
}

// Refuses says why nothing more may be served for the application, empty if it
// may. Spent is what was signed for since the authority was given.
func (a Authority) Refuses(epoch, spent uint64) string {
	switch {
	case epoch > a.Until:
		return fmt.Sprintf("the application's authority for this Orchestrator ended with epoch %d", a.Until)
	case spent >= a.Bytes:
		return fmt.Sprintf("the application's data credits for this Orchestrator are used up: %.3f of %.3f GB", float64(spent)/1e9, float64(a.Bytes)/1e9)
	}
	return ""
}
