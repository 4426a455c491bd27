package beacon

import (
	"fmt"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
)

// Message is what members of a Council tell all others. One of the fields Commitment,
// Roster, Secret and Vote is set, as Stage says; From is proven by the content.
type Message struct {
	Round uint64
	Stage Stage
	From  drtc.NodeID
	// Commitment of From (StageCommit).
	Commitment Commitment
	// Roster that From proposes (StageRoster).
	Roster Roster
	// Digest of the roster that From seals (StageSeal), or under which it misses
	// somebody (StageVoid; zero without roster).
	Digest [32]byte
	// Missing is who did not reveal (StageVoid; zero without roster).
	Missing drtc.NodeID
	// Signature of From (StageRoster, StageSeal, StageVoid).
	Signature identity.Signature
	// Secret of From (StageReveal).
	Secret [32]byte
}

// Stage of a round.
type Stage uint8

// The stages, in their order.
const (
	StageCommit Stage = 1 + iota // 3 Step before the round's time: commitments
	StageRoster                  // 2 Step before: the proposer's roster
	StageSeal                    // at once: seals of what the proposer proposed
	StageReveal                  // at the round's time: secrets, of a sealed roster
	StageVoid                    // 1 Step after: who is missing
)

// Sitting is one member's part in one round. Contract: everything that comes from
// HandleTimeout and Handle goes to all members, itself excepted. A Sitting holds
// at most a few messages of each member.
type Sitting struct {
	council Council
	key     *identity.Key
	round   uint64
	secret  [32]byte

	stage       Stage // the last one entered; 0 before the first
	commitments map[drtc.NodeID]Commitment
	roster      Roster // the one that the proposer signed first
	digest      [32]byte
	seals       map[drtc.NodeID]identity.Signature
	secrets     map[drtc.NodeID][32]byte
	voids       map[drtc.NodeID]map[drtc.NodeID]identity.Signature // by missing, then by voter
	early       map[drtc.NodeID][]Message                          // that came before the roster
}

// maxEarly messages of a member wait for the roster.
const maxEarly = 4

// Sit takes part in a round with a secret of 32 random bytes that is used once.
// The error wraps ErrParameters.
func (c Council) Sit(key *identity.Key, round uint64, secret [32]byte) (*Sitting, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if !c.has(key.ID()) {
		return nil, fmt.Errorf("%w: %s is not among Members", ErrParameters, key.ID())
	}
	return &Sitting{
		council: c, key: key, round: round, secret: secret,
		commitments: map[drtc.NodeID]Commitment{}, seals: map[drtc.NodeID]identity.Signature{},
		secrets: map[drtc.NodeID][32]byte{}, voids: map[drtc.NodeID]map[drtc.NodeID]identity.Signature{},
		early: map[drtc.NodeID][]Message{},
	}, nil
}

// begins is when a stage begins.
func (s *Sitting) begins(stage Stage) time.Time {
	t := s.council.Time(s.round)
	switch stage {
	case StageCommit:
		return t.Add(-3 * s.council.Step)
	case StageRoster, StageSeal:
		return t.Add(-2 * s.council.Step)
	case StageReveal:
		return t
	}
	return t.Add(s.council.Step)
}

// NextTimeout is when HandleTimeout has something to do next; the zero time when
// it has not.
func (s *Sitting) NextTimeout() time.Time {
	if s.stage == StageVoid {
		return time.Time{}
	}
	return s.begins(s.stage + 1)
}

// HandleTimeout enters the stages whose time has come and returns what the member
// says in them. A member that comes too late for a stage leaves it out.
func (s *Sitting) HandleTimeout(now time.Time) (say []Message) {
	for s.stage < StageVoid && !now.Before(s.begins(s.stage+1)) {
		s.stage++
		late := s.stage < StageReveal && !now.Before(s.begins(s.stage).Add(s.council.Step))
		switch {
		case s.stage == StageCommit && !late:
			m := s.council.Commit(s.key, s.round, s.secret)
			s.commitments[s.key.ID()] = m
			say = append(say, s.message(Message{Stage: StageCommit, Commitment: m}))
		case s.stage == StageRoster && !late && s.council.Proposer(s.round) == s.key.ID():
			say = append(say, s.propose()...)
		case s.stage == StageReveal:
			say = append(say, s.reveal()...)
		case s.stage == StageVoid:
			say = append(say, s.miss()...)
		}
	}
	return say
}

func (s *Sitting) message(m Message) Message {
	m.Round, m.From = s.round, s.key.ID()
	return m
}

// propose makes the roster of all commitments that have come, and seals it.
func (s *Sitting) propose() []Message {
	var r Roster
	for _, m := range s.commitments {
		r = append(r, m)
	}
	slices.SortFunc(r, func(a, b Commitment) int { return compareIDs(a.Member, b.Member) })
	if s.council.checkRoster(s.round, r) != nil {
		return nil // too few
	}
	d := s.council.digest(s.round, r)
	proposal := s.message(Message{Stage: StageRoster, Roster: r, Signature: s.key.SignMessage(s.council.words("propose", s.round, d[:]))})
	return append([]Message{proposal}, s.seal(r)...)
}

// seal takes a roster as the round's and signs it, once.
func (s *Sitting) seal(r Roster) []Message {
	s.roster, s.digest = slices.Clone(r), s.council.digest(s.round, r)
	sig := s.key.SignMessage(s.council.words("seal", s.round, s.digest[:]))
	s.seals[s.key.ID()] = sig
	for _, waiting := range s.early {
		for _, m := range waiting {
			s.count(m) //nolint:errcheck // nobody is there to be told what was wrong with it
		}
	}
	clear(s.early)
	return []Message{s.message(Message{Stage: StageSeal, Digest: s.digest, Signature: sig})}
}

// sealed reports whether a quorum has signed the roster.
func (s *Sitting) sealed() bool { return len(s.roster) > 0 && len(s.seals) >= s.council.Quorum() }

// reveal tells the secret, if it is part of a sealed roster and the time has come:
// before both, somebody could still commit to what it knows.
func (s *Sitting) reveal() []Message {
	_, in := s.roster.find(s.key.ID())
	_, said := s.secrets[s.key.ID()]
	if !in || said || !s.sealed() || s.stage < StageReveal {
		return nil
	}
	s.secrets[s.key.ID()] = s.secret
	return []Message{s.message(Message{Stage: StageReveal, Secret: s.secret})}
}

// miss votes that those are missing who have not revealed by now.
func (s *Sitting) miss() (say []Message) {
	if !s.sealed() {
		return []Message{s.vote([32]byte{}, drtc.NodeID{})}
	}
	for _, m := range s.roster {
		if _, ok := s.secrets[m.Member]; !ok {
			say = append(say, s.vote(s.digest, m.Member))
		}
	}
	return say
}

func (s *Sitting) vote(digest [32]byte, missing drtc.NodeID) Message {
	sig := s.key.SignMessage(s.council.words("void", s.round, digest[:], missing[:]))
	s.addVoid(missing, s.key.ID(), sig)
	return s.message(Message{Stage: StageVoid, Digest: digest, Missing: missing, Signature: sig})
}

func (s *Sitting) addVoid(missing, voter drtc.NodeID, sig identity.Signature) {
	if s.voids[missing] == nil {
		s.voids[missing] = map[drtc.NodeID]identity.Signature{}
	}
	s.voids[missing][voter] = sig
}

// Handle takes a message of another member and returns what this one says to it.
// The error wraps ErrInvalid: the message is nobody's or comes when it may not.
func (s *Sitting) Handle(now time.Time, m Message) ([]Message, error) {
	say := s.HandleTimeout(now)
	if m.Round != s.round || !s.council.has(m.From) {
		return say, fmt.Errorf("%w: a message of round %d from %s", ErrInvalid, m.Round, m.From)
	}
	more, err := s.handle(now, m)
	if err != nil {
		return say, err
	}
	return append(append(say, more...), s.reveal()...), nil
}

func (s *Sitting) handle(now time.Time, m Message) ([]Message, error) {
	switch m.Stage {
	case StageCommit:
		return nil, s.commit(now, m)
	case StageRoster:
		return s.proposed(now, m)
	}
	if len(s.roster) == 0 && (m.Stage != StageVoid || m.Digest != [32]byte{}) {
		if waiting := s.early[m.From]; len(waiting) < maxEarly {
			s.early[m.From] = append(waiting, m)
		}
		return nil, nil
	}
	return nil, s.count(m)
}

// count takes what is said about the roster, or that there is none.
func (s *Sitting) count(m Message) error {
	switch m.Stage {
	case StageSeal:
		if m.Digest != s.digest || !signedBy(m.From, s.council.words("seal", s.round, m.Digest[:]), m.Signature) {
			return fmt.Errorf("%w: a seal of %s under another roster, or not its own", ErrInvalid, m.From)
		}
		s.seals[m.From] = m.Signature
	case StageReveal:
		at, in := s.roster.find(m.From)
		if !in || s.council.commitHash(s.round, m.From, m.Secret) != s.roster[at].Hash {
			return fmt.Errorf("%w: %s reveals what it did not commit to", ErrInvalid, m.From)
		}
		s.secrets[m.From] = m.Secret
	case StageVoid:
		_, in := s.roster.find(m.Missing)
		if none := m.Missing.IsZero() && m.Digest == [32]byte{}; !none && (!in || m.Digest != s.digest) {
			return fmt.Errorf("%w: %s misses %s, which is not in the roster", ErrInvalid, m.From, m.Missing)
		}
		if !signedBy(m.From, s.council.words("void", s.round, m.Digest[:], m.Missing[:]), m.Signature) {
			return fmt.Errorf("%w: a vote that %s did not sign", ErrInvalid, m.From)
		}
		s.addVoid(m.Missing, m.From, m.Signature)
	default:
		return fmt.Errorf("%w: a message of stage %d", ErrInvalid, m.Stage)
	}
	return nil
}

// commit takes a commitment before rosters are proposed, the first of each member.
func (s *Sitting) commit(now time.Time, m Message) error {
	if m.Commitment.Member != m.From {
		return fmt.Errorf("%w: %s brings a commitment of %s", ErrInvalid, m.From, m.Commitment.Member)
	}
	if err := s.council.checkCommitment(s.round, m.Commitment); err != nil {
		return err
	}
	if _, twice := s.commitments[m.From]; !twice && now.Before(s.begins(StageRoster)) {
		s.commitments[m.From] = m.Commitment
	}
	return nil
}

// proposed takes the first roster of the proposer, until secrets are revealed.
func (s *Sitting) proposed(now time.Time, m Message) ([]Message, error) {
	if m.From != s.council.Proposer(s.round) {
		return nil, fmt.Errorf("%w: %s proposes a roster out of its turn", ErrInvalid, m.From)
	}
	if len(s.roster) > 0 || !now.Before(s.begins(StageReveal)) {
		return nil, nil
	}
	if err := s.council.checkRoster(s.round, m.Roster); err != nil {
		return nil, err
	}
	d := s.council.digest(s.round, m.Roster)
	if !signedBy(m.From, s.council.words("propose", s.round, d[:]), m.Signature) {
		return nil, fmt.Errorf("%w: a roster that %s did not sign", ErrInvalid, m.From)
	}
	return s.seal(m.Roster), nil
}

// Result is the round, once there is proof of it; a void one when a quorum misses
// somebody. A value may still give way to a void.
func (s *Sitting) Result() (Round, bool) {
	r := Round{Number: s.round}
	p := proof{}
	if s.sealed() {
		p.roster, p.seals = s.roster, votesOf(s.seals)
	}
	for _, m := range append([]Commitment{{}}, s.roster...) { // the zero member: no roster
		if votes := s.voids[m.Member]; len(votes) >= s.council.Quorum() {
			p.void, p.missing, p.voids = true, m.Member, votesOf(votes)
			if m.Member.IsZero() {
				p.roster, p.seals = nil, nil
			}
			r.Void, r.Signature = true, p.bytes()
			return r, true
		}
	}
	if !s.sealed() || len(s.secrets) < len(s.roster) {
		return Round{}, false
	}
	for _, m := range s.roster {
		p.secrets = append(p.secrets, s.secrets[m.Member])
	}
	r.Randomness, r.Signature = s.council.value(s.round, p.secrets), p.bytes()
	return r, true
}

// votesOf are votes, ascending by member.
func votesOf(signatures map[drtc.NodeID]identity.Signature) (votes []vote) {
	for id, sig := range signatures {
		votes = append(votes, vote{id, sig})
	}
	slices.SortFunc(votes, func(a, b vote) int { return compareIDs(a.member, b.member) })
	return votes
}
