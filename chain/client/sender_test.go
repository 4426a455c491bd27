package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestSend_hasEffectOnceAndKnowsItAgain(t *testing.T) {
	f := newFake(t)
	f.between = f.mine
	path := filepath.Join(t.TempDir(), "journal")
	s := openSender(t, dial(t, f.config()), path)
	first, err := s.Send(soon(t), intent("a"))
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.Send(soon(t), intent("a"))
	if err != nil || again.TxHash != first.TxHash {
		t.Errorf("the same intent again: got %v, %v, want %s", again, err, first.TxHash)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSender(t, dial(t, f.config()), path)
	if again, err = s.Send(soon(t), intent("a")); err != nil || again.TxHash != first.TxHash {
		t.Errorf("after a restart: got %v, %v, want %s", again, err, first.TxHash)
	}
	if got := f.executed(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("executed %q, want a once", got)
	}
	other := intent("a")
	other.Data = []byte("b")
	if err := s.Submit(t.Context(), other); err != nil { // done: the id says that it is
		t.Errorf("a finished id: %v", err)
	}
}

func TestSubmit_refusesAnotherPayloadUnderTheSameID(t *testing.T) {
	f := newFake(t)
	s := openSender(t, dial(t, f.config()), filepath.Join(t.TempDir(), "journal"))
	if err := s.Submit(soon(t), intent("a")); err != nil {
		t.Fatal(err)
	}
	other := intent("a")
	other.Data = []byte("b")
	if err := s.Submit(soon(t), other); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
}

func TestSend_raisesTheFeeOfWhatIsStuck(t *testing.T) {
	f := newFake(t)
	f.held, f.heldTip, f.between = 1, 15, f.mine
	s := openSender(t, dial(t, f.config()), filepath.Join(t.TempDir(), "journal"))
	for _, id := range []string{"a", "b", "c"} { // b is held until its tip is 15 wei
		if err := s.Submit(soon(t), intent(id)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Resume(soon(t)); err != nil {
		t.Fatal(err)
	}
	if got := f.executed(); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("executed %q, want a, b, c", got)
	}
	tip := int64(0)
	f.with(func() {
		for _, b := range f.blocks {
			for _, tx := range b.txs {
				if tx.Nonce() == 1 {
					tip = tx.GasTipCap().Int64()
				}
			}
		}
	})
	if tip < 15 || tip > 25 {
		t.Errorf("tip of b: got %d, want 10 raised by quarters to 15 or a bit more", tip)
	}
}

func TestSend_sendsAgainWhatThePoolForgot(t *testing.T) {
	f := newFake(t)
	s := openSender(t, dial(t, f.config()), filepath.Join(t.TempDir(), "journal"))
	if err := s.Submit(soon(t), intent("a")); err != nil {
		t.Fatal(err)
	}
	f.with(func() { clear(f.pool); f.between = f.mine })
	if _, err := s.Wait(soon(t), "a"); err != nil {
		t.Fatal(err)
	}
	if got := f.executed(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("executed %q, want a once", got)
	}
}

// What is settled is told when the endpoint is back, not refused because it is away.
func TestSend_waitsForTheReceiptOfWhatIsSettled(t *testing.T) {
	f := newFake(t)
	f.between = f.mine
	s := openSender(t, dial(t, f.config()), filepath.Join(t.TempDir(), "journal"))
	if _, err := s.Send(soon(t), intent("a")); err != nil {
		t.Fatal(err)
	}
	away := 3
	f.with(func() {
		f.fault = func(w http.ResponseWriter, _ *http.Request, method string) bool {
			if method != "eth_getTransactionReceipt" || away == 0 {
				return false
			}
			away--
			http.Error(w, "bad gateway", http.StatusBadGateway)
			return true
		}
	})
	if _, err := s.Send(soon(t), intent("a")); err != nil || away != 0 {
		t.Errorf("asked again: %v with %d failures left, want the receipt after all of them", err, away)
	}
}

// A reorganisation takes the block away, and the pool has forgotten.
func TestSend_survivesAReorganisation(t *testing.T) {
	f := newFake(t)
	c := f.config()
	c.Finality = Confirmations(4)
	s := openSender(t, dial(t, c), filepath.Join(t.TempDir(), "journal"))
	if err := s.Submit(soon(t), intent("a")); err != nil {
		t.Fatal(err)
	}
	requests, undone := 0, false
	f.with(func() {
		f.between = func() {
			if requests++; requests%5 == 0 {
				f.mine()
			}
			if used := f.nonce(len(f.blocks)); used == 1 && !undone && f.nonce(len(f.blocks)-2) == 1 {
				f.reorg(4, false)
				undone = true
			}
		}
	})
	receipt, err := s.Wait(soon(t), "a")
	if err != nil {
		t.Fatal(err)
	}
	if got := f.executed(); !undone || !slices.Equal(got, []string{"a"}) {
		t.Errorf("undone %t, executed %q, want a once after it was undone", undone, got)
	}
	f.with(func() {
		if on := len(f.blocks) - 1 - int(receipt.BlockNumber.Int64()); on < 4 {
			t.Errorf("settled with %d blocks on top, want 4", on)
		}
	})
}

func TestSend_saysWhenTheKeyIsUsedElsewhere(t *testing.T) {
	f := newFake(t)
	c := dial(t, f.config())
	s := openSender(t, c, filepath.Join(t.TempDir(), "journal"))
	if err := s.Submit(soon(t), intent("a")); err != nil {
		t.Fatal(err)
	}
	other := openSender(t, c, filepath.Join(t.TempDir(), "another"))
	f.with(func() { clear(f.pool) })
	if err := other.Submit(soon(t), intent("b")); err != nil {
		t.Fatal(err)
	}
	f.with(func() { f.between = f.mine })
	if _, err := s.Wait(soon(t), "a"); !errors.Is(err, ErrNonceTaken) {
		t.Errorf("got %v, want ErrNonceTaken", err)
	}
	if got := f.executed(); !slices.Equal(got, []string{"b"}) {
		t.Errorf("executed %q, want b alone", got)
	}
}

func TestSend_tellsThatTheAccountHasNoGas(t *testing.T) {
	f := newFake(t)
	f.fault = func(w http.ResponseWriter, _ *http.Request, method string) bool {
		if method == "eth_sendRawTransaction" {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"jsonrpc":"2.0","id":5,"error":{"code":-32000,"message":"insufficient funds for gas * price + value"}}`)
			return true
		}
		return false
	}
	s := openSender(t, dial(t, f.config()), filepath.Join(t.TempDir(), "journal"))
	_, err := s.Send(soon(t), intent("a"))
	if err == nil || !strings.Contains(err.Error(), "give "+s.Address().Hex()) {
		t.Fatalf("got %v, want advice to fund %s", err, s.Address())
	}
	f.with(func() { f.fault, f.between = nil, f.mine })
	if _, err := s.Send(soon(t), intent("a")); err != nil {
		t.Errorf("once it is funded: %v", err)
	}
}

func TestWait_givesUpInTimeAndTheIntentGoesOn(t *testing.T) {
	f := newFake(t)
	s := openSender(t, dial(t, f.config()), filepath.Join(t.TempDir(), "journal"))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := s.Send(ctx, intent("a")); !errors.Is(err, ErrNotSettled) {
		t.Fatalf("got %v, want ErrNotSettled", err)
	}
	f.with(func() { f.between = f.mine })
	if _, err := s.Send(soon(t), intent("a")); err != nil {
		t.Error(err)
	}
}

func TestSubmit_refusesANonceThatWouldWaitForEver(t *testing.T) {
	f := newFake(t)
	s := openSender(t, dial(t, f.config()), filepath.Join(t.TempDir(), "journal"))
	lie := &lyingNonce{}
	f.with(func() { f.fault = lie.answer })
	if err := s.Submit(soon(t), intent("a")); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if ids := s.Pending(); len(ids) != 0 {
		t.Errorf("pending: %q, want none", ids)
	}
}

// lyingNonce says 0 first and a million then.
type lyingNonce struct{ asked int }

func (l *lyingNonce) answer(w http.ResponseWriter, _ *http.Request, method string) bool {
	if method != "eth_getTransactionCount" {
		return false
	}
	l.asked++
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":1,"result":"%#x"}`, []int{0, 1_000_000}[min(l.asked-1, 1)])
	return true
}

// Whatever an endpoint does, and however often the process ends, each intent has
// effect exactly once, in the end.
func TestSend_onceOverFaultsAndRestarts(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			f := newFake(t)
			left, end := 0, func() {} // requests until the process ends
			f.between = func() {
				if left--; left == 0 {
					end()
				}
				switch random.IntN(30) {
				case 0, 1, 2, 3, 4:
					f.mine()
				case 5:
					clear(f.pool)
				case 6:
					if len(f.blocks) > 4 {
						f.reorg(1+random.IntN(2), random.IntN(2) == 0)
					}
				}
			}
			c := f.config()
			c.Timeout = 50 * time.Millisecond
			c.Finality = Confirmations(3)
			client := dial(t, c)
			f.with(func() { f.fault = mischief(random) })
			path := filepath.Join(t.TempDir(), "journal")
			const intents = 12
			for life := range 6 {
				s := openSender(t, client, path)
				ctx, cancel := context.WithCancel(t.Context())
				f.with(func() { left, end = 20+random.IntN(150), cancel })
				var all sync.WaitGroup
				for i := range intents {
					all.Go(func() { _, _ = s.Send(ctx, intent(fmt.Sprintf("intent %d", i))) })
				}
				all.Wait()
				cancel()
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				if life%2 == 0 {
					tear(t, path)
				}
			}
			f.with(func() { f.fault, f.between = nil, f.mine })
			s := openSender(t, client, path)
			for i := range intents {
				if _, err := s.Send(soon(t), intent(fmt.Sprintf("intent %d", i))); err != nil {
					t.Errorf("intent %d: %v", i, err)
				}
			}
			times := make(map[string]int)
			for _, payload := range f.executed() {
				times[payload]++
			}
			for i := range intents {
				if id := fmt.Sprintf("intent %d", i); times[id] != 1 {
					t.Errorf("%s was executed %d times", id, times[id])
				}
			}
		})
	}
}

// mischief is what endpoints do: nothing at all, nonsense, errors, and an error
// after they did what was asked.
func mischief(random *rand.Rand) func(http.ResponseWriter, *http.Request, string) bool {
	return func(w http.ResponseWriter, _ *http.Request, method string) bool {
		switch random.IntN(24) {
		case 0:
			http.Error(w, "bad gateway", http.StatusBadGateway)
		case 1:
			fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"result":{"number":"0x`)
		case 2:
			fmt.Fprint(w, "<html>maintenance</html>")
		case 3:
			if method != "eth_sendRawTransaction" {
				return false
			}
			hijacked, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				hijacked.Close()
			}
		case 4:
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"limit exceeded"}}`)
		default:
			return false
		}
		return true
	}
}

// tear leaves half a line at the end, as a crash does.
func tear(t *testing.T, path string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString(`{"intent":{"id":"half`); err != nil {
		t.Fatal(err)
	}
}

func TestNewSender_refusesAJournalOfOthers(t *testing.T) {
	f := newFake(t)
	c := dial(t, f.config())
	path := filepath.Join(t.TempDir(), "journal")
	s := openSender(t, c, path)
	if _, err := NewSender(c, testWallet(t), path); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("while it is in use: got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string]string{
		"another chain": strings.Replace(string(text), `"chain":4242`, `"chain":1`, 1),
		"damaged":       string(text) + "nonsense\n",
		"headless":      `{"attempt":{"id":"x"}}` + "\n",
	} {
		if err := os.WriteFile(path, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := NewSender(c, testWallet(t), path); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}
