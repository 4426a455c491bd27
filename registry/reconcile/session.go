package reconcile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// ErrProtocol is returned by Handle for a frame that an honest partner does not
// send; the text says what is wrong with it. The session is over.
var ErrProtocol = errors.New("reconcile: the partner broke the protocol")

// Source is the Set that a session compares. Lookup and Items see changes that
// were made since the hashes were asked for; the session copes.
type Source interface {
	Root() [32]byte
	Group(g int) [32]byte
	Leaf(l int) [32]byte
	Items(l int) []record.Item
	Lookup(id record.ItemID) (envelope.Envelope, bool)
}

// Step is what Handle asks of its caller.
type Step struct {
	// Send these frames, in this order.
	Send [][]byte
	// Records came from the partner: verify and merge them before the next Handle.
	Records []envelope.Envelope
	// Done says that the session is over once Send is sent.
	Done bool
}

// Session is one side of one reconciliation. Make it with Begin or Answer.
type Session struct {
	src    Source
	limits Limits
	stats  Stats
	err    error
	state  state
	pages  int // frames of records in the partner's turn so far

	need    [record.Groups]bool // groups whose leaves are asked for
	after   record.ItemID       // the id that the partner named last, where ids rise
	started bool                // after has been set

	offered []span         // initiator: what the partner answers
	wants   []task         // responder: what it asked for, nil before the first offer
	empty   []bool         // responder: leaves that it said are empty
	tasks   []task         // records to send
	push    []int          // initiator: leaves to send whole
	compare []int          // initiator: leaves to offer
	from    *span          // initiator: the part of compare[0] that is left
	ask     []byte         // responder: the WANT that ends the answer
	covered *record.ItemID // responder: the end of what was offered so far
}

type state int

const (
	awaitRoot   state = iota // responder: for ROOT
	awaitNeed                // responder: for NEED
	awaitTurn                // responder: for the initiator's turn
	awaitGo                  // both: for leave to go on
	awaitGroups              // initiator: for SAME or GROUPS
	awaitLeaves              // initiator: for all LEAVES
	awaitAnswer              // initiator: for the answer to OFFER
	over
)

// rule is which version of a record is good for sending.
type rule int

const (
	whatever rule = iota // the other side has none
	atLeast              // not older than what was offered
	beyond               // not what was offered, and of no lower version
)

// task is a record to be sent, or to be received.
type task struct {
	id   record.ItemID
	rule rule
	item record.Item // what was offered; not for whatever
}

func (t *task) admits(e *envelope.Envelope) bool {
	if t.rule == whatever {
		return true
	}
	v, hash := e.Version(), e.Hash()
	if v != t.item.Version {
		return t.item.Version.Less(v)
	}
	if t.rule == beyond {
		return hash != t.item.Hash
	}
	return bytes.Compare(hash[:], t.item.Hash[:]) >= 0
}

// Begin starts a session and returns the frames to send first.
func Begin(src Source, l Limits) (*Session, [][]byte) {
	s := &Session{src: src, limits: l, state: awaitGroups}
	root := src.Root()
	return s, s.sent([][]byte{append([]byte{frameRoot, version}, root[:]...)})
}

// Answer is the other side of a session that somebody began.
func Answer(src Source, l Limits) *Session {
	return &Session{src: src, limits: l, state: awaitRoot}
}

// Stats returns what the session has cost and done so far.
func (s *Session) Stats() Stats { return s.stats }

// Handle takes one frame from the partner. The error wraps ErrProtocol; the
// session is then over and the partner not honest, or of another version.
func (s *Session) Handle(frame []byte) (Step, error) {
	if s.err != nil {
		return Step{}, s.err
	}
	step, err := s.handle(frame)
	if err != nil {
		s.err = fmt.Errorf("%w: %w", ErrProtocol, err)
		s.state = over
		return Step{}, s.err
	}
	s.stats.RecordsIn += len(step.Records)
	s.sent(step.Send)
	step.Done = s.state == over
	return step, nil
}

func (s *Session) sent(frames [][]byte) [][]byte {
	for _, f := range frames {
		s.stats.BytesOut += len(f)
	}
	return frames
}

func (s *Session) handle(frame []byte) (Step, error) {
	s.stats.BytesIn += len(frame)
	if len(frame) == 0 || len(frame) > MaxFrame {
		return Step{}, fmt.Errorf("a frame of %d bytes, want 1 to %d", len(frame), MaxFrame)
	}
	kind, r := frame[0], &reader{b: frame[1:]}
	if kind == frameBye && s.state != over && s.state != awaitRoot {
		return Step{}, s.bye(r)
	}
	var step Step
	var err error
	switch {
	case s.state == awaitRoot && kind == frameRoot:
		step, err = s.readRoot(r)
	case s.state == awaitNeed && kind == frameNeed:
		step, err = s.readNeed(r)
	case s.state == awaitGroups && kind == frameSame:
		s.state, s.stats.Complete = over, true
	case s.state == awaitGroups && kind == frameGroups:
		step, err = s.readGroups(r)
	case s.state == awaitLeaves && kind == frameLeaves:
		step, err = s.readLeaves(r)
	case (s.state == awaitTurn || s.state == awaitAnswer) && kind == frameRecords:
		step.Records, err = s.readRecords(r)
	case (s.state == awaitTurn || s.state == awaitAnswer) && kind == frameMore:
		step, err = s.readMore()
	case s.state == awaitTurn && kind == frameOffer:
		step, err = s.readOffer(r)
	case s.state == awaitAnswer && kind == frameWant:
		step, err = s.readWant(r)
	case s.state == awaitGo && kind == frameGo:
		step = s.speak()
	default:
		return Step{}, fmt.Errorf("a frame of type %d does not belong here", kind)
	}
	if err == nil {
		err = r.end()
	}
	if err != nil {
		return Step{}, fmt.Errorf("a frame of type %d %w", kind, err)
	}
	return step, nil
}

// bye ends the session as the partner wishes.
func (s *Session) bye(r *reader) error {
	why := r.byte()
	if err := r.end(); err != nil || why > byeCut {
		return fmt.Errorf("a frame of type %d without a reason", frameBye)
	}
	s.stats.Complete = why == byeFinished && (s.state == awaitTurn || s.state == awaitNeed)
	s.state = over
	return nil
}

// leave ends the session with this turn.
func (s *Session) leave(why byte) Step {
	s.state, s.stats.Complete = over, why == byeFinished
	return Step{Send: [][]byte{{frameBye, why}}}
}

// spent says that the session is to end.
func (s *Session) spent() bool { return s.stats.BytesIn+s.stats.BytesOut >= s.limits.MaxBytes }

// readMore lets the partner go on.
func (s *Session) readMore() (Step, error) {
	if s.pages == 0 {
		return Step{}, errors.New("follows no records")
	}
	s.pages = 0
	if s.spent() {
		return s.leave(byeCut), nil
	}
	return Step{Send: [][]byte{{frameGo}}}, nil
}

// readRecords reads a page and holds every record to what may come.
func (s *Session) readRecords(r *reader) ([]envelope.Envelope, error) {
	if s.pages++; s.pages > maxPages {
		return nil, fmt.Errorf("is one more than the %d of a turn", maxPages)
	}
	var records []envelope.Envelope
	for r.more() {
		e := r.readRecord()
		if r.err != nil {
			return nil, r.err
		}
		id := record.ItemOf(record.KeyOf(&e))
		t, ok := s.expects(id)
		if !ok || s.started && !less(s.after, id) || !t.admits(&e) {
			return nil, fmt.Errorf("holds the %s record of %s, which was not asked for", e.Kind, e.Subject)
		}
		s.after, s.started = id, true
		records = append(records, e)
	}
	if len(records) == 0 {
		return nil, errors.New("holds no records")
	}
	return records, nil
}

// expects is what the partner may send under id.
func (s *Session) expects(id record.ItemID) (task, bool) {
	if s.state == awaitAnswer {
		return inSpans(s.offered, id)
	}
	if s.wants != nil {
		return inTasks(s.wants, id)
	}
	return task{id: id}, s.empty != nil && s.empty[id.Leaf()]
}

// speak is this side's turn: records first, then what ends it.
func (s *Session) speak() Step {
	pages, left := s.pageOut()
	step := Step{Send: pages}
	s.pages = 0
	switch {
	case left && s.spentWith(pages):
		step.Send = append(step.Send, s.leave(byeCut).Send...)
	case left:
		s.state = awaitGo
		step.Send = append(step.Send, []byte{frameMore})
	case s.ask != nil:
		s.state = awaitTurn
		step.Send = append(step.Send, s.ask)
		s.ask = nil
	case len(s.compare) == 0:
		step.Send = append(step.Send, s.leave(byeFinished).Send...)
	case s.spentWith(pages):
		step.Send = append(step.Send, s.leave(byeCut).Send...)
	default:
		s.state, s.started = awaitAnswer, false
		step.Send = append(step.Send, s.offer())
	}
	return step
}

func (s *Session) spentWith(pages [][]byte) bool {
	bytes := s.stats.BytesIn + s.stats.BytesOut
	for _, p := range pages {
		bytes += len(p)
	}
	return bytes >= s.limits.MaxBytes
}

// pageOut packs as many of the tasks as a turn has room for, and says whether any
// are left.
func (s *Session) pageOut() (pages [][]byte, left bool) {
	var page []byte
	for {
		t, ok := s.task()
		if !ok {
			break
		}
		e, held := s.src.Lookup(t.id)
		if !held || !t.admits(&e) { // it has changed since
			s.tasks = s.tasks[1:]
			continue
		}
		b := e.Bytes()
		if size := len(page) + len(b) + binary.MaxVarintLen32; page != nil && size > s.limits.MaxMessage {
			if pages = append(pages, page); len(pages) == maxPages {
				return pages, true
			}
			page = nil
		}
		if page == nil {
			page = []byte{frameRecords}
		}
		page = binary.AppendUvarint(page, uint64(len(b)))
		page = append(page, b...)
		s.tasks = s.tasks[1:]
		s.stats.RecordsOut++
	}
	if page != nil {
		pages = append(pages, page)
	}
	return pages, false
}

// task returns the next record to send.
func (s *Session) task() (task, bool) {
	for len(s.tasks) == 0 {
		if len(s.push) == 0 {
			return task{}, false
		}
		for _, it := range s.src.Items(s.push[0]) {
			s.tasks = append(s.tasks, task{id: it.ID})
		}
		s.push = s.push[1:]
	}
	return s.tasks[0], true
}
