package receipt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/epoch"
)

// The journal of a Till is frames one after the other; each is whole or not there
// after a crash. The first may be a Snapshot, others are what Flush gave since.
//
//	length of payload | CRC-32C of payload | payload
//	      4 bytes     |      4 bytes       |
//	payload: version 1 | node | entries: 'L' line, 'G' account that is gone, 'X' contradiction

const (
	frameHead      = 8
	maxFrame       = 256 << 20
	journalVersion = 1
)

// AppendFrame writes a payload behind b.
func AppendFrame(b, payload []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.BigEndian.AppendUint32(b, checksum(payload))
	return append(b, payload...)
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// Frames reads payloads up to the first that is not whole, and says how many bytes
// they take.
func Frames(b []byte) (payloads [][]byte, whole int) {
	for len(b)-whole >= frameHead {
		head := b[whole:]
		n := int(binary.BigEndian.Uint32(head))
		if n > maxFrame || len(head)-frameHead < n {
			break
		}
		payload := head[frameHead : frameHead+n]
		if checksum(payload) != binary.BigEndian.Uint32(head[4:]) {
			break
		}
		payloads = append(payloads, payload)
		whole += frameHead + n
	}
	return payloads, whole
}

func (t *Till) payload() []byte { return append([]byte{journalVersion}, t.node[:]...) }

// Flush is the payload of what changed since the last Flush or Snapshot, nil if
// nothing did.
func (t *Till) Flush() []byte {
	if len(t.dirty) == 0 && t.proven == len(t.evidence) {
		return nil
	}
	b := t.payload()
	for _, a := range slices.SortedFunc(maps.Keys(t.dirty), Account.compare) {
		var l *line
		if k := t.customers[a.Orchestrator]; k != nil {
			l = k.lines[a]
		}
		b = appendLine(b, a, l)
	}
	for _, c := range t.evidence[t.proven:] {
		b = appendProof(b, c)
	}
	clear(t.dirty)
	t.proven = len(t.evidence)
	return b
}

// Snapshot is the payload of everything.
func (t *Till) Snapshot() []byte {
	b := t.payload()
	for _, id := range slices.SortedFunc(maps.Keys(t.customers), func(x, y drtc.NodeID) int { return slices.Compare(x[:], y[:]) }) {
		k := t.customers[id]
		for _, a := range slices.SortedFunc(maps.Keys(k.lines), Account.compare) {
			b = appendLine(b, a, k.lines[a])
		}
	}
	for _, c := range t.evidence {
		b = appendProof(b, c)
	}
	clear(t.dirty)
	t.proven = len(t.evidence)
	return b
}

func appendLine(b []byte, a Account, l *line) []byte {
	tag := byte('L')
	if l == nil {
		tag = 'G'
	}
	b = append(append(append(b, tag), a.Application[:]...), a.Orchestrator[:]...)
	b = appendNumber(b, a.Epoch)
	if l == nil {
		return b
	}
	flags := byte(0)
	if l.closed {
		flags |= 1
	}
	if l.last.Sequence > 0 {
		flags |= 2
	}
	b = appendCounters(append(b, flags), l.counted)
	if l.last.Sequence > 0 {
		b = l.last.Append(b)
	}
	return b
}

func appendProof(b []byte, c Contradiction) []byte {
	return c.Second.Append(c.First.Append(append(b, 'X')))
}

// Replay brings one payload into a Till that has counted nothing yet. Receipts are
// verified, so that a damaged file can't make the node claim what nobody signed.
// After the last payload call Resume.
func (t *Till) Replay(payload []byte) error {
	r := reader{left: payload}
	if v := r.byte(); r.err == nil && v != journalVersion {
		return fmt.Errorf("%w: journal version: want %d, got %d", ErrMalformed, journalVersion, v)
	}
	if node := drtc.NodeID(r.address()); r.err == nil && node != t.node {
		return fmt.Errorf("%w: the journal is of node %s", ErrParty, node)
	}
	for r.err == nil && len(r.left) > 0 {
		switch tag := r.byte(); tag {
		case 'L', 'G':
			t.replayLine(&r, tag)
		case 'X':
			c := Contradiction{r.signed(), r.signed()}
			if r.err == nil {
				if r.err = c.Verify(t.rules.Domain); r.err == nil {
					t.prove(c)
				}
			}
		default:
			r.err = fmt.Errorf("%w: journal entry %q", ErrMalformed, tag)
		}
	}
	t.proven = len(t.evidence)
	return r.err
}

func (t *Till) replayLine(r *reader, tag byte) {
	a := Account{Application: r.address(), Orchestrator: r.address(), Node: t.node, Epoch: r.number()}
	k := t.customers[a.Orchestrator]
	if tag == 'G' {
		if k != nil {
			delete(k.lines, a)
		}
		return
	}
	flags := r.byte()
	l := &line{counted: r.counters(), closed: flags&1 != 0}
	if flags&2 != 0 {
		l.last = r.signed()
	}
	switch {
	case r.err != nil:
		return
	case flags > 3 || flags&2 != 0 && (l.last.Account != a || l.last.Sequence == 0 || !l.counted.covers(l.last.Counters)):
		r.err = fmt.Errorf("%w: a line of the journal does not agree with its receipt", ErrMalformed)
		return
	}
	if k == nil {
		k = &customer{lines: map[Account]*line{}}
		t.customers[a.Orchestrator] = k
	}
	if held := k.lines[a]; flags&2 != 0 && (held == nil || held.last != l.last) {
		if r.err = l.last.Verify(t.rules.Domain); r.err != nil {
			return
		}
	}
	k.lines[a] = l
}

// Resume goes on at now from what was replayed. What is owed is as old as now: how
// long the node was away is nobody's fault. Accounts of epochs that are still to
// come, of a clock that was wrong, are dropped.
func (t *Till) Resume(now time.Time) {
	present := t.rules.Clock.At(now)
	for _, k := range t.customers {
		for a, l := range k.lines {
			if present == epoch.None || a.Epoch > present+1 {
				delete(k.lines, a)
				t.dirty[a] = true
				continue
			}
			if t.epoch == epoch.None || a.Epoch > t.epoch {
				t.epoch = a.Epoch
			}
			if !l.closed {
				k.counted += l.counted.Sum()
				k.paid += l.last.Sum()
			}
		}
		if k.counted > k.paid {
			k.mark(now, t.rules)
		}
	}
	t.roll(now)
	t.sweep(now)
}
