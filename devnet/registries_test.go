package devnet_test

import (
	"errors"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/drtc-network/drtc/devnet"
)

// answers says whether a Registry shows a node.
func answers(registry string, n devnet.Node) (bool, error) {
	a, err := http.Get(registry + "/nodeById?nodeId=" + n.ID.String())
	if err != nil {
		return false, err
	}
	defer a.Body.Close()
	switch a.StatusCode {
	case http.StatusOK:
		return true, nil
	case http.StatusNotFound:
		return false, nil
	}
	return false, fmt.Errorf("%s: status %s", registry, a.Status)
}

// everywhere asks all Registries that are left.
func (s *system) everywhere(n devnet.Node, want bool) error {
	for _, registry := range s.ready.Registries {
		if shown, err := answers(registry, n); err != nil || shown != want {
			return errors.Join(err, fmt.Errorf("at %s node %s is shown: %v, want %v", registry, n.Name, shown, want))
		}
	}
	return nil
}

// A node that is killed is out of the answers of every Registry within 5 s, one
// that leaves within 2 s, and a Registry that is killed takes nothing with it.
func TestNetwork_registriesAgreeOnWhoIsThere(t *testing.T) {
	s := startSystem(t, func(c *devnet.Config) { c.Nodes, c.Registries = 7, 4 })
	for _, n := range s.ready.Nodes {
		s.eventually("all Registries show "+n.Name, func() error { return s.everywhere(n, true) })
	}
	gone := func(n devnet.Node, signal syscall.Signal, within time.Duration) {
		t.Helper()
		begun := time.Now()
		if err := syscall.Kill(n.PID, signal); err != nil {
			t.Fatal(err)
		}
		s.eventually(n.Name+" is gone everywhere", func() error { return s.everywhere(n, false) })
		took := time.Since(begun)
		t.Logf("%s (%s): gone everywhere after %s", n.Name, signal, took.Round(time.Millisecond))
		if took > within {
			t.Errorf("%s: gone after %s, want within %s", n.Name, took, within)
		}
	}
	for _, n := range s.ready.Nodes[:5] {
		gone(n, syscall.SIGKILL, 5*time.Second)
	}
	gone(s.ready.Nodes[5], syscall.SIGTERM, 2*time.Second)

	if err := syscall.Kill(s.pids["registry"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.ready.Registries = s.ready.Registries[1:]
	last := s.ready.Nodes[6]
	if err := s.everywhere(last, true); err != nil {
		t.Errorf("after a Registry's death: %v", err)
	}
	gone(last, syscall.SIGKILL, 5*time.Second)
}
