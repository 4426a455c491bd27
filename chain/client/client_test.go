package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
)

func TestDial_refusesAnotherChain(t *testing.T) {
	f := newFake(t)
	c := f.config()
	c.ChainID = 1
	if _, err := Dial(t.Context(), c, NewReasons(nil, nil), slog.New(slog.DiscardHandler)); !errors.Is(err, ErrWrongChain) {
		t.Errorf("got %v, want ErrWrongChain", err)
	}
}

func TestClient_callsNonsenseUnavailable(t *testing.T) {
	const big = 1 << 20
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request){
		"no JSON":          func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") },
		"nothing":          func(http.ResponseWriter, *http.Request) {},
		"half an answer":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"jsonrpc":"2.0","id":2,"resu`) },
		"another type":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"jsonrpc":"2.0","id":2,"result":[7]}`) },
		"an empty block":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"jsonrpc":"2.0","id":2,"result":{}}`) },
		"status 500":       func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "{}", http.StatusInternalServerError) },
		"status 429":       func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "slow down", http.StatusTooManyRequests) },
		"an endless one":   func(w http.ResponseWriter, _ *http.Request) { endless(w, maxAnswer/big+1, big) },
		"no answer at all": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			c := f.config()
			c.Timeout = 300 * time.Millisecond
			client := dial(t, c)
			f.with(func() {
				f.fault = func(w http.ResponseWriter, r *http.Request, _ string) bool { fault(w, r); return true }
			})
			if _, err := client.Head(t.Context()); !errors.Is(err, ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
		})
	}
}

func endless(w http.ResponseWriter, pieces, size int) {
	piece := []byte(strings.Repeat(" ", size))
	for range pieces {
		if _, err := w.Write(piece); err != nil {
			return
		}
	}
}

func TestCallsAt_failsAsAWhole(t *testing.T) {
	answer := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err == nil && body[0] == '[' {
			fmt.Fprint(w, answer)
		} else {
			fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":"0x1"}`)
		}
	}))
	defer server.Close()
	c := DefaultConfig()
	c.URL = server.URL
	client := dial(t, c)
	if _, err := client.CallsAt(t.Context(), 1, make([]Question, MaxQuestions+1)); err == nil || !strings.Contains(err.Error(), "at most 100") {
		t.Errorf("too many: got %v", err)
	}
	for name, tt := range map[string]struct {
		answer string
		want   func(error) bool
	}{
		"no batches":   {`{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"no"}}`, func(err error) bool { return errors.Is(err, ErrUnavailable) }},
		"one missing":  {`[{"jsonrpc":"2.0","id":2,"result":"0x01"}]`, func(err error) bool { return errors.Is(err, ErrUnavailable) }},
		"one is null":  {`[{"jsonrpc":"2.0","id":2,"result":"0x01"},{"jsonrpc":"2.0","id":3,"result":null}]`, func(err error) bool { return errors.Is(err, ErrUnavailable) }},
		"one is wrong": {`[{"jsonrpc":"2.0","id":2,"result":"0x01"},{"jsonrpc":"2.0","id":3,"result":{}}]`, func(err error) bool { return errors.Is(err, ErrUnavailable) }},
		"one refused": {`[{"jsonrpc":"2.0","id":2,"result":"0x01"},{"jsonrpc":"2.0","id":3,"error":{"code":-32000,"message":"missing trie node"}}]`,
			func(err error) bool { var r *Refusal; return errors.As(err, &r) }},
	} {
		client := dial(t, c) // its next questions have ids 2 and 3
		answer = tt.answer
		got, err := client.CallsAt(t.Context(), 1, make([]Question, 2))
		if err == nil || got != nil || !tt.want(err) {
			t.Errorf("%s: got %x, %v", name, got, err)
		}
	}
	answer = `[{"jsonrpc":"2.0","id":3,"result":"0x02"},{"jsonrpc":"2.0","id":2,"result":"0x"}]`
	if got, err := dial(t, c).CallsAt(t.Context(), 1, make([]Question, 2)); err != nil || len(got) != 2 || len(got[0]) != 0 || !bytes.Equal(got[1], []byte{2}) {
		t.Errorf("in another order: got %x, %v", got, err)
	}
}

func TestSettled_isSoManyBlocksBelowTheHead(t *testing.T) {
	f := newFake(t)
	c := f.config()
	c.Finality = Confirmations(2)
	client := dial(t, c)
	if _, err := client.Settled(t.Context()); !errors.Is(err, ErrNotFound) {
		t.Errorf("of a young chain: got %v, want ErrNotFound", err)
	}
	f.with(func() { f.mine(); f.mine(); f.mine() })
	b, err := client.Settled(t.Context())
	if err != nil || b.Number != 1 {
		t.Errorf("got block %d, %v, want 1", b.Number, err)
	}
}

func TestFinality_text(t *testing.T) {
	for _, want := range []string{"safe", "finalized", "0", "12"} {
		var f Finality
		if err := f.UnmarshalText([]byte(want)); err != nil || f.String() != want {
			t.Errorf("%s: got %s, %v", want, f, err)
		}
	}
	var f Finality
	if err := f.UnmarshalText([]byte("soon")); err == nil || !strings.Contains(err.Error(), "finality") {
		t.Errorf("got %v, want an error that names finality", err)
	}
}

func TestConfig_validateNamesTheField(t *testing.T) {
	for field, spoil := range map[string]func(*Config){
		"url":          func(c *Config) { c.URL = "localhost:8545" },
		"timeout":      func(c *Config) { c.Timeout = 0 },
		"max_fee_gwei": func(c *Config) { c.MaxFeeGwei = 0 },
	} {
		c := DefaultConfig()
		c.URL = "http://localhost:8545"
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}

func TestFees_raised(t *testing.T) {
	limit := big.NewInt(1000)
	at := func(tip, cap int64) fees { return fees{big.NewInt(tip), big.NewInt(cap)} }
	for _, c := range []struct {
		name           string
		old, now, want fees
		ok             bool
	}{
		{"a quarter", at(100, 400), at(10, 20), at(126, 501), true},
		{"what is suggested", at(100, 400), at(200, 900), at(200, 900), true},
		{"of nothing", at(0, 0), at(0, 0), at(1, 1), true},
		{"over the limit", at(100, 900), at(10, 20), at(126, 1126), false},
	} {
		got, ok := c.old.raised(c.now, limit)
		if got.Tip.Cmp(c.want.Tip) != 0 || got.Cap.Cmp(c.want.Cap) != 0 || ok != c.ok {
			t.Errorf("%s: got %s, %s, %t, want %s, %s, %t", c.name, got.Tip, got.Cap, ok, c.want.Tip, c.want.Cap, c.ok)
		}
	}
}

// emit puts a block with n events on the chain.
func (f *fakeChain) emit(n int) {
	f.mine()
	b := &f.blocks[len(f.blocks)-1]
	for i := range n {
		b.logs = append(b.logs, types.Log{Address: common.Address{0: 1}, Data: []byte{byte(len(f.blocks)), byte(i)}})
	}
}

// collect follows until so many events came and returns them with the cursor.
func collect(t *testing.T, c *Client, from Cursor, want int) ([]types.Log, Cursor, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(soon(t))
	defer cancel()
	var all []types.Log
	at := from
	err := c.Follow(ctx, Query{Contracts: []common.Address{{0: 1}}}, from, func(logs []types.Log, next Cursor) error {
		all, at = append(all, logs...), next
		if len(all) >= want {
			cancel()
		}
		return nil
	})
	return all, at, err
}

func TestFollow_givesEachEventOnceOverFaultsAndRestarts(t *testing.T) {
	f := newFake(t)
	f.with(func() {
		for n := range 40 {
			f.emit(n % 3)
		}
	})
	client := dial(t, f.config())
	requests := 0
	f.with(func() {
		f.fault = func(w http.ResponseWriter, _ *http.Request, _ string) bool {
			if requests++; requests%7 == 3 {
				http.Error(w, "later", http.StatusServiceUnavailable)
				return true
			}
			return false
		}
	})
	first, at, err := collect(t, client, Cursor{}, 15)
	if err != nil {
		t.Fatal(err)
	}
	rest, _, err := collect(t, client, at, 39-len(first))
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int)
	last := uint64(0)
	for _, l := range append(first, rest...) {
		seen[string(l.Data)]++
		if l.BlockNumber < last {
			t.Errorf("block %d after %d", l.BlockNumber, last)
		}
		last = l.BlockNumber
	}
	if len(seen) != 39 || len(first)+len(rest) != 39 {
		t.Errorf("got %d events, %d different ones, want 39", len(first)+len(rest), len(seen))
	}
}

func TestFollow_givesNothingThatIsNotSettled(t *testing.T) {
	f := newFake(t)
	c := f.config()
	c.Finality = Confirmations(3)
	client := dial(t, c)
	f.with(func() { f.emit(1); f.emit(0); f.emit(1); f.emit(0); f.emit(1) })
	logs, at, err := collect(t, client, Cursor{}, 1)
	if err != nil || len(logs) != 1 || at.Block != 2 {
		t.Fatalf("got %d events up to block %d, %v, want 1 up to block 2", len(logs), at.Block, err)
	}
	// What is above may change without anybody hearing of what was there.
	f.with(func() { f.reorg(3, false); f.emit(1); f.emit(0); f.emit(0); f.emit(0) })
	logs, _, err = collect(t, client, at, 1)
	if err != nil || len(logs) != 1 || logs[0].BlockNumber != 6 {
		t.Errorf("got %v, %v, want the event of block 6", logs, err)
	}
}

func TestFollow_saysWhenASettledBlockIsGone(t *testing.T) {
	f := newFake(t)
	client := dial(t, f.config())
	f.with(func() { f.emit(1); f.emit(1) })
	_, at, err := collect(t, client, Cursor{}, 2)
	if err != nil {
		t.Fatal(err)
	}
	f.with(func() { f.reorg(1, false); f.emit(1) })
	if _, _, err = collect(t, client, at, 1); !errors.Is(err, ErrReorg) {
		t.Errorf("got %v, want ErrReorg", err)
	}
}

func TestFollow_believesNoEventOfOthers(t *testing.T) {
	f := newFake(t)
	f.with(func() {
		f.emit(1)
		f.blocks[1].logs[0].Address = common.Address{0: 9}
	})
	client := dial(t, f.config())
	follower := client.Follower(Query{Contracts: []common.Address{{0: 1}}}, Cursor{})
	if _, err := follower.Step(t.Context(), func([]types.Log, Cursor) error { return nil }); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
}

func TestFollow_endsWithItsHandler(t *testing.T) {
	f := newFake(t)
	f.with(func() { f.emit(1) })
	enough := errors.New("enough")
	err := dial(t, f.config()).Follow(soon(t), Query{}, Cursor{}, func([]types.Log, Cursor) error { return enough })
	if !errors.Is(err, enough) {
		t.Errorf("got %v, want the handler's error", err)
	}
}
