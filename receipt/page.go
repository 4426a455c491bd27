package receipt

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
)

// Contradiction is two receipts of one sequence that say different things, each
// signed by the same Orchestrator: its bond is forfeit (P15).
type Contradiction struct{ First, Second Signed }

// contradiction puts a pair into its one order.
func contradiction(a, b Signed) Contradiction {
	if a.rank(b) > 0 {
		a, b = b, a
	}
	return Contradiction{a, b}
}

func (c Contradiction) compare(d Contradiction) int {
	return cmp.Or(c.First.Account.compare(d.First.Account), cmp.Compare(c.First.Sequence, d.First.Sequence),
		c.First.rank(d.First), c.Second.rank(d.Second))
}

// Verify reports whether the pair is one, each half of it genuine.
func (c Contradiction) Verify(domain identity.Domain) error {
	if !c.First.contradicts(c.Second) || c.First.rank(c.Second) > 0 {
		return fmt.Errorf("%w: no contradiction: want the same account and sequence, different bytes, the lower first", ErrMalformed)
	}
	if err := c.First.Verify(domain); err != nil {
		return err
	}
	return c.Second.Verify(domain)
}

// Page is receipts of one node and epoch, and what it found of Orchestrators that
// contradict themselves: the body of a record of kind "receipt" (RC9).
type Page struct {
	Node     drtc.NodeID
	Epoch    uint64
	Number   uint16 // of the page, from 0
	Receipts []Signed
	Evidence []Contradiction
}

const (
	pageVersion  = 1
	pageHead     = 1 + 20 + 8 + 2 + 2 + 2
	pageReceipt  = 20 + 20 + 3*8 + 65
	pageEvidence = 20 + 20 + 8 + 2*(2*8+65)

	// MaxPage is the bytes of a page at most.
	MaxPage = 64 << 10
	// MaxReceipts is how many receipts a page holds at most, MaxEvidence how many
	// contradictions.
	MaxReceipts = (MaxPage - pageHead - MaxEvidence*pageEvidence) / pageReceipt
	MaxEvidence = 16
	// MaxPages is how many pages a node may have of an epoch.
	MaxPages = 64
)

// Pages spreads what a node has of one epoch over pages, in the order of accounts.
// What finds no room in MaxPages is left out.
func Pages(node drtc.NodeID, epoch uint64, receipts []Signed, evidence []Contradiction) []Page {
	receipts, evidence = slices.Clone(receipts), slices.Clone(evidence)
	slices.SortFunc(receipts, func(a, b Signed) int { return a.Account.compare(b.Account) })
	slices.SortFunc(evidence, Contradiction.compare)
	var pages []Page
	for len(pages) < MaxPages && (len(receipts) > 0 || len(evidence) > 0) {
		n, m := min(len(receipts), MaxReceipts), min(len(evidence), MaxEvidence)
		pages = append(pages, Page{
			Node: node, Epoch: epoch, Number: uint16(len(pages)), Receipts: receipts[:n:n], Evidence: evidence[:m:m],
		})
		receipts, evidence = receipts[n:], evidence[m:]
	}
	return pages
}

// PageSubject is the subject of the record of a page.
func PageSubject(node drtc.NodeID, epoch uint64, number uint16) (subject drtc.NodeID) {
	b := append([]byte("drtc receipt page\n"), node[:]...)
	b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint64(b, epoch), number)
	h := identity.Keccak256(b)
	copy(subject[:], h[12:])
	return subject
}

// Subject is that of the page's record.
func (p Page) Subject() drtc.NodeID { return PageSubject(p.Node, p.Epoch, p.Number) }

// Bytes writes the page: version, node, epoch, number, two counts, then each
// receipt and contradiction without what all of them share.
func (p Page) Bytes() []byte {
	b := make([]byte, 0, pageHead+len(p.Receipts)*pageReceipt+len(p.Evidence)*pageEvidence)
	b = append(append(b, pageVersion), p.Node[:]...)
	b = binary.BigEndian.AppendUint64(b, p.Epoch)
	for _, n := range []int{int(p.Number), len(p.Receipts), len(p.Evidence)} {
		b = binary.BigEndian.AppendUint16(b, uint16(n))
	}
	for _, s := range p.Receipts {
		b = append(append(b, s.Application[:]...), s.Orchestrator[:]...)
		b = binary.BigEndian.AppendUint64(b, s.Sequence)
		b = appendSide(b, s)
	}
	for _, c := range p.Evidence {
		b = append(append(b, c.First.Application[:]...), c.First.Orchestrator[:]...)
		b = binary.BigEndian.AppendUint64(b, c.First.Sequence)
		b = appendSide(appendSide(b, c.First), c.Second)
	}
	return b
}

func appendSide(b []byte, s Signed) []byte {
	b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, s.Client), s.Relay)
	return append(b, s.Signature[:]...)
}

// ParsePage reads what Bytes wrote: accounts in rising order, none twice. No
// signature is verified.
func ParsePage(b []byte) (Page, error) {
	if len(b) > MaxPage {
		return Page{}, fmt.Errorf("%w: a page has at most %d bytes, got %d", ErrMalformed, MaxPage, len(b))
	}
	r := reader{left: b}
	if v := r.byte(); r.err == nil && v != pageVersion {
		return Page{}, fmt.Errorf("%w: page version: want %d, got %d", ErrMalformed, pageVersion, v)
	}
	p := Page{Node: r.address(), Epoch: r.uint64(), Number: uint16(r.uint16())}
	receipts, evidence := r.uint16(), r.uint16()
	switch {
	case r.err != nil:
		return Page{}, r.err
	case p.Number >= MaxPages:
		return Page{}, fmt.Errorf("%w: page number: want below %d, got %d", ErrMalformed, MaxPages, p.Number)
	case receipts > MaxReceipts || evidence > MaxEvidence || receipts+evidence == 0:
		return Page{}, fmt.Errorf("%w: a page holds up to %d receipts and %d contradictions, and something, got %d and %d", ErrMalformed, MaxReceipts, MaxEvidence, receipts, evidence)
	}
	for range receipts {
		s := r.head(p)
		r.side(&s)
		if n := len(p.Receipts); r.err == nil && n > 0 && p.Receipts[n-1].Account.compare(s.Account) >= 0 {
			return Page{}, fmt.Errorf("%w: receipt %d is not above the one before it", ErrMalformed, n)
		}
		p.Receipts = append(p.Receipts, s)
	}
	for range evidence {
		c := Contradiction{First: r.head(p)}
		c.Second = c.First
		r.side(&c.First)
		r.side(&c.Second)
		if n := len(p.Evidence); r.err == nil && n > 0 && p.Evidence[n-1].compare(c) >= 0 {
			return Page{}, fmt.Errorf("%w: contradiction %d is not above the one before it", ErrMalformed, n)
		}
		p.Evidence = append(p.Evidence, c)
	}
	return p, r.end()
}

func (r *reader) head(p Page) (s Signed) {
	s.Node, s.Epoch = p.Node, p.Epoch
	s.Application, s.Orchestrator = r.address(), r.address()
	s.Sequence = r.uint64()
	return s
}

func (r *reader) side(s *Signed) {
	s.Client, s.Relay = r.uint64(), r.uint64()
	copy(s.Signature[:], r.take(len(s.Signature)))
	if r.err == nil && !s.valid() {
		r.err = fmt.Errorf("%w: bytes of a receipt: want below 2^62 each, got %d and %d", ErrMalformed, s.Client, s.Relay)
	}
}

// Verify holds everything in the page to its signatures.
func (p Page) Verify(domain identity.Domain) error {
	for i, s := range p.Receipts {
		if err := s.Verify(domain); err != nil {
			return fmt.Errorf("receipt %d of the page: %w", i, err)
		}
	}
	for i, c := range p.Evidence {
		if err := c.Verify(domain); err != nil {
			return fmt.Errorf("contradiction %d of the page: %w", i, err)
		}
	}
	return nil
}
