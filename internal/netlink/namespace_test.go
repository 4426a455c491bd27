package netlink

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hold is the first argument that turns the test binary into a program that
// keeps a network until it is killed.
const hold = "hold-a-network"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == hold {
		if err := holdNetwork(); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// holdNetwork prints the process id and the namespace of a program in each of
// two hosts, and waits.
func holdNetwork() error {
	n, err := New(Config{Hosts: []HostConfig{{Name: "a"}, {Name: "b"}}})
	if err != nil {
		return err
	}
	for _, h := range n.Hosts() {
		c := h.Command(context.Background(), "cat")
		if _, err := c.StdinPipe(); err != nil { // never closed
			return err
		}
		if err := c.Start(); err != nil {
			return err
		}
		namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", c.Process.Pid))
		if err != nil {
			return err
		}
		fmt.Println(c.Process.Pid, namespace)
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// holders returns every thread, and every descriptor of a namespace or a TUN
// device, whose link is one of those wanted.
func holders(t *testing.T, processes string, wanted map[string]bool) (found []string) {
	t.Helper()
	for _, pattern := range []string{"/task/*/ns/net", "/fd/*"} {
		paths, err := filepath.Glob("/proc/" + processes + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if target, err := os.Readlink(path); err == nil && wanted[target] { // else it has just ended
				found = append(found, path+" "+target)
			}
		}
	}
	return found
}

// eventually waits until check returns "", and fails with what it returns last.
func eventually(t *testing.T, check func() string) {
	t.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	deadline := time.Now().Add(5 * time.Second)
	for {
		last := check()
		if last == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(last)
		}
		<-again.C
	}
}

func TestClose_leavesNothing(t *testing.T) {
	outside, err := os.Readlink(own)
	if err != nil {
		t.Fatal(err)
	}
	devices, err := os.ReadFile("/proc/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	count := func() int {
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(open)
	}
	files, goroutines := count(), runtime.NumGoroutine()
	made := map[string]bool{}
	for range 3 {
		n, err := New(Config{Hosts: []HostConfig{{Name: "a"}, {Name: "b"}, {Name: "c"}}})
		if err != nil {
			t.Fatal(err)
		}
		var programs []*Cmd
		for _, h := range n.Hosts() {
			var inside string
			done := h.Go(func() {
				inside, err = os.Readlink(own)
				runtime.Goexit() // as t.Fatal does
			})
			c := h.Command(context.Background(), "cat")
			if _, err := c.StdinPipe(); err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			if runErr := <-done; !errors.Is(runErr, ErrExit) || err != nil || inside == outside {
				t.Fatalf("in host %s: got namespace %q %v %v, want one of its own", h.Name(), inside, runErr, err)
			}
			made[inside] = true
			programs = append(programs, c)
		}
		if err := n.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		if err := n.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		for _, c := range programs {
			var exit *exec.ExitError
			if err := c.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
				t.Errorf("a program in a closed host: got %v, want it killed", err)
			}
		}
		a := n.Host("a")
		ctx := context.Background()
		_, dialErr := a.DialContext(ctx, "udp", "198.18.1.1:9")
		for what, err := range map[string]error{"Run": a.Run(func() {}), "Command": a.Command(ctx, "true").Run(), "DialContext": dialErr} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("%s after Close: got %v, want %v", what, err, ErrClosed)
			}
		}
	}
	eventually(t, func() string {
		if left := holders(t, "*", made); len(left) > 0 {
			return fmt.Sprintf("still held: %v", left)
		}
		if left := holders(t, "self", map[string]bool{tunControl: true}); len(left) > 0 { // other tests' networks have theirs
			return fmt.Sprintf("still held: %v", left)
		}
		if now, err := os.ReadFile("/proc/net/dev"); err != nil || strings.Count(string(now), "\n") != strings.Count(string(devices), "\n") {
			return fmt.Sprintf("devices outside: %v %s, before %s", err, now, devices)
		}
		return ""
	})
	if len(made) < 1+3 { // the kernel may use numbers of namespaces again
		t.Errorf("got namespaces %v, want three different ones each time", made)
	}
	eventually(t, func() string {
		if files < count() || goroutines < runtime.NumGoroutine() {
			return fmt.Sprintf("files: before %d, now %d; goroutines: before %d, now %d", files, count(), goroutines, runtime.NumGoroutine())
		}
		return ""
	})
}

func TestKill_leavesNothing(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	holder := exec.Command(self, hold)
	if _, err := holder.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{}
	var programs []string
	lines := bufio.NewScanner(out)
	for len(programs) < 2 && lines.Scan() {
		pid, namespace, _ := strings.Cut(lines.Text(), " ")
		if pid == "error" {
			t.Fatal(namespace)
		}
		programs = append(programs, pid)
		made[namespace] = true
	}
	if left := holders(t, "*", made); len(left) < 4 {
		t.Errorf("before the kill: got %v, want threads of the process and of its programs", left)
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if len(made) != 2 {
		t.Fatalf("got programs %v in namespaces %v, want two in two", programs, made)
	}
	_ = holder.Wait() // killed
	eventually(t, func() string {
		if left := holders(t, "*", made); len(left) > 0 {
			return fmt.Sprintf("still held after kill -9: %v", left)
		}
		return ""
	})
}

func TestCommand_runsInTheHost(t *testing.T) {
	_, a, b := pair(t, HostConfig{}, HostConfig{})
	ctx := context.Background()
	out, err := a.Command(ctx, "cat", "/proc/self/net/dev").Output()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, line := range strings.Split(string(out), "\n")[2:] {
		if name, _, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			names = append(names, name)
		}
	}
	// The kernel puts some tunnel devices of its own into every namespace.
	if !slices.Contains(names, device) || slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "eth") }) {
		t.Errorf("devices that a program sees: got %v, want %s and none of the machine", names, device)
	}
	table := func(h *Host) string {
		out, err := h.Command(ctx, "cat", "/proc/self/net/fib_trie").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if own, other := table(a), table(b); !strings.Contains(own, a.Addr4().String()) || strings.Contains(own, b.Addr4().String()) || !strings.Contains(other, b.Addr4().String()) {
		t.Errorf("a program in a does not have the address of a alone:\n%s", own)
	}
	_, err = a.Command(ctx, "cat", "/no/such/file").Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || len(exit.Stderr) == 0 {
		t.Errorf("a program that fails: got %v, want an ExitError with its complaint", err)
	}
	limited, cancel := context.WithCancel(ctx)
	waiting := a.Command(limited, "cat")
	if _, err := waiting.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := waiting.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("a program whose context ended: got %v, want it killed", err)
	}
}

func TestRun_nests(t *testing.T) {
	_, a, b := pair(t, HostConfig{}, HostConfig{})
	var seen [4]string
	look := func(i int) {
		link, err := os.Readlink(own)
		if err != nil {
			t.Fatal(err)
		}
		seen[i] = link
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	look(0)
	err := a.Run(func() {
		look(1)
		if err := b.Run(func() { look(2) }); err != nil {
			t.Error(err)
		}
		look(3)
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen[0] == seen[1] || seen[1] == seen[2] || seen[0] == seen[2] || seen[3] != seen[1] {
		t.Errorf("outside, in a, in b within a, in a again: got %v", seen)
	}
	last := seen[0]
	look(0)
	if seen[0] != last {
		t.Errorf("after Run: got %s, want %s as before", seen[0], last)
	}
}

// What New says where it may not do its work: on a thread that ends after it,
// without capabilities or without the device.
func TestNew_saysWhatIsMissing(t *testing.T) {
	tests := []struct {
		name string
		take func() error // from the calling thread
		do   func() error
		want []string
	}{
		{"no capabilities", dropCapabilities, func() error {
			_, err := newNamespace()
			return err
		}, []string{"CAP_SYS_ADMIN", "run as root", "unshare --user --map-root-user --net"}},
		{"no device", hideDevices, func() error {
			_, err := openTun()
			return err
		}, []string{"no TUN devices", "modprobe tun", "--device /dev/net/tun"}},
		{"device but no capabilities", dropCapabilities, func() error {
			_, err := openTun()
			return err
		}, []string{"CAP_NET_ADMIN", "--cap-add NET_ADMIN"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			taken, got := make(chan error), make(chan error, 1)
			onThread(func() {
				err := test.take()
				taken <- err
				if err == nil {
					got <- test.do()
				}
			})
			if err := <-taken; err != nil {
				t.Fatal(err)
			}
			err := <-got
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want an error with %q", err, want)
				}
			}
		})
	}
}

func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&header, &none[0])
}

func hideDevices() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return unix.Mount("none", "/dev/net", "tmpfs", 0, "")
}
