package liveness_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry/liveness"
)

var (
	start    = time.Unix(1790000000, 0)
	registry = drtc.NodeID{1, 2, 3}
)

const step = 150 * time.Millisecond // a twentieth of the default Interval

func key(b byte) *identity.Key {
	k, err := identity.Generate(bytes.NewReader(bytes.Repeat([]byte{b}, 32)))
	if err != nil {
		panic(err)
	}
	return k
}

// world is a Table and nodes that answer or do not, in virtual time.
type world struct {
	*liveness.Table
	now     time.Time
	nonces  byte
	answers map[liveness.StreamID]*identity.Key // who answers on a stream
	down    map[drtc.NodeID]time.Time           // when it was reported
	ended   []liveness.StreamID
}

func newWorld(t interface{ Fatal(...any) }) *world {
	table, err := liveness.New(liveness.DefaultConfig(), registry)
	if err != nil {
		t.Fatal(err)
	}
	return &world{Table: table, now: start, answers: map[liveness.StreamID]*identity.Key{}, down: map[drtc.NodeID]time.Time{}}
}

func (w *world) draw() (n liveness.Nonce) {
	w.nonces++
	n[0] = w.nonces
	return n
}

// open adds a stream on which k answers as k.
func (w *world) open(t interface{ Fatal(...any) }, id liveness.StreamID, k *identity.Key) {
	if err := w.Open(w.now, id, k.ID()); err != nil {
		t.Fatal(err)
	}
	w.answers[id] = k
}

// pass lets time go by in steps; nodes answer at once.
func (w *world) pass(t interface{ Fatal(...any) }, d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(step) {
		due := w.HandleTimeout(w.now, w.draw)
		for _, ask := range due.Asks {
			if k := w.answers[ask.Stream]; k != nil {
				if _, err := w.Pong(w.now, ask.Stream, ask.Nonce[:], k.SignMessage(liveness.Message(registry, ask.Nonce))); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, n := range due.Down {
			w.down[n] = w.now
		}
		w.ended = append(w.ended, due.End...)
	}
}

func TestTable_nodeThatAnswersStaysUp(t *testing.T) {
	w := newWorld(t)
	k := key(1)
	if got := w.State(k.ID()); got != liveness.Unknown {
		t.Errorf("before: got %s, want unknown", got)
	}
	w.open(t, 1, k)
	w.pass(t, time.Hour)
	if got := w.State(k.ID()); got != liveness.Up || len(w.down) != 0 || len(w.ended) != 0 {
		t.Errorf("got %s, reported down %v, ended %v; want up for an hour", got, w.down, w.ended)
	}
}

// The promise to Orchestrators: a dead node is out within 10 s, whenever in the
// interval it dies and however.
func TestTable_deadNodeIsDownWithin10s(t *testing.T) {
	for died := time.Duration(0); died <= 4*time.Second; died += step {
		for _, how := range []string{"falls silent", "stream breaks"} {
			w := newWorld(t)
			k := key(1)
			w.open(t, 1, k)
			w.pass(t, 30*time.Second+died)
			delete(w.answers, 1)
			if how == "stream breaks" {
				w.Close(w.now, 1)
			}
			at := w.now
			w.pass(t, 20*time.Second)
			reported, ok := w.down[k.ID()]
			if took := reported.Sub(at); !ok || took > 10*time.Second || w.State(k.ID()) != liveness.Down {
				t.Errorf("%s %s into an interval: reported %v after %s, state %s, want down within 10s", how, died, ok, took, w.State(k.ID()))
			}
			if how == "falls silent" && !slices.Equal(w.ended, []liveness.StreamID{1}) {
				t.Errorf("ended streams %v, want the silent one", w.ended)
			}
		}
	}
}

func TestTable_oneMissIsForgiven(t *testing.T) {
	w := newWorld(t)
	k := key(1)
	w.open(t, 1, k)
	w.pass(t, 9*time.Second)
	delete(w.answers, 1)
	w.pass(t, 3*time.Second) // one nonce unanswered
	w.answers[1] = k
	w.pass(t, time.Minute)
	if len(w.down) != 0 || w.State(k.ID()) != liveness.Up {
		t.Errorf("reported down %v, state %s, want up", w.down, w.State(k.ID()))
	}
}

func TestTable_reopenedStreamBridgesTheGap(t *testing.T) {
	w := newWorld(t)
	k := key(1)
	w.open(t, 1, k)
	w.pass(t, 10*time.Second)
	w.Close(w.now, 1)
	w.pass(t, 3*time.Second)
	w.open(t, 2, k)
	w.pass(t, time.Minute)
	if len(w.down) != 0 {
		t.Errorf("reported down %v, want never", w.down)
	}
}

func TestTable_endOfAnOldStreamDoesNotMatter(t *testing.T) {
	w := newWorld(t)
	k := key(1)
	w.open(t, 1, k)
	w.pass(t, 10*time.Second)
	w.open(t, 2, k) // the node came back before we saw the old connection break
	w.pass(t, 200*time.Millisecond)
	delete(w.answers, 1)
	w.Close(w.now, 1)
	w.pass(t, time.Minute)
	if len(w.down) != 0 || w.State(k.ID()) != liveness.Up {
		t.Errorf("reported down %v, state %s, want up", w.down, w.State(k.ID()))
	}
}

func TestTable_strangerWhoClaimsToBeANodeChangesNothing(t *testing.T) {
	w := newWorld(t)
	k, stranger := key(1), key(2)
	w.open(t, 1, k)
	if err := w.Open(w.now, 7, k.ID()); err != nil { // claims to be k
		t.Fatal(err)
	}
	due := w.HandleTimeout(w.now, w.draw)
	for _, ask := range due.Asks {
		sig := stranger.SignMessage(liveness.Message(registry, ask.Nonce))
		if _, err := w.Pong(w.now, ask.Stream, ask.Nonce[:], sig); !errors.Is(err, liveness.ErrSignature) {
			t.Errorf("the stranger's pong: got %v, want ErrSignature", err)
		}
	}
	w.pass(t, 20*time.Second)
	if !slices.Equal(w.ended, []liveness.StreamID{7}) || len(w.down) != 0 || w.State(k.ID()) != liveness.Up {
		t.Errorf("ended %v, down %v, state %s, want the stranger's stream ended and the node up", w.ended, w.down, w.State(k.ID()))
	}
}

func TestPong_refused(t *testing.T) {
	w := newWorld(t)
	k := key(1)
	if err := w.Open(w.now, 1, k.ID()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Pong(w.now, 1, make([]byte, 16), identity.Signature{}); !errors.Is(err, liveness.ErrNonce) {
		t.Errorf("before a nonce: got %v, want ErrNonce", err)
	}
	nonce := w.HandleTimeout(w.now, w.draw).Asks[0].Nonce
	sig := k.SignMessage(liveness.Message(registry, nonce))
	tests := map[string]struct {
		stream liveness.StreamID
		nonce  []byte
		sig    identity.Signature
		want   error
	}{
		"another stream":     {2, nonce[:], sig, liveness.ErrStream},
		"another nonce":      {1, make([]byte, 16), sig, liveness.ErrNonce},
		"no nonce":           {1, nil, sig, liveness.ErrNonce},
		"another registry's": {1, nonce[:], k.SignMessage(liveness.Message(drtc.NodeID{9}, nonce)), liveness.ErrSignature},
		"no signature":       {1, nonce[:], identity.Signature{}, liveness.ErrSignature},
	}
	for name, tt := range tests {
		if up, err := w.Pong(w.now, tt.stream, tt.nonce, tt.sig); up || !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, %v, want %v", name, up, err, tt.want)
		}
	}
	if got := w.State(k.ID()); got != liveness.Unknown {
		t.Errorf("after refusals: got %s, want unknown", got)
	}
	if up, err := w.Pong(w.now, 1, nonce[:], sig); !up || err != nil {
		t.Errorf("the answer: got %v, %v, want up", up, err)
	}
	if _, err := w.Pong(w.now, 1, nonce[:], sig); !errors.Is(err, liveness.ErrNonce) {
		t.Errorf("the answer again: got %v, want ErrNonce", err)
	}
}

func TestRenewed_bringsANodeBackOnlyWithANewerRecord(t *testing.T) {
	w := newWorld(t)
	k := key(1)
	w.open(t, 1, k)
	w.pass(t, 10*time.Second)
	delete(w.answers, 1)
	alive := w.now
	w.pass(t, 20*time.Second)
	if w.Renewed(k.ID(), alive) || w.State(k.ID()) != liveness.Down {
		t.Errorf("a record from before the end: got %s, want down", w.State(k.ID()))
	}
	if !w.Renewed(k.ID(), w.now) || w.State(k.ID()) != liveness.Unknown {
		t.Errorf("a record from after: got %s, want unknown", w.State(k.ID()))
	}
	if w.Renewed(k.ID(), w.now) {
		t.Error("a record of a node that is not down reported it up")
	}
}

func TestOpen_boundsTheUnproven(t *testing.T) {
	c := liveness.DefaultConfig()
	c.MaxUnproven = 2
	table, err := liveness.New(c, registry)
	if err != nil {
		t.Fatal(err)
	}
	for id := liveness.StreamID(1); id <= 2; id++ {
		if err := table.Open(start, id, drtc.NodeID{byte(id)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := table.Open(start, 3, drtc.NodeID{3}); !errors.Is(err, liveness.ErrBusy) {
		t.Errorf("a third: got %v, want ErrBusy", err)
	}
	table.Close(start, 1)
	if err := table.Open(start, 4, drtc.NodeID{4}); err != nil {
		t.Errorf("after one closed: %v", err)
	}
	if got := table.Forget(drtc.NodeID{4}); !slices.Equal(got, []liveness.StreamID{4}) {
		t.Errorf("forgetting a node: got streams %v, want its own", got)
	}
	if err := table.Open(start, 5, drtc.NodeID{5}); err != nil || table.Streams() != 2 {
		t.Errorf("after one was forgotten: %v, %d streams, want 2", err, table.Streams())
	}
}

// However streams come, go and answer, nobody is Down who was never Up, and the
// books stay balanced.
func TestTable_anySchedule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		keys := []*identity.Key{key(1), key(2)}
		var next liveness.StreamID
		wasUp := map[drtc.NodeID]bool{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0:
				next++
				w.open(t, next, rapid.SampledFrom(keys).Draw(t, "node"))
				if rapid.Bool().Draw(t, "mute") {
					delete(w.answers, next)
				}
			case 1:
				w.Close(w.now, liveness.StreamID(rapid.IntRange(0, int(next)).Draw(t, "close")))
			case 2:
				delete(w.answers, liveness.StreamID(rapid.IntRange(0, int(next)).Draw(t, "mute")))
			case 3:
				w.Renewed(keys[0].ID(), w.now)
			case 4:
				w.pass(t, time.Duration(rapid.IntRange(0, 40).Draw(t, "ticks"))*step)
			}
			for _, k := range keys {
				wasUp[k.ID()] = wasUp[k.ID()] || w.State(k.ID()) == liveness.Up
				if _, down := w.down[k.ID()]; down && !wasUp[k.ID()] {
					t.Fatalf("%s is reported down and was never up", k.ID())
				}
			}
		}
		clear(w.answers)
		w.pass(t, 20*time.Second)
		if w.Streams() != 0 {
			t.Fatalf("%d silent streams are still open", w.Streams())
		}
		for _, k := range keys {
			if w.State(k.ID()) == liveness.Up {
				t.Fatalf("silent %s is still up", k.ID())
			}
		}
		for id := range liveness.StreamID(liveness.DefaultConfig().MaxUnproven) {
			if err := w.Open(w.now, 1000+id, drtc.NodeID{9}); err != nil {
				t.Fatalf("unproven streams leaked: %v", err)
			}
		}
	})
}

func TestMessage_vectors(t *testing.T) {
	b, err := os.ReadFile("../../spec/vectors/record.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Keepalive []struct {
			Key, Nonce, Message, Signature string
			Registry                       drtc.NodeID
		}
	}
	if err := json.Unmarshal(b, &file); err != nil || len(file.Keepalive) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	for _, v := range file.Keepalive {
		k, err := identity.ParseKey(v.Key)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := hex.DecodeString(strings.TrimPrefix(v.Nonce, "0x"))
		if err != nil {
			t.Fatal(err)
		}
		m := liveness.Message(v.Registry, liveness.Nonce(raw))
		if got := "0x" + hex.EncodeToString(m); got != v.Message {
			t.Errorf("message: got %s, want %s", got, v.Message)
		}
		if got := k.SignMessage(m).Hex(); got != v.Signature {
			t.Errorf("signature: got %s, want %s", got, v.Signature)
		}
	}
}

func TestValidate_namesTheField(t *testing.T) {
	for field, change := range map[string]func(*liveness.Config){
		"Interval":    func(c *liveness.Config) { c.Interval = 0 },
		"Misses":      func(c *liveness.Config) { c.Misses = 0 },
		"Reopen":      func(c *liveness.Config) { c.Reopen = -1 },
		"MaxUnproven": func(c *liveness.Config) { c.MaxUnproven = 0 },
	} {
		c := liveness.DefaultConfig()
		change(&c)
		if _, err := liveness.New(c, registry); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}
