package discovery

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
)

// maxNamed is how many Registries one may name.
const maxNamed = 50

// acquaintance is a Registry that was learned of, with its signed record.
type acquaintance struct {
	id  drtc.NodeID
	url string
	env envelope.Envelope
}

// readAcquaintance verifies the record of a Registry. With stale it may have
// expired: what it says may still be true.
func readAcquaintance(now time.Time, network string, raw []byte, stale bool) (acquaintance, error) {
	e, err := envelope.Parse(raw)
	if err != nil {
		return acquaintance{}, err
	}
	if err := fits(now, "registry", network, e.Issuer, &e); err != nil {
		return acquaintance{}, err
	}
	if e.IsTombstone() || !stale && !alive(now, &e) {
		return acquaintance{}, errExpired
	}
	if err := e.Verify(); err != nil {
		return acquaintance{}, err
	}
	var b registryv1.RegistryBody
	if err := proto.Unmarshal(e.Body, &b); err != nil {
		return acquaintance{}, fmt.Errorf("%w: not a RegistryBody: %w", errBody, err)
	}
	if id, err := drtc.ParseNodeID(b.GetRegistryId()); err != nil || id != e.Issuer {
		return acquaintance{}, fmt.Errorf("%w: registry_id: want the issuer %s, got %.50q", errBody, e.Issuer, b.GetRegistryId())
	}
	base, ok := baseURL(b.GetUrl())
	if !ok {
		return acquaintance{}, fmt.Errorf("%w: url: want http or https and a host, got %.60q", errBody, b.GetUrl())
	}
	return acquaintance{e.Issuer, base, e}, nil
}

// keepLearning looks for further Registries and follows those that it found.
func (d *Discovery) keepLearning(ctx context.Context) {
	var followers sync.WaitGroup
	defer followers.Wait()
	following := map[string]context.CancelFunc{}
	defer func() {
		for _, stop := range following {
			stop()
		}
	}()
	var wait time.Duration
	for {
		d.mu.Lock()
		wanted := slices.Clone(d.learned)
		d.mu.Unlock()
		for url, stop := range following {
			if !slices.ContainsFunc(wanted, func(a acquaintance) bool { return a.url == url }) {
				stop()
				delete(following, url)
			}
		}
		for _, a := range wanted {
			if following[a.url] == nil {
				d.log.Info("another registry is asked", slog.String("registry", a.url), slog.String("id", a.id.String()))
				ctx, stop := context.WithCancel(ctx)
				following[a.url] = stop
				followers.Go(func() { d.follow(ctx, d.newSource(a.url, true)) })
			}
		}
		if d.learn(ctx) {
			wait = d.config.LearnEvery
		} else {
			wait = min(2*max(wait, d.config.Every), d.config.LearnEvery)
		}
		pause(ctx, spread(wait))
		if ctx.Err() != nil {
			return
		}
	}
}

// answerOfPeers is what one configured Registry says about others.
type answerOfPeers struct {
	self   drtc.NodeID
	named  []drtc.NodeID
	proven []acquaintance
	err    error
}

// learn asks the configured Registries whom they know. It reports whether any
// answered; if none did, all stays as it was.
func (d *Discovery) learn(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, askTimeouts*d.config.Timeout)
	defer cancel()
	answers := make([]answerOfPeers, len(d.config.Registries))
	each := func(do func(c *client, a *answerOfPeers)) {
		var calls sync.WaitGroup
		for i, base := range d.config.Registries {
			calls.Go(func() { do(newClient(d.way.questions, base), &answers[i]) })
		}
		calls.Wait()
	}
	each(func(c *client, a *answerOfPeers) {
		var p PeersAnswer
		if p, a.err = c.peers(ctx); a.err == nil {
			a.self = p.Registry
			for _, peer := range p.Peers[:min(len(p.Peers), maxNamed)] {
				a.named = append(a.named, peer.Registry)
			}
		}
	})
	ids := named(answers)
	each(func(c *client, a *answerOfPeers) {
		for rest := ids; a.err == nil && len(rest) > 0; {
			page := rest[:min(len(rest), maxIDs)]
			rest = rest[len(page):]
			var records []rawRecord
			records, a.err = c.records(ctx, "registry", page)
			for _, r := range records {
				known, err := readAcquaintance(time.Now(), d.config.Network, r.Record, false)
				if err != nil {
					d.meter.refused(c.label, err)
					continue
				}
				a.proven = append(a.proven, known)
			}
		}
	})
	answers = slices.DeleteFunc(answers, func(a answerOfPeers) bool { return a.err != nil })
	if len(answers) == 0 || ctx.Err() != nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.setLearned(choose(answers, d.config.Registries, d.learned, d.config.Learn))
	return true
}

// named is everybody whom anybody named, at most maxNamed for each who did.
func named(answers []answerOfPeers) []drtc.NodeID {
	var ids []drtc.NodeID
	for _, a := range answers {
		ids = append(ids, a.named...)
	}
	slices.SortFunc(ids, compareIDs)
	ids = slices.Compact(ids)
	return slices.DeleteFunc(ids, drtc.NodeID.IsZero)
}

// choose returns the Registries whose records more than half of the answers
// hold, those first that were learned before, then those that most hold.
func choose(answers []answerOfPeers, configured []string, before []acquaintance, limit int) []acquaintance {
	votes := map[drtc.NodeID]int{}
	newest := map[drtc.NodeID]acquaintance{}
	own := map[drtc.NodeID]bool{}
	for _, a := range answers {
		own[a.self] = true
		voted := map[drtc.NodeID]bool{}
		for _, known := range a.proven {
			if !voted[known.id] {
				voted[known.id] = true
				votes[known.id]++
			}
			if old, ok := newest[known.id]; !ok || old.env.Version().Less(known.env.Version()) {
				newest[known.id] = known
			}
		}
	}
	was := func(id drtc.NodeID) int {
		if slices.ContainsFunc(before, func(a acquaintance) bool { return a.id == id }) {
			return 1
		}
		return 0
	}
	var chosen []acquaintance
	for id, known := range newest {
		if 2*votes[id] > len(answers) && !own[id] && !slices.Contains(configured, known.url) {
			chosen = append(chosen, known)
		}
	}
	slices.SortFunc(chosen, func(a, b acquaintance) int {
		return cmp.Or(cmp.Compare(was(b.id), was(a.id)), cmp.Compare(votes[b.id], votes[a.id]), compareIDs(a.id, b.id))
	})
	seen := map[string]bool{}
	chosen = slices.DeleteFunc(chosen, func(a acquaintance) bool {
		twice := seen[a.url]
		seen[a.url] = true
		return twice
	})
	return chosen[:min(len(chosen), limit)]
}

// setLearned needs the lock.
func (d *Discovery) setLearned(learned []acquaintance) {
	d.learned = learned
	all := slices.Clone(d.config.Registries)
	for _, a := range learned {
		all = append(all, a.url)
	}
	d.view.ask(all)
}
