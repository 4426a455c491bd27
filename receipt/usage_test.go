package receipt_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc/receipt"
)

func TestUsage_goesToPagesAndBack(t *testing.T) {
	u := receipt.NewUsage()
	for i := range 2500 {
		room := "room " + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + time.Duration(i).String()
		u.Add("2026-01-31", receipt.Spender{Application: "shop", Key: "k", Room: room}, clientBytes(uint64(i)))
	}
	u.Add("2026-02-01", receipt.Spender{Application: "shop", Key: "k", Room: "r"}, receipt.Counters{Client: 1, Relay: 2})
	u.Add("2026-02-01", receipt.Spender{}, receipt.Counters{}) // nothing
	dirty := u.Dirty()
	if len(dirty) != 4 || len(u.Dirty()) != 0 {
		t.Fatalf("%d pages changed, want 3 and 1, once", len(dirty))
	}
	again := receipt.NewUsage()
	for _, p := range dirty {
		b, err := u.Page(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Load(p, b); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(again.Rows(), u.Rows()) {
		t.Error("what was loaded is not what was written")
	}
	again.Add("2026-02-01", receipt.Spender{Application: "shop", Key: "k", Room: "r"}, receipt.Counters{Client: 1})
	if rows := again.Rows(); rows[len(rows)-1].Client != 2 || rows[len(rows)-1].Relay != 2 {
		t.Errorf("got %+v, want that it goes on counting", rows[len(rows)-1])
	}
	if d := again.Dirty(); !slices.Equal(d, []receipt.UsagePage{{Day: "2026-02-01"}}) {
		t.Errorf("changed: %v", d)
	}
	if gone := again.Drop("2026-02-01"); len(gone) != 3 || len(again.Rows()) != 1 {
		t.Errorf("dropped %v, %d rows are left", gone, len(again.Rows()))
	}
}

func TestUsage_refusesPages(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":        "x",
		"another day":    `[{"day":"2026-01-02"}]`,
		"no day":         `[{"day":"2026-13-01"}]`,
		"too many bytes": `[{"day":"2026-01-01","client_bytes":4611686018427387904}]`,
	} {
		if err := receipt.NewUsage().Load(receipt.UsagePage{Day: "2026-01-01"}, []byte(text)); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
}

func TestTally_saysWhoseBudgetIsUsedUp(t *testing.T) {
	now := time.Date(2026, 1, 31, 23, 0, 0, 0, time.UTC)
	row := func(day receipt.Day, application, key, room string, gigabytes uint64) receipt.Row {
		return receipt.Row{Day: day, Spender: receipt.Spender{Application: application, Key: key, Room: room}, Client: gigabytes * 5e8, Relay: gigabytes * 5e8}
	}
	rows := []receipt.Row{
		row("2025-12-31", "shop", "k1", "a", 1000), row("2026-01-01", "shop", "k1", "a", 5), row("2026-01-31", "shop", "k1", "a", 3),
		row("2026-01-31", "shop", "k2", "b", 1), row("2026-01-31", "school", "k3", "a", 2),
	}
	for name, c := range map[string]struct {
		budgets []receipt.Budget
		asks    receipt.Spender
		says    string
		end     bool
	}{
		"none":                 {nil, rows[0].Spender, "", false},
		"a month of a key":     {[]receipt.Budget{{Key: "k1", Gigabytes: 8, Per: receipt.PerMonth}}, rows[0].Spender, `API key "k1" is used up: 8.000 of 8.000 GB this month, until 2026-02-01T00:00:00Z`, false},
		"enough left":          {[]receipt.Budget{{Key: "k1", Gigabytes: 8.1, Per: receipt.PerMonth}}, rows[0].Spender, "", false},
		"a day of a key":       {[]receipt.Budget{{Key: "k1", Gigabytes: 3, Per: receipt.PerDay}}, rows[0].Spender, "this day, until 2026-02-01", false},
		"another key":          {[]receipt.Budget{{Key: "k1", Gigabytes: 1, Per: receipt.PerDay}}, rows[3].Spender, "", false},
		"an application":       {[]receipt.Budget{{Application: "shop", Gigabytes: 9, Per: receipt.PerMonth}}, rows[3].Spender, `application "shop"`, false},
		"all":                  {[]receipt.Budget{{Gigabytes: 6, Per: receipt.PerDay}}, receipt.Spender{Application: "new"}, "this service", false},
		"each room":            {[]receipt.Budget{{Room: receipt.EachRoom, Gigabytes: 3, Per: receipt.PerDay}}, rows[1].Spender, `room "a" is used up: 3.000`, false},
		"each room, another's": {[]receipt.Budget{{Room: receipt.EachRoom, Gigabytes: 3, Per: receipt.PerDay}}, rows[4].Spender, "", false},
		"one room":             {[]receipt.Budget{{Application: "school", Room: "a", Gigabytes: 2, Per: receipt.PerDay}}, rows[4].Spender, `room "a"`, false},
		"nothing at all":       {[]receipt.Budget{{Application: "new", Per: receipt.PerDay}}, receipt.Spender{Application: "new"}, "0.000 of 0.000", false},
		"one that ends goes first": {[]receipt.Budget{
			{Gigabytes: 1, Per: receipt.PerDay}, {Key: "k1", Gigabytes: 2, Per: receipt.PerDay, End: true},
		}, rows[0].Spender, `API key "k1"`, true},
	} {
		for _, b := range c.budgets {
			if err := b.Validate(); err != nil {
				t.Fatal(err)
			}
		}
		got, over := receipt.NewTally(c.budgets, now, rows).Exceeded(c.asks)
		if over != (c.says != "") || !strings.Contains(got.Reason, c.says) || got.End != c.end {
			t.Errorf("%s: got %+v, want %q and end %v", name, got, c.says, c.end)
		}
	}
	for _, bad := range []receipt.Budget{{Per: "week"}, {Per: receipt.PerDay, Gigabytes: -1}, {}} {
		if bad.Validate() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestAuthority_endsAndIsUsedUp(t *testing.T) {
	a := receipt.Authority{Bytes: 1e9, Until: 5}
	for _, c := range []struct {
		epoch, spent uint64
		says         string
	}{{5, 1e9 - 1, ""}, {6, 0, "ended with epoch 5"}, {5, 1e9, "1.000 of 1.000 GB"}} {
		if got := a.Refuses(c.epoch, c.spent); !strings.Contains(got, c.says) || (got == "") != (c.says == "") {
			t.Errorf("epoch %d, %d bytes: got %q, want %q", c.epoch, c.spent, got, c.says)
		}
	}
}
