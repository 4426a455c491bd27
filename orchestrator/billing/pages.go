package billing

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/drtc-network/drtc/orchestrator/state"
	"github.com/drtc-network/drtc/receipt"
)

// usagePrefix is of the pages of usage, usage.MEMBER.DAY.NUMBER: each member
// writes its own.
const usagePrefix = "usage."

// pages are those in the store. Not for concurrent use.
type pages struct {
	store     state.Store
	member    string
	revisions map[string]uint64 // of our own
}

func newPages(s state.Store, member string) *pages {
	return &pages{store: s, member: member, revisions: map[string]uint64{}}
}

func (p *pages) key(u receipt.UsagePage) string {
	return usagePrefix + p.member + "." + string(u.Day) + "." + strconv.Itoa(u.Number)
}

// load reads all pages: ours as a Usage, those of other members as rows.
func (p *pages) load(ctx context.Context) (*receipt.Usage, []receipt.Row, error) {
	entries, err := p.store.List(ctx, usagePrefix)
	if err != nil {
		return nil, nil, fmt.Errorf("billing: reading usage: %w", err)
	}
	own := receipt.NewUsage()
	var others []receipt.Row
	for _, e := range entries {
		tokens := strings.Split(strings.TrimPrefix(e.Key, usagePrefix), ".")
		if len(tokens) != 3 {
			return nil, nil, fmt.Errorf("billing: %s: want the key of a page of usage", e.Key)
		}
		if tokens[0] != p.member {
			rows, err := receipt.ParseUsage(e.Value)
			if err != nil {
				return nil, nil, fmt.Errorf("billing: %s: %w", e.Key, err)
			}
			others = append(others, rows...)
			continue
		}
		number, err := strconv.Atoi(tokens[2])
		if err == nil {
			err = own.Load(receipt.UsagePage{Day: receipt.Day(tokens[1]), Number: number}, e.Value)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("billing: %s: %w", e.Key, err)
		}
		p.revisions[e.Key] = e.Revision
	}
	return own, others, nil
}

// others are the rows of other members.
func (p *pages) others(ctx context.Context) ([]receipt.Row, error) {
	entries, err := p.store.List(ctx, usagePrefix)
	if err != nil {
		return nil, fmt.Errorf("billing: reading usage: %w", err)
	}
	var rows []receipt.Row
	for _, e := range entries {
		if strings.HasPrefix(e.Key, usagePrefix+p.member+".") {
			continue
		}
		more, err := receipt.ParseUsage(e.Value)
		if err != nil {
			return nil, fmt.Errorf("billing: %s: %w", e.Key, err)
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// save writes pages that changed and removes those that are gone.
func (p *pages) save(ctx context.Context, dirty, gone []receipt.UsagePage, page func(receipt.UsagePage) ([]byte, error)) error {
	var faults []error
	for _, u := range dirty {
		value, err := page(u)
		if err == nil {
			err = p.put(ctx, p.key(u), value)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("billing: usage of %s: %w", u.Day, err))
		}
	}
	for _, u := range gone {
		key := p.key(u)
		if revision := p.revisions[key]; revision > 0 {
			if err := p.store.Delete(ctx, key, revision); err != nil {
				faults = append(faults, fmt.Errorf("billing: usage of %s: %w", u.Day, err))
			}
			delete(p.revisions, key)
		}
	}
	return errors.Join(faults...)
}

// put writes a value. A write whose answer was lost shows as a conflict.
func (p *pages) put(ctx context.Context, key string, value []byte) error {
	for try := 0; ; try++ {
		var err error
		revision := p.revisions[key]
		if revision == 0 {
			revision, err = p.store.Create(ctx, key, value)
		} else {
			revision, err = p.store.Update(ctx, key, value, revision)
		}
		switch {
		case err == nil:
			p.revisions[key] = revision
			return nil
		case try > 0 || !errors.Is(err, state.ErrConflict) && !errors.Is(err, state.ErrExists):
			return err
		}
		e, err := p.store.Get(ctx, key)
		if err != nil && !errors.Is(err, state.ErrNotFound) {
			return err
		}
		p.revisions[key] = e.Revision
	}
}
