package record

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// author is one issuer in one kind.
type author struct {
	kind   uint8
	issuer drtc.NodeID
}

// quota is what an author holds of a kind in which one issuer may have many
// records. Over the bound those with the least ids stay, whatever the order in
// which they came, so that an issuer who writes too much does not make Sets
// differ.
type quota struct {
	ids  []ItemID // ascending
	rate bucket   // of records that make others go
}

// room says whether a new id fits, and what goes for it.
func (s *Set) room(now time.Time, id ItemID, kind uint8, issuer drtc.NodeID, p Path) (*entry, error) {
	k := &s.kinds[kind]
	if q := s.quotas[author{kind, issuer}]; q != nil && len(q.ids) >= k.MaxPerIssuer {
		last := q.ids[len(q.ids)-1]
		if bytes.Compare(id[:], last[:]) > 0 {
			return nil, fmt.Errorf("%w: %s holds %d of kind %q", ErrQuota, issuer, len(q.ids), k.Name)
		}
		if wait := q.rate.wait(now, k); wait > 0 && p != Synced {
			return nil, fmt.Errorf("%w: %s holds %d of kind %q; try again in %s", ErrQuota, issuer, len(q.ids), k.Name, wait.Round(time.Millisecond))
		}
		return s.find(last), nil
	}
	if s.count >= s.rules.MaxRecords {
		return nil, fmt.Errorf("%w: it holds %d records; try another one", ErrFull, s.count)
	}
	return nil, nil
}

// evict drops en for another record of its author.
func (s *Set) evict(now time.Time, en *entry, p Path) {
	if q := s.quotas[author{en.kind, en.issuer}]; p != Synced {
		q.rate.take(now, &s.kinds[en.kind])
	}
	s.drop(en)
}

func (s *Set) enlist(en *entry) {
	if s.kinds[en.kind].SelfIssued { // there is one
		return
	}
	a := author{en.kind, en.issuer}
	q := s.quotas[a]
	if q == nil {
		q = &quota{}
		s.quotas[a] = q
	}
	i, _ := slices.BinarySearchFunc(q.ids, en.id, ItemID.compare)
	q.ids = slices.Insert(q.ids, i, en.id)
}

func (s *Set) delist(en *entry) {
	a := author{en.kind, en.issuer}
	q := s.quotas[a]
	if q == nil {
		return
	}
	if i, ok := slices.BinarySearchFunc(q.ids, en.id, ItemID.compare); ok {
		q.ids = slices.Delete(q.ids, i, i+1)
	}
	if len(q.ids) == 0 {
		delete(s.quotas, a)
	}
}
