package nodes_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/orchestrator/nodes"
	"github.com/drtc-network/drtc/orchestrator/room"
)

// With these flags the test's program is an Orchestrator's pool in a process of
// its own, which says on its output what it hears of one node until it is killed.
var (
	followURL   = flag.String("follow.url", "", "of the node")
	followID    = flag.String("follow.id", "", "of the node")
	followPrint = flag.String("follow.print", "", "fingerprint of the node's certificate")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *followURL == "" {
		os.Exit(m.Run())
	}
	fmt.Fprintln(os.Stderr, follow())
	os.Exit(1)
}

func follow() error {
	k, err := identity.Generate(rand.Reader)
	if err != nil {
		return err
	}
	id, err := drtc.ParseNodeID(*followID)
	if err != nil {
		return err
	}
	target := nodes.Target{ID: id, URL: *followURL}
	if _, err := hex.Decode(target.Fingerprint[:], []byte(*followPrint)); err != nil {
		return err
	}
	pool, err := nodes.New(nodes.Config{
		Key: k, Now: time.Now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler), Silence: 500 * time.Millisecond,
		Emit: func(e nodes.Event) {
			if _, lost := e.Command.(room.NodeLost); lost {
				fmt.Println("lost")
			} else if e.Up {
				fmt.Println("up")
			}
		},
	})
	if err != nil {
		return err
	}
	pool.Keep([]nodes.Target{target})
	return pool.Run(context.Background())
}

// The process that stood still is the Orchestrator's: no node is to blame. One
// that is silent afterwards is found as ever.
func TestLink_blamesNoNodeForItsOwnFreeze(t *testing.T) {
	n := newNode(t)
	beats := make(chan struct{})
	n.mu.Lock()
	n.beat = func() {
		select {
		case beats <- struct{}{}:
		default:
		}
	}
	n.mu.Unlock()
	wait := func(count int) {
		for range count {
			select {
			case <-beats:
			case <-time.After(10 * time.Second):
				t.Fatal("the node sends no heartbeats")
			}
		}
	}
	target := n.target()
	orchestrator := exec.Command(os.Args[0], "-follow.url="+target.URL, "-follow.id="+target.ID.String(), "-follow.print="+hex.EncodeToString(target.Fingerprint[:]))
	orchestrator.Stderr = os.Stderr
	out, err := orchestrator.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := orchestrator.Start(); err != nil {
		t.Fatal(err)
	}
	defer orchestrator.Wait()         //nolint:errcheck // it is killed
	defer orchestrator.Process.Kill() //nolint:errcheck // it has ended if it fails
	said := make(chan string, 100)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			said <- lines.Text()
		}
	}()
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-said:
			if got != want {
				t.Fatalf("it says %q, want %q", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("it says nothing, want %q", want)
		}
	}
	expect("up")
	for range 3 {
		if err := orchestrator.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		wait(60) // of 20 ms each: more than twice the silence that it takes for a death
		if err := orchestrator.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		wait(20)
	}
	select {
	case got := <-said:
		t.Errorf("it says %q after its own freezes, want nothing", got)
	default:
	}
	n.mu.Lock()
	n.silent = true
	n.mu.Unlock()
	expect("lost")
}
