package devnet

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// testConfig is a network of pretended roles.
func testConfig(t *testing.T) (Config, *lines) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GORACE", "atexit_sleep_ms=0") // children are race binaries too
	out := newLines()
	cfg := DefaultConfig()
	cfg.Program = program
	cfg.Listen = "127.0.0.1:0"
	cfg.Dir = filepath.Join(t.TempDir(), "net")
	cfg.ReadyFile = filepath.Join(t.TempDir(), "ready.json")
	cfg.Out = out
	return cfg, out
}

// run starts the network and returns a function that ends it and gives Run's error.
func run(t *testing.T, cfg Config) (stop func() error) {
	t.Helper()
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- n.Run(ctx) }()
	return func() error {
		cancel()
		select {
		case err := <-result:
			return err
		case <-time.After(longTime):
			t.Fatal("Run did not return after its context ended")
			return nil
		}
	}
}

func readReady(t *testing.T, path string) Ready {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r Ready
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return r
}

func TestRun_chain(t *testing.T) {
	for name, with := range map[string]bool{"by default": true, "left out": false} {
		t.Run(name, func(t *testing.T) {
			cfg, out := testConfig(t)
			cfg.Chain = with
			stop := run(t, cfg)
			out.await(t, "Ctrl-C\n\n")
			r := readReady(t, cfg.ReadyFile)
			if with && (r.Chain == nil || r.Chain.ChainID != 5 || r.Chain.PID == 0 || r.Chain.KeyFile == r.Chain.DeployerKeyFile) {
				t.Errorf("chain: got %+v, want one with two key files", r.Chain)
			}
			if found, err := FindChain(cfg.Dir); with && (err != nil || found.URL != r.Chain.URL || found.Addresses != r.Chain.Addresses || found.KeyFile != r.Chain.KeyFile) {
				t.Errorf("found in the folder: %+v (%v), want what the ready file says, %+v", found, err, r.Chain)
			}
			if !with && r.Chain != nil {
				t.Errorf("chain: got %+v, want none", r.Chain)
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			all := out.all()
			if said := strings.Contains(all, "Chain        http://"); said != with {
				t.Errorf("the final block tells of a chain: %t, want %t", said, with)
			}
			bonds := "deploy       | bonds 4 registries, 1 orchestrators and 3 nodes at http://127.0.0.1:0, chain 5"
			by := "registry-2   | registry-2 goes by file true, by chain \"\" with addresses false"
			if with {
				by = "registry-2   | registry-2 goes by file false, by chain \"http://127.0.0.1:0\" with addresses true"
			}
			if strings.Contains(all, bonds) != with || !strings.Contains(all, by) || strings.Contains(all, "nobody reads this") {
				t.Errorf("want %q if there is a chain, and %q:\n%s", bonds, by, all)
			}
			if with && strings.Index(all, "chain says goodbye") < strings.Index(all, "registry-1 says goodbye") {
				t.Errorf("the chain did not stop last:\n%s", all)
			}
		})
	}
}

func TestRun_readyFileAndFinalBlock(t *testing.T) {
	cfg, out := testConfig(t)
	cfg.Registries = 2
	stop := run(t, cfg)
	out.await(t, "Ctrl-C\n\n")

	r := readReady(t, cfg.ReadyFile)
	if r.URL == "" || r.URL != r.Orchestrator.URL || r.Orchestrator.PID == 0 || r.PID != os.Getpid() {
		t.Errorf("url %q, orchestrator pid %d, own pid %d; want what the orchestrator said", r.URL, r.Orchestrator.PID, r.PID)
	}
	if len(r.Registries) != 2 || len(r.Nodes) != 3 {
		t.Fatalf("%d registries and %d nodes, want 2 and 3", len(r.Registries), len(r.Nodes))
	}
	var names []string
	for _, n := range r.Nodes {
		names = append(names, n.Name)
		if n.PID == 0 || n.UDP == "" || n.Metrics == "" || n.ID.IsZero() {
			t.Errorf("node %+v lacks something", n)
		}
	}
	if want := []string{"Frankfurt", "Virginia", "Singapore"}; !slices.Equal(names, want) {
		t.Errorf("places %q, want %q", names, want)
	}
	if !strings.HasPrefix(r.APIKey, "API") || len(r.APISecret) < 43 {
		t.Errorf("api key %q and a secret of %d characters, want API... and 256 bits", r.APIKey, len(r.APISecret))
	}
	if info, err := os.Stat(cfg.ReadyFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("ready file: %v, %v; want mode 0600, it holds the secret", info.Mode(), err)
	}
	for _, want := range []string{
		"starting 2 registries, 3 media nodes and 1 orchestrator",
		"registry-1   | ready in ",
		"Frankfurt (EU)",
		"orchestrator | orchestrator listens at 127.0.0.1:0, registries 2, dev tokens true, secret true",
		"medianode-3  | medianode-3 listens at 127.0.0.1:0, registries 2, dev tokens false, secret false",
		"medianode-1  | medianode-1 obeys by network, 2 sign",
		"registry-1   | registry-1 was told of []",
		`registry-2   | registry-2 was told of ["http://127.0.0.1:0"]`,
		"commands 3 media nodes",
		r.URL + "   open it in two tabs",
		"ws" + strings.TrimPrefix(r.URL, "http") + " ",
		r.APISecret,
	} {
		if !strings.Contains(out.all(), want) {
			t.Errorf("%q was not written; this was:\n%s", want, out.all())
		}
	}

	if err := stop(); err != nil {
		t.Errorf("Run: %v, want nil after its context ended", err)
	}
	all := out.all()
	last, first := strings.Index(all, "orchestrator says goodbye"), strings.Index(all, "registry-1 says goodbye")
	if last < 0 || first < last {
		t.Errorf("the orchestrator should stop before the registries; this was written:\n%s", all)
	}
	if _, err := os.Stat(cfg.ReadyFile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ready file after the end: %v, want that it is gone", err)
	}
}

func TestRun_sameDirKeepsTheKey(t *testing.T) {
	cfg, out := testConfig(t)
	cfg.Nodes = 1
	var keys []string
	for range 2 {
		stop := run(t, cfg)
		out.await(t, "Ctrl-C\n\n")
		keys = append(keys, readReady(t, cfg.ReadyFile).APISecret)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		out.all()
		out.seen.Reset()
	}
	if keys[0] != keys[1] {
		t.Errorf("secrets %q of one folder differ", keys)
	}
}

// A folder that is kept keeps its bonds: nodes may come and go, who reports stays.
func TestRun_sameDirKeepsTheBonds(t *testing.T) {
	cfg, out := testConfig(t)
	for _, step := range []struct {
		nodes int
		bonds string
	}{{2, "and 2 nodes"}, {3, "and 3 nodes"}, {1, "and 3 nodes"}} {
		cfg.Nodes = step.nodes
		stop := run(t, cfg)
		out.await(t, "Ctrl-C\n\n")
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if all := out.all(); !strings.Contains(all, step.bonds) {
			t.Errorf("with %d nodes: no %q in\n%s", step.nodes, step.bonds, all)
		}
		out.seen.Reset()
	}
	cfg.Registries = 3
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "give --registries 4, another --dir, or --chain=false") {
		t.Errorf("with another number of Registries: got %v, want an error that says what to do", err)
	}
}

func TestRun_deploymentThatFailsEndsTheStart(t *testing.T) {
	cfg, _ := testConfig(t)
	t.Setenv("DEVNET_TEST_BEHAVIOUR", "deploy dies")
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "deploy failed: exit status 3") || !strings.Contains(err.Error(), "no gas today") {
		t.Errorf("got %v, want the status and the last words", err)
	}
}

func TestRun_temporaryFolderIsRemoved(t *testing.T) {
	cfg, out := testConfig(t)
	t.Setenv("TMPDIR", t.TempDir())
	cfg.Dir = ""
	stop := run(t, cfg)
	out.await(t, "Ctrl-C\n\n")
	if left, _ := os.ReadDir(os.TempDir()); len(left) != 1 {
		t.Errorf("%d entries in the folder for temporary files while running, want 1", len(left))
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) != 0 {
		t.Errorf("%q left behind, want nothing", left)
	}
}

func TestRun_childThatDiesEarlyEndsTheStart(t *testing.T) {
	cfg, out := testConfig(t)
	t.Setenv("DEVNET_TEST_BEHAVIOUR", "medianode-2 dies")
	err := runToEnd(t, cfg)
	for _, want := range []string{"medianode-2 ended before it was ready", "exit status 3", "no such shoe"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want it to say %q", err, want)
		}
	}
	if strings.Contains(out.all(), "orchestrator |") {
		t.Error("the orchestrator was started although a node had failed")
	}
}

func TestRun_childThatIsNeverReady(t *testing.T) {
	cfg, _ := testConfig(t)
	cfg.Patience = 3 * time.Second
	t.Setenv("DEVNET_TEST_BEHAVIOUR", "registry-1 silent")
	err := runToEnd(t, cfg)
	for _, want := range []string{"registry-1 was not ready within 3.0 s", "listens at 127.0.0.1:0"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want it to say %q", err, want)
		}
	}
}

func TestRun_orchestratorWithoutNodesIsNotReady(t *testing.T) {
	cfg, _ := testConfig(t)
	cfg.Patience = 3 * time.Second
	t.Setenv("DEVNET_TEST_BEHAVIOUR", "orchestrator alone")
	err := runToEnd(t, cfg)
	for _, want := range []string{"orchestrator was not ready within 3.0 s", "commands 0 of 3 media nodes"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want it to say %q", err, want)
		}
	}
}

// runToEnd returns what Run gives by itself.
func runToEnd(t *testing.T, cfg Config) error {
	t.Helper()
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), longTime)
	defer cancel()
	err = n.Run(ctx)
	if ctx.Err() != nil {
		t.Fatal("Run went on, want that it fails")
	}
	return err
}

func TestRun_childKilledLaterIsReported(t *testing.T) {
	cfg, out := testConfig(t)
	stop := run(t, cfg)
	out.await(t, "Ctrl-C\n\n")
	if err := syscall.Kill(readReady(t, cfg.ReadyFile).Nodes[1].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	out.await(t, "medianode-2 (pid ")
	out.await(t, "signal: killed; the rest goes on; its last lines:")
	if err := stop(); err != nil {
		t.Errorf("Run: %v, want nil", err)
	}
	if !strings.Contains(out.all(), "medianode-3 says goodbye") {
		t.Error("the other nodes did not live on until the end")
	}
}

func TestRun_childThatIgnoresTheSignalIsKilled(t *testing.T) {
	cfg, out := testConfig(t)
	cfg.Grace = 200 * time.Millisecond
	t.Setenv("DEVNET_TEST_BEHAVIOUR", "medianode-1 stubborn")
	stop := run(t, cfg)
	out.await(t, "Ctrl-C\n\n")
	if err := stop(); err != nil {
		t.Errorf("Run: %v, want nil", err)
	}
	out.await(t, "medianode-1 did not stop within 0.2 s and is killed")
}

func TestRun_addressInUse(t *testing.T) {
	cfg, _ := testConfig(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg.Listen = l.Addr().String()
	if err := runToEnd(t, cfg); err == nil || !strings.Contains(err.Error(), "choose another address with --listen") {
		t.Errorf("error %v, want one that says what to do", err)
	}
}

// A devnet in a process of its own, ended in three ways. Every child holds a
// connection to the test; when all have ended, no child is left.
func TestProcess_leavesNothingBehind(t *testing.T) {
	for _, end := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGKILL} {
		t.Run(end.String(), func(t *testing.T) {
			cfg, out := testConfig(t)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			cmd := exec.Command(cfg.Program, "devnet", "--dir", cfg.Dir)
			cmd.Env = append(os.Environ(), "DEVNET_TEST_DIAL="+l.Addr().String())
			cmd.Stdout, cmd.Stderr = out, out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var children []net.Conn
			for range 8 {
				c, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				children = append(children, c)
			}
			out.await(t, "Ctrl-C\n\n")

			if err := cmd.Process.Signal(end); err != nil {
				t.Fatal(err)
			}
			for _, c := range children {
				if err := c.SetReadDeadline(time.Now().Add(longTime)); err != nil {
					t.Fatal(err)
				}
				r := bufio.NewReader(c)
				name, err := r.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				if _, err := r.ReadByte(); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s is still there", strings.TrimSpace(name))
				}
			}
			if err := cmd.Wait(); (err == nil) != (end != syscall.SIGKILL) {
				t.Errorf("devnet ended with %v", err)
			}
		})
	}
}

func TestRun_orchestratorConfigurationIsAdded(t *testing.T) {
	cfg, out := testConfig(t)
	cfg.Nodes = 1
	cfg.OrchestratorConfig = filepath.Join(t.TempDir(), "more.toml")
	more := "[[applications]]\nname = \"*\"\npolicy = \"audio\"\n"
	if err := os.WriteFile(cfg.OrchestratorConfig, []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	stop := run(t, cfg)
	out.await(t, "Ctrl-C\n\n")
	h, err := (&layout{dir: cfg.Dir}).child(orchestratorName)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(h.config())
	if err != nil || !strings.HasSuffix(string(text), more) || !strings.Contains(string(text), "network = ") {
		t.Errorf("the Orchestrator's file is %q (%v), want its own and then ours", text, err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}

	cfg.OrchestratorConfig += ".missing"
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "orchestrator configuration") {
		t.Errorf("a missing file: got %v, want that it is named", err)
	}
}
