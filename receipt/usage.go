package receipt

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Day is a day in UTC, "2006-01-02".
type Day string

// DayOf is the day of a time.
func DayOf(at time.Time) Day { return Day(at.UTC().Format(time.DateOnly)) }

// Month is that of a day, "2006-01".
func (d Day) Month() string { return string(d[:min(len(d), len("2006-01"))]) }

// Spender is whose use of the network is counted together.
type Spender struct {
	Application string `json:"application"`
	Key         string `json:"key"`  // API key by whose token it came in
	Room        string `json:"room"` // name
}

// Row is what a Spender used on a day.
type Row struct {
	Day Day `json:"day"`
	Spender
	Client uint64 `json:"client_bytes"`
	Relay  uint64 `json:"relay_bytes"`
}

// Sum is all bytes of the row.
func (r Row) Sum() uint64 { return r.Client + r.Relay }

func (r Row) compare(o Row) int {
	return cmp.Or(cmp.Compare(r.Day, o.Day), cmp.Compare(r.Application, o.Application),
		cmp.Compare(r.Key, o.Key), cmp.Compare(r.Room, o.Room))
}

// OtherRooms stands in a row for rooms that have none of their own any more.
const OtherRooms = "*"

// Usage counts by day, room and API key. It is kept in pages, each of so few rows
// that a store takes it. Use NewUsage.
type Usage struct {
	rows  map[Day]map[Spender]*entry
	sizes map[Day][]int // rows of each page
	dirty map[UsagePage]bool
}

type entry struct {
	Counters
	page int
}

// UsagePage names a page of rows.
type UsagePage struct {
	Day    Day
	Number int
}

const (
	pageRows = 1000
	// maxPages bounds the pages of a day. What finds no room counts for the
	// OtherRooms of its key.
	maxPages = 50
)

// NewUsage has no rows.
func NewUsage() *Usage {
	return &Usage{rows: map[Day]map[Spender]*entry{}, sizes: map[Day][]int{}, dirty: map[UsagePage]bool{}}
}

// Add counts bytes of a day.
func (u *Usage) Add(day Day, s Spender, c Counters) {
	if c == (Counters{}) {
		return
	}
	e := u.entry(day, s)
	e.Counters = e.plus(c)
	u.dirty[UsagePage{day, e.page}] = true
}

func (u *Usage) entry(day Day, s Spender) *entry {
	rows := u.rows[day]
	if rows == nil {
		rows = map[Spender]*entry{}
		u.rows[day] = rows
	}
	if e := rows[s]; e != nil {
		return e
	}
	sizes := u.sizes[day]
	if len(rows) >= pageRows*maxPages && s.Room != OtherRooms {
		s.Room = OtherRooms
		return u.entry(day, s)
	}
	page := slices.IndexFunc(sizes, func(n int) bool { return n < pageRows })
	if page < 0 {
		page = len(sizes)
		sizes = append(sizes, 0)
	}
	sizes[page]++
	u.sizes[day] = sizes
	e := &entry{page: page}
	rows[s] = e
	return e
}

// Dirty lists the pages that changed since the call before, in order.
func (u *Usage) Dirty() []UsagePage {
	pages := slices.SortedFunc(maps.Keys(u.dirty), func(a, b UsagePage) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Number, b.Number))
	})
	clear(u.dirty)
	return pages
}

// Touch makes pages dirty again, that could not be stored.
func (u *Usage) Touch(pages []UsagePage) {
	for _, p := range pages {
		u.dirty[p] = true
	}
}

// Page writes the rows of a page.
func (u *Usage) Page(p UsagePage) ([]byte, error) {
	var rows []Row
	for s, e := range u.rows[p.Day] {
		if e.page == p.Number {
			rows = append(rows, Row{p.Day, s, e.Client, e.Relay})
		}
	}
	slices.SortFunc(rows, Row.compare)
	return json.Marshal(rows)
}

// Load reads a page that Page wrote, once each, into a Usage without it.
func (u *Usage) Load(p UsagePage, b []byte) error {
	rows, err := ParseUsage(b)
	if err != nil {
		return err
	}
	if p.Number < 0 || p.Number > 2*maxPages {
		return fmt.Errorf("%w: usage page %d", ErrMalformed, p.Number)
	}
	sizes := u.sizes[p.Day]
	for len(sizes) <= p.Number {
		sizes = append(sizes, 0)
	}
	if u.rows[p.Day] == nil {
		u.rows[p.Day] = map[Spender]*entry{}
	}
	for _, r := range rows {
		if r.Day != p.Day {
			return fmt.Errorf("%w: a row of %.20q in the page of %s", ErrMalformed, r.Day, p.Day)
		}
		u.rows[p.Day][r.Spender] = &entry{Counters{r.Client, r.Relay}, p.Number}
		sizes[p.Number]++
	}
	u.sizes[p.Day] = sizes
	return nil
}

// ParseUsage reads the rows of a page.
func ParseUsage(b []byte) ([]Row, error) {
	var rows []Row
	if err := json.Unmarshal(b, &rows); err != nil {
		return nil, fmt.Errorf("%w: a page of usage: %w", ErrMalformed, err)
	}
	for _, r := range rows {
		if _, err := time.Parse(time.DateOnly, string(r.Day)); err != nil || r.Client >= MaxBytes || r.Relay >= MaxBytes {
			return nil, fmt.Errorf("%w: a row of usage: want a day such as 2026-01-31 and bytes below 2^62, got %.20q, %d and %d", ErrMalformed, r.Day, r.Client, r.Relay)
		}
	}
	return rows, nil
}

// Rows are all of them, in order.
func (u *Usage) Rows() []Row {
	var all []Row
	for day, rows := range u.rows {
		for s, e := range rows {
			all = append(all, Row{day, s, e.Client, e.Relay})
		}
	}
	slices.SortFunc(all, Row.compare)
	return all
}

// Drop forgets the days before one, and returns their pages.
func (u *Usage) Drop(before Day) []UsagePage {
	var gone []UsagePage
	for day := range u.rows {
		if day < before {
			for n := range u.sizes[day] {
				gone = append(gone, UsagePage{day, n})
			}
			delete(u.rows, day)
			delete(u.sizes, day)
		}
	}
	return gone
}

// MergeRows adds up rows of several that are of one day and Spender, in order.
func MergeRows(several ...[]Row) []Row {
	var all []Row
	for _, rows := range several {
		all = append(all, rows...)
	}
	slices.SortFunc(all, Row.compare)
	merged := all[:0]
	for _, r := range all {
		if last := len(merged) - 1; last >= 0 && merged[last].compare(r) == 0 {
			merged[last].Client += r.Client
			merged[last].Relay += r.Relay
			continue
		}
		merged = append(merged, r)
	}
	return merged
}
