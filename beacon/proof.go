package beacon

import (
	"encoding/binary"
	"fmt"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
)

// proof is what stands in the Signature of a Council's round (spec T7):
//
//	kind 1 (value) or 2 (void)                                1 byte
//	commitments: number 2, each member 20, hash 32, signature 65
//	seals:       number 2, each member 20, signature 65
//	value:       a secret of 32 for each commitment
//	void:        missing member 20 (zero: there was no roster),
//	             votes: number 2, each member 20, signature 65
type proof struct {
	roster  Roster
	seals   []vote
	secrets [][32]byte
	void    bool
	missing drtc.NodeID
	voids   []vote
}

const (
	kindValue = 1
	kindVoid  = 2
)

func (p proof) bytes() []byte {
	b := []byte{kindValue}
	if p.void {
		b[0] = kindVoid
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(p.roster)))
	for _, m := range p.roster {
		b = append(append(append(b, m.Member[:]...), m.Hash[:]...), m.Signature[:]...)
	}
	b = appendVotes(b, p.seals)
	if !p.void {
		for _, s := range p.secrets {
			b = append(b, s[:]...)
		}
		return b
	}
	return appendVotes(append(b, p.missing[:]...), p.voids)
}

func appendVotes(b []byte, votes []vote) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(votes)))
	for _, v := range votes {
		b = append(append(b, v.member[:]...), v.signature[:]...)
	}
	return b
}

// parseProof reads what bytes writes and nothing else. The error wraps ErrInvalid.
func parseProof(b []byte) (proof, error) {
	r := reader{rest: b}
	var p proof
	kind := r.take(1)[0]
	p.void = kind == kindVoid
	if kind != kindValue && kind != kindVoid {
		return proof{}, fmt.Errorf("%w: a proof of kind %d", ErrInvalid, kind)
	}
	for range r.number() {
		p.roster = append(p.roster, Commitment{drtc.NodeID(r.take(20)), [32]byte(r.take(32)), identity.Signature(r.take(65))})
	}
	p.seals = r.votes()
	if p.void {
		p.missing = drtc.NodeID(r.take(20))
		p.voids = r.votes()
	} else {
		for range p.roster {
			p.secrets = append(p.secrets, [32]byte(r.take(32)))
		}
	}
	if r.short || len(r.rest) > 0 {
		return proof{}, fmt.Errorf("%w: a proof of %d bytes, more or less than it says", ErrInvalid, len(b))
	}
	return p, nil
}

// reader takes bytes off the front; after a short one it gives zeroes.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if len(r.rest) < n {
		r.short, r.rest = true, nil
		return make([]byte, n)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// number of entries that follow, 0 when there cannot be so many.
func (r *reader) number() int {
	n := int(binary.BigEndian.Uint16(r.take(2)))
	if n > MaxMembers {
		r.short, n = true, 0
	}
	return n
}

func (r *reader) votes() (votes []vote) {
	for range r.number() {
		votes = append(votes, vote{drtc.NodeID(r.take(20)), identity.Signature(r.take(65))})
	}
	return votes
}
