// Package audit verifies again what a Registry has stored (whitepaper section
// 4.2.2), in its directory or in a back-up.
//
// Contract: a record that Run does not call bad is one that the network would
// accept, or would have accepted while it lived: in canonical form, in its place,
// within the bounds of its kind, with a body that its kind admits, not from the
// future, and signed by its issuer. Whether the issuer is bonded is not asked
// unless the Rules say so.
//
// Run reads and verifies on as many goroutines as it is given and has ended all
// of them when it returns.
package audit

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
	"github.com/drtc-network/drtc/registry/store"
)

// MaxListed is how many bad records a Report names. All are counted.
const MaxListed = 1000

// Source is what is audited: a store.Store or a store.BackupReader.
type Source interface {
	Network() string
	// EachRaw calls each from several goroutines; its error is of reading, and
	// of what can only be said about the whole.
	EachRaw(ctx context.Context, workers int, each func(store.Raw) error) error
}

// Report is what Run found.
type Report struct {
	Network string `json:"network"`
	// Kinds are in order of their names. Records that are too damaged to have a
	// kind are under the empty name.
	Kinds []Kind `json:"kinds"`
	// Records and Bad are the sums of Kinds.
	Records uint64 `json:"records"`
	Bad     uint64 `json:"bad"`
	// Listed are the bad records, in order of their keys, MaxListed at most.
	Listed []Bad `json:"badRecords"`
	// Stopped says why reading ended before the end, or why what was read is not
	// whole. Empty: it is.
	Stopped string `json:"stopped,omitempty"`
}

// Kind counts the records of one kind: each is one of the four.
type Kind struct {
	Kind    string `json:"kind"`
	Records uint64 `json:"records"`
	Live    uint64 `json:"live"`
	// Marks are tombstones, and records that are no longer shown but still stand
	// in the way of older ones; Expired are those past that.
	Marks   uint64 `json:"marks"`
	Expired uint64 `json:"expired"`
	Bad     uint64 `json:"bad"`
}

// Bad is one record that should not be there.
type Bad struct {
	Kind    string      `json:"kind"`
	Subject drtc.NodeID `json:"subject"`
	Issuer  drtc.NodeID `json:"issuer"`
	Cause   string      `json:"cause"`
}

// Clean reports whether nothing is wrong.
func (r *Report) Clean() bool { return r.Bad == 0 && r.Stopped == "" }

// Run audits all of src against rules; the network is src's. progress is called
// from time to time, one call after the other, with how many records are done. The
// error is that of ctx or of rules: what is wrong with src is in the Report.
func Run(ctx context.Context, now time.Time, rules record.Rules, src Source, workers int, progress func(done uint64)) (Report, error) {
	rules.Network = src.Network()
	set, err := record.New(rules)
	if err != nil {
		return Report{}, fmt.Errorf("audit: %w", err)
	}
	a := &audit{now: now, set: set, kinds: map[string]*Kind{}, progress: progress}
	err = src.EachRaw(ctx, workers, func(r store.Raw) error {
		e, state, err := a.judge(r)
		a.count(r, &e, state, err)
		return nil
	})
	if ctx.Err() != nil {
		return Report{}, fmt.Errorf("audit: %w", context.Cause(ctx))
	}
	return a.report(src.Network(), err), nil
}

type state int

const (
	live state = iota
	mark
	expired
	bad
)

type audit struct {
	now time.Time
	set *record.Set // empty; it only judges

	mu       sync.Mutex // guards all below
	kinds    map[string]*Kind
	done     uint64
	bad      []Bad
	progress func(uint64)
}

// judge is called from several goroutines; the error goes with bad.
func (a *audit) judge(r store.Raw) (envelope.Envelope, state, error) {
	e, err := r.Record()
	if err != nil {
		return e, bad, err
	}
	s := live
	outcome, err := a.set.Judge(a.now, &e, record.Synced)
	switch {
	case errors.Is(err, record.ErrExpired) && outcome == record.Stored:
		s = mark
	case errors.Is(err, record.ErrExpired):
		s = expired
	case err != nil:
		return e, bad, err
	case e.IsTombstone():
		s = mark
	}
	if err := a.set.Genuine(&e); err != nil {
		return e, bad, err
	}
	return e, s, nil
}

// progressEvery is the number of records between two calls of progress.
const progressEvery = 1000

func (a *audit) count(r store.Raw, e *envelope.Envelope, s state, cause error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	where := record.KeyOf(e)
	if where.Kind == "" {
		where = r.Where()
	}
	k := a.kinds[where.Kind]
	if k == nil {
		k = &Kind{Kind: where.Kind}
		a.kinds[where.Kind] = k
	}
	k.Records++
	*[...]*uint64{&k.Live, &k.Marks, &k.Expired, &k.Bad}[s]++
	if s == bad && len(a.bad) < MaxListed {
		a.bad = append(a.bad, Bad{where.Kind, where.Subject, where.Issuer, cause.Error()})
	}
	if a.done++; a.done%progressEvery == 0 {
		a.progress(a.done)
	}
}

func (a *audit) report(network string, stopped error) Report {
	r := Report{Network: network, Kinds: []Kind{}, Listed: append([]Bad{}, a.bad...)}
	for _, k := range a.kinds {
		r.Kinds = append(r.Kinds, *k)
		r.Records += k.Records
		r.Bad += k.Bad
	}
	slices.SortFunc(r.Kinds, func(x, y Kind) int { return cmp.Compare(x.Kind, y.Kind) })
	slices.SortFunc(r.Listed, func(x, y Bad) int {
		return cmp.Or(cmp.Compare(x.Kind, y.Kind), bytes.Compare(x.Subject[:], y.Subject[:]),
			bytes.Compare(x.Issuer[:], y.Issuer[:]), cmp.Compare(x.Cause, y.Cause))
	})
	if stopped != nil {
		r.Stopped = stopped.Error()
	}
	return r
}
