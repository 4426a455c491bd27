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

// matches reports whether a row counts for the budget, of a Spender that asks.
func (b Budget) matches(asks, row Spender) bool {
	room := b.Room
	if room == EachRoom {
		room = asks.Room
	}
	return (b.Application == "" || b.Application == row.Application) &&
		(b.Key == "" || b.Key == row.Key) && (room == "" || room == row.Room && asks.Application == row.Application)
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

// Exceeds says whether a Spender may use no more, by the first of the budgets that
// is used up. Rows are those of all members.
func Exceeds(budgets []Budget, now time.Time, rows []Row, s Spender) (Exceeded, bool) {
	today := DayOf(now)
	var found Exceeded
	for _, b := range budgets {
		if !b.matches(s, s) {
			continue
		}
		var used uint64
		for _, r := range rows {
			if b.covers(r.Day, today) && b.matches(s, r.Spender) {
				used += r.Sum()
			}
		}
		if used < b.bytes() {
			continue
		}
		e := Exceeded{End: b.End, Reason: fmt.Sprintf("the budget of %s is used up: %.3f of %.3f GB this %s, until %s",
			b.what(s), float64(used)/1e9, b.Gigabytes, b.Per, b.ends(now).Format(time.RFC3339))}
		if e.End {
			return e, true
		}
		if found.Reason == "" {
			found = e
		}
	}
	return found, found.Reason != ""
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
