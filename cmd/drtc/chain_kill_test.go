package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/drtc-network/drtc/chain/client"
	"github.com/drtc-network/drtc/devnet"
	"github.com/drtc-network/drtc/identity"
)

// chainProcess is the real program, to be killed.
type chainProcess struct {
	t     *testing.T
	dir   string
	cmd   *exec.Cmd
	ready devnet.Chain
}

// startChain runs drtc chain in dir at the given address and waits for its ready file.
func startChain(t *testing.T, dir, listen string, funded []common.Address) *chainProcess {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "dir = %q\nlisten = %q\n", filepath.Join(dir, "state"), listen)
	for _, a := range funded {
		fmt.Fprintf(&text, "[[funded]]\naddress = %q\nether = 1000\n", a)
	}
	config, ready := filepath.Join(dir, "config.toml"), filepath.Join(dir, "ready.json")
	if err := os.WriteFile(config, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(ready); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	p := &chainProcess{t: t, dir: dir, cmd: exec.Command("drtc", "chain", "run", "--config", config, "--ready-file", ready)}
	p.cmd.Stderr = os.Stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	limit := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if text, err := os.ReadFile(ready); err == nil {
			if err := json.Unmarshal(text, &p.ready); err != nil {
				t.Fatal(err)
			}
			return p
		}
		select {
		case <-limit:
			t.Fatal("the chain is not ready after 30 s")
		case <-tick.C:
		}
	}
}

func (p *chainProcess) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Signal(syscall.SIGKILL)
		_ = p.cmd.Wait()
	}
}

func (p *chainProcess) dial() *client.Client {
	p.t.Helper()
	c := client.DefaultConfig()
	c.URL, c.ChainID = p.ready.URL, p.ready.ChainID
	c.PollEvery, c.Timeout = 50*time.Millisecond, 5*time.Second
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	dialled, err := client.Dial(ctx, c, client.NewReasons(nil, nil), slog.New(slog.DiscardHandler))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(dialled.Close)
	return dialled
}

func randomWallet(t *testing.T, seed byte) *client.Wallet {
	t.Helper()
	key, err := identity.Generate(rand.NewChaCha8([32]byte{seed}))
	if err != nil {
		t.Fatal(err)
	}
	w, err := client.NewWallet(key)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// 1,000 transfers by ten accounts while the chain is killed ten times: each has
// effect once, and what was confirmed before a kill is there after it, in the same
// block.
func TestChain_losesNoConfirmedTransferWhenKilled(t *testing.T) {
	const accounts, each, kills = 10, 100, 10
	dir := t.TempDir()
	var wallets []*client.Wallet
	var funded []common.Address
	for i := range accounts {
		wallets = append(wallets, randomWallet(t, byte(i+1)))
		funded = append(funded, wallets[i].Address())
	}
	p := startChain(t, dir, "127.0.0.1:0", funded)
	address := strings.TrimPrefix(p.ready.URL, "http://")
	c := p.dial()

	var mu sync.Mutex
	var confirmed []*types.Receipt
	target := common.Address{0: 0xab}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	work := make(chan error, accounts*each)
	for i, w := range wallets {
		sender, err := client.NewSender(c, w, filepath.Join(dir, fmt.Sprintf("journal-%d", i)))
		if err != nil {
			t.Fatal(err)
		}
		defer sender.Close()
		lane := make(chan struct{}, 4) // at a time, so that work lasts over all kills
		for n := range each {
			go func() {
				lane <- struct{}{}
				defer func() { <-lane }()
				intent := client.Intent{ID: fmt.Sprintf("transfer %d", n), To: &target, Value: big.NewInt(1), Gas: 21000}
				receipt, err := sender.Send(ctx, intent)
				for errors.Is(err, client.ErrUnavailable) { // before it had a nonce
					receipt, err = sender.Send(ctx, intent)
				}
				if err == nil {
					mu.Lock()
					confirmed = append(confirmed, receipt)
					mu.Unlock()
				}
				work <- err
			}()
		}
	}

	random := rand.New(rand.NewPCG(3, 4))
	done, killed, head := 0, 0, uint64(0)
	for done < accounts*each {
		if err := <-work; err != nil {
			t.Fatal(err)
		}
		done++
		if killed == kills || done < (killed+1)*accounts*each/(kills+1) {
			continue
		}
		// At once after a receipt, or at any moment of the second between two blocks.
		if killed%2 == 1 {
			<-time.After(time.Duration(random.IntN(1000)) * time.Millisecond)
		}
		p.kill()
		mu.Lock()
		before := append([]*types.Receipt(nil), confirmed...)
		mu.Unlock()
		killed++
		p = startChain(t, dir, address, funded)
		now, err := c.Head(ctx)
		if err != nil {
			t.Fatalf("kill %d: %v", killed, err)
		}
		if now.Number < head {
			t.Errorf("kill %d: the chain went back from block %d to %d", killed, head, now.Number)
		}
		for _, r := range before {
			head = max(head, r.BlockNumber.Uint64())
			again, err := c.Receipt(ctx, r.TxHash)
			if err != nil || again.BlockHash != r.BlockHash {
				t.Fatalf("kill %d: transfer %s of block %s is not there any more: %v, %v", killed, r.TxHash, r.BlockNumber, again, err)
			}
		}
		if len(before) == accounts*each {
			t.Errorf("kill %d: nothing was under way", killed)
		}
		t.Logf("kill %d with %d confirmed in %d blocks: all there", killed, len(before), now.Number)
	}
	balance, err := c.Balance(ctx, target)
	if err != nil || balance.Int64() != accounts*each {
		t.Errorf("received: got %s wei, %v, want %d: each transfer once", balance, err, accounts*each)
	}
	for _, w := range wallets {
		if nonce, err := c.Nonce(ctx, w.Address()); err != nil || nonce != each {
			t.Errorf("transactions of %s: got %d, %v, want %d", w, nonce, err, each)
		}
	}
	if killed != kills {
		t.Errorf("killed %d times, want %d", killed, kills)
	}
}

// A folder as it was at some instant, as a snapshot of a disk has it, opens with
// every block that anybody had heard of by then.
func TestChain_opensFromASnapshotOfItsFolder(t *testing.T) {
	dir := t.TempDir()
	w := randomWallet(t, 1)
	p := startChain(t, dir, "127.0.0.1:0", []common.Address{w.Address()})
	c := p.dial()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	sender, err := client.NewSender(c, w, filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	target := common.Address{0: 0xab}
	random := rand.New(rand.NewPCG(5, 6))
	for round := range 3 {
		var heard *types.Receipt
		for n := range 2 {
			heard, err = sender.Send(ctx, client.Intent{ID: fmt.Sprint(round, n), To: &target, Value: big.NewInt(1), Gas: 21000})
			if err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(time.Duration(random.IntN(1000)) * time.Millisecond)
		if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		copied := t.TempDir()
		err := os.CopyFS(filepath.Join(copied, "state"), os.DirFS(filepath.Join(dir, "state")))
		if sigErr := p.cmd.Process.Signal(syscall.SIGCONT); err != nil || sigErr != nil {
			t.Fatal(err, sigErr)
		}
		other := startChain(t, copied, "127.0.0.1:0", []common.Address{w.Address()})
		again, err := other.dial().Receipt(ctx, heard.TxHash)
		if err != nil || again.BlockHash != heard.BlockHash {
			t.Errorf("round %d: the copy does not have block %s: %v, %v", round, heard.BlockNumber, again, err)
		}
		other.kill()
	}
}
