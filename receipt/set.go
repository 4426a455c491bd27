package receipt

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/epoch"
	"github.com/drtc-network/drtc/identity"
)

// maxVersions is how many receipts of an account a Set remembers besides the one
// that counts, to find contradictions among them.
const maxVersions = 8

// Set is the receipts of an epoch, as settlement reads them: of each account the
// greatest counts (RC10). Adding is commutative, associative and idempotent. Use
// NewSet.
type Set struct {
	domain   identity.Domain
	accounts map[Account][]Signed      // the greatest first, at most maxVersions
	evidence map[Account]Contradiction // that pages brought, of each the least
}

// NewSet is an empty Set of receipts that are signed in domain.
func NewSet(domain identity.Domain) *Set {
	return &Set{domain: domain, accounts: map[Account][]Signed{}, evidence: map[Account]Contradiction{}}
}

// Add takes a receipt in. The error is that of Signed.Verify; a receipt that is
// known costs no verification.
func (s *Set) Add(r Signed) error {
	if slices.Contains(s.accounts[r.Account], r) {
		return nil
	}
	if err := r.Verify(s.domain); err != nil {
		return err
	}
	s.insert(r)
	return nil
}

// AddPage takes everything of a page in, or nothing with the error of Page.Verify.
func (s *Set) AddPage(p Page) error {
	if err := p.Verify(s.domain); err != nil {
		return err
	}
	for _, r := range p.Receipts {
		s.insert(r)
	}
	for _, c := range p.Evidence {
		s.insert(c.First)
		s.insert(c.Second)
		prove(s.evidence, c)
	}
	return nil
}

func (s *Set) insert(r Signed) {
	known := s.accounts[r.Account]
	i, found := slices.BinarySearchFunc(known, r, func(a, b Signed) int { return b.rank(a) })
	if found {
		return
	}
	known = slices.Insert(known, i, r)
	s.accounts[r.Account] = known[:min(len(known), maxVersions)]
}

// prove keeps one contradiction of an account, the least.
func prove(evidence map[Account]Contradiction, c Contradiction) {
	if held, ok := evidence[c.First.Account]; !ok || c.compare(held) < 0 {
		evidence[c.First.Account] = c
	}
}

// Receipts are those that count, by account: epoch, node, application,
// Orchestrator.
func (s *Set) Receipts() []Signed {
	all := make([]Signed, 0, len(s.accounts))
	for _, known := range s.accounts {
		all = append(all, known[0])
	}
	slices.SortFunc(all, func(a, b Signed) int { return a.Account.compare(b.Account) })
	return all
}

// Evidence is one contradiction of each account that has any, in their order. The
// greatest receipt of such an account still counts: the node served for it.
func (s *Set) Evidence() []Contradiction {
	all := maps.Clone(s.evidence)
	for _, known := range s.accounts {
		for i, r := range known {
			for _, other := range known[:i] {
				if r.contradicts(other) {
					prove(all, contradiction(r, other))
				}
			}
		}
	}
	return slices.SortedFunc(maps.Values(all), Contradiction.compare)
}

// Served is what the receipts of one node add up to in an epoch: its leaf's bytes
// (P2).
func (s *Set) Served(node drtc.NodeID, e uint64) (sum Counters) {
	for a, known := range s.accounts {
		if a.Node == node && a.Epoch == e {
			sum = sum.plus(known[0].Counters)
		}
	}
	return sum
}

// Usage is what epoch.ChargesOf makes charges of, for one epoch.
func (s *Set) Usage(e uint64) []epoch.Usage {
	var all []epoch.Usage
	for _, r := range s.Receipts() {
		if r.Epoch == e {
			all = append(all, epoch.Usage{
				Application: r.Application, Orchestrator: r.Orchestrator, Node: r.Node,
				ClientBytes: econ.NewWei(r.Client), RelayBytes: econ.NewWei(r.Relay),
			})
		}
	}
	return all
}

// Bytes are the same for Sets that hold the same: two counts, the receipts that
// count and the contradictions, each in their order.
func (s *Set) Bytes() []byte {
	receipts, evidence := s.Receipts(), s.Evidence()
	b := binary.BigEndian.AppendUint64(nil, uint64(len(receipts)))
	b = binary.BigEndian.AppendUint64(b, uint64(len(evidence)))
	for _, r := range receipts {
		b = r.Append(b)
	}
	for _, c := range evidence {
		b = c.Second.Append(c.First.Append(b))
	}
	return b
}

// Hash is the keccak256 of Bytes.
func (s *Set) Hash() [32]byte { return identity.Keccak256(s.Bytes()) }
