package beacon

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
)

// MaxMembers of a Council.
const MaxMembers = 1024

// Council is a source of randomness of the Registries' own: each commits to a
// secret, a quorum seals the roster of commitments, then all reveal, and the round
// is the hash of the secrets (spec T6 to T8).
//
// Who can bias what. The value is fixed when the roster is sealed: nobody chooses
// it afterwards, and nobody knows it before the last honest member of the roster
// reveals, which it does at the round's time and not earlier. A roster has a
// quorum of members, so up to two thirds of them may collude without foreseeing
// it. The last to reveal know the value first and may withhold theirs; then the
// round is void for everybody, and who withheld is barred for a time (Barred). So m
// colluding members cancel at most m rounds in that time and never choose among
// values: if they cancel whatever does not suit them, an event of probability p
// that they want comes about in a given round with probability p as before, and
// at most m of those that they do not want are put off. (Were the missing secret
// just left out, m members could choose among 2^m values: 2 of them would make
// 18.5 % of an event of 5 %.) More than a third can keep rosters from being sealed
// and rounds from being voided: then nothing is planned.
type Council struct {
	Clock
	// Network separates the words of two networks: the hash of its name or genesis.
	Network [32]byte
	// Members that take part, ascending: bonded Registries without the barred ones.
	Members []drtc.NodeID
	// Step is the time between two stages; three lie before a round's time and one
	// after it. 4 Step is at most Period.
	Step time.Duration
}

// Validate names the field that is out of range. It wraps ErrParameters.
func (c Council) Validate() error {
	if err := c.Clock.validate(); err != nil {
		return err
	}
	switch {
	case len(c.Members) < 1 || len(c.Members) > MaxMembers:
		return fmt.Errorf("%w: Members has %d, want 1 to %d", ErrParameters, len(c.Members), MaxMembers)
	case !slices.IsSortedFunc(c.Members, compareIDs) || len(slices.Compact(slices.Clone(c.Members))) != len(c.Members):
		return fmt.Errorf("%w: Members are not ascending, each once", ErrParameters)
	case c.Members[0].IsZero():
		return fmt.Errorf("%w: Members has the zero id", ErrParameters)
	case c.Step <= 0 || 4*c.Step > c.Period:
		return fmt.Errorf("%w: Step %s; use above 0, at most a quarter of Period", ErrParameters, c.Step)
	}
	return nil
}

// Quorum is how many members seal a roster or void a round.
func (c Council) Quorum() int { return 2*len(c.Members)/3 + 1 }

// Proposer of the roster of a round: the members take turns.
func (c Council) Proposer(round uint64) drtc.NodeID {
	return c.Members[round%uint64(len(c.Members))]
}

func (c Council) has(id drtc.NodeID) bool {
	_, found := slices.BinarySearchFunc(c.Members, id, compareIDs)
	return found
}

func compareIDs(a, b drtc.NodeID) int { return bytes.Compare(a[:], b[:]) }

// Commitment binds a member to a secret that nobody else knows.
type Commitment struct {
	Member    drtc.NodeID
	Hash      [32]byte // commitHash of the secret
	Signature identity.Signature
}

// Commit makes the commitment of key to a secret of 32 random bytes.
func (c Council) Commit(key *identity.Key, round uint64, secret [32]byte) Commitment {
	m := Commitment{Member: key.ID(), Hash: c.commitHash(round, key.ID(), secret)}
	m.Signature = key.SignMessage(c.words("commit", round, m.Hash[:]))
	return m
}

// commitHash is what a member publishes of its secret.
func (c Council) commitHash(round uint64, member drtc.NodeID, secret [32]byte) [32]byte {
	return sha256.Sum256(c.words("secret", round, member[:], secret[:]))
}

// words are the bytes that members sign and hash: a domain, the network, the round
// and parts of fixed lengths.
func (c Council) words(what string, round uint64, parts ...[]byte) []byte {
	b := append([]byte("drtc beacon "+what+"\n"), c.Network[:]...)
	b = binary.BigEndian.AppendUint64(b, round)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

// checkCommitment says why m is not a member's commitment for the round.
func (c Council) checkCommitment(round uint64, m Commitment) error {
	if !c.has(m.Member) {
		return fmt.Errorf("%w: a commitment of %s, which is not a member", ErrInvalid, m.Member)
	}
	if !signedBy(m.Member, c.words("commit", round, m.Hash[:]), m.Signature) {
		return fmt.Errorf("%w: the commitment of %s is not signed by it", ErrInvalid, m.Member)
	}
	return nil
}

func signedBy(id drtc.NodeID, msg []byte, s identity.Signature) bool {
	pub, err := identity.RecoverMessage(msg, s)
	return err == nil && pub.ID() == id
}

// Roster is the commitments that make a round, ascending by member.
type Roster []Commitment

// digest is what seals sign.
func (c Council) digest(round uint64, r Roster) [32]byte {
	b := c.words("roster", round)
	for _, m := range r {
		b = append(append(b, m.Member[:]...), m.Hash[:]...)
	}
	return sha256.Sum256(b)
}

// checkRoster says why r may not be sealed.
func (c Council) checkRoster(round uint64, r Roster) error {
	if len(r) < c.Quorum() || len(r) > len(c.Members) {
		return fmt.Errorf("%w: a roster of %d commitments, want %d to %d", ErrInvalid, len(r), c.Quorum(), len(c.Members))
	}
	for i, m := range r {
		if i > 0 && compareIDs(r[i-1].Member, m.Member) >= 0 {
			return fmt.Errorf("%w: the roster is not ascending by member", ErrInvalid)
		}
		if err := c.checkCommitment(round, m); err != nil {
			return err
		}
	}
	return nil
}

// find returns the place of a member in the roster.
func (r Roster) find(id drtc.NodeID) (int, bool) {
	return slices.BinarySearchFunc(r, id, func(m Commitment, id drtc.NodeID) int { return compareIDs(m.Member, id) })
}

// value is the randomness of a round: the hash of all secrets of its roster.
func (c Council) value(round uint64, secrets [][32]byte) [32]byte {
	b := c.words("round", round)
	for _, s := range secrets {
		b = append(b, s[:]...)
	}
	return sha256.Sum256(b)
}

// Verify reports whether r is a round of the Council or a void one (spec T8). Where
// there is both for a number, the void one stands. The error wraps ErrInvalid.
func (c Council) Verify(r Round) error {
	if r.Number == 0 || len(r.Previous) != 0 {
		return fmt.Errorf("%w: Number is 0 or Previous is not empty", ErrInvalid)
	}
	p, err := parseProof(r.Signature)
	if err != nil {
		return err
	}
	if len(p.roster) > 0 {
		if err := c.checkRoster(r.Number, p.roster); err != nil {
			return err
		}
		digest := c.digest(r.Number, p.roster)
		if err := c.checkVotes(c.words("seal", r.Number, digest[:]), p.seals, "seal"); err != nil {
			return err
		}
	}
	if p.void {
		return c.checkVoid(r, p)
	}
	if r.Void || len(p.secrets) == 0 {
		return fmt.Errorf("%w: the proof is that of a value, with a secret for each commitment", ErrInvalid)
	}
	for i, m := range p.roster {
		if c.commitHash(r.Number, m.Member, p.secrets[i]) != m.Hash {
			return fmt.Errorf("%w: the secret of %s is not the one that it committed to", ErrInvalid, m.Member)
		}
	}
	if r.Randomness != c.value(r.Number, p.secrets) {
		return fmt.Errorf("%w: Randomness is not the hash of the secrets", ErrInvalid)
	}
	return nil
}

// checkVoid verifies a proof that a member did not reveal, or that there was no
// roster.
func (c Council) checkVoid(r Round, p proof) error {
	if !r.Void || r.Randomness != [32]byte{} {
		return fmt.Errorf("%w: the proof is that of a void round", ErrInvalid)
	}
	var digest [32]byte
	if len(p.roster) > 0 {
		digest = c.digest(r.Number, p.roster)
		if _, in := p.roster.find(p.missing); !in {
			return fmt.Errorf("%w: %s is missing and not in the roster", ErrInvalid, p.missing)
		}
	} else if !p.missing.IsZero() {
		return fmt.Errorf("%w: %s is missing, and there is no roster", ErrInvalid, p.missing)
	}
	return c.checkVotes(c.words("void", r.Number, digest[:], p.missing[:]), p.voids, "void")
}

// vote is a member's signature under a seal or a void.
type vote struct {
	member    drtc.NodeID
	signature identity.Signature
}

// checkVotes wants a quorum of votes of members, ascending.
func (c Council) checkVotes(msg []byte, votes []vote, what string) error {
	if len(votes) < c.Quorum() || len(votes) > len(c.Members) {
		return fmt.Errorf("%w: %d votes to %s, want %d", ErrInvalid, len(votes), what, c.Quorum())
	}
	for i, v := range votes {
		if i > 0 && compareIDs(votes[i-1].member, v.member) >= 0 {
			return fmt.Errorf("%w: votes to %s are not ascending by member", ErrInvalid, what)
		}
		if !c.has(v.member) || !signedBy(v.member, msg, v.signature) {
			return fmt.Errorf("%w: a vote to %s is not that of %s", ErrInvalid, what, v.member)
		}
	}
	return nil
}

// Withheld is the member that a void round proves to have withheld its secret, if
// it does; the round was verified.
func (r Round) Withheld() (drtc.NodeID, bool) {
	p, err := parseProof(r.Signature)
	if err != nil || !r.Void || p.missing.IsZero() {
		return drtc.NodeID{}, false
	}
	return p.missing, true
}

// Barred are those who may not be among the Members of a round, ascending: they
// withheld their secret in one of the bar rounds before it. The rounds were
// verified (spec T8).
func Barred(rounds []Round, number, bar uint64) (ids []drtc.NodeID) {
	for _, r := range rounds {
		if id, ok := r.Withheld(); ok && r.Number < number && number-r.Number <= bar {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, compareIDs)
	return slices.Compact(ids)
}
