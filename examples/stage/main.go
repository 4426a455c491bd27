package stage

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/drtc-network/drtc/devnet"
)

// Example is one of the examples.
type Example struct {
	Name  string
	Title string
	About string   // one sentence for the page
	Roles []string // that guests choose from; the first is usual
	// Policy is the Orchestrator's configuration: what follows its own lines. %s in
	// it, if any, is what Prepare returns.
	Policy string
	// Prepare, if set, starts what the policy needs, until ctx ends.
	Prepare func(ctx context.Context, out io.Writer) (string, error)
	// Serve, if set, adds the example's own paths.
	Serve func(ctx context.Context, mux *http.ServeMux, s *Site) error
}

// options are what the command line says.
type options struct {
	network Network
	drtc    string
	listen  string
}

// Main runs an example with the arguments after its name until it is interrupted, and returns the exit status.
func Main(e Example, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	f := flag.NewFlagSet(e.Name, flag.ContinueOnError)
	f.StringVar(&o.network.URL, "url", "", "an Orchestrator that runs already, http://host:port; it must have the example's policy")
	f.StringVar(&o.network.APIKey, "api-key", "", "its API key")
	f.StringVar(&o.network.APISecret, "api-secret", os.Getenv("DRTC_API_SECRET"), "its API secret")
	f.StringVar(&o.drtc, "drtc", filepath.Join("bin", "drtc"), "the drtc program, for a network of our own")
	f.StringVar(&o.listen, "listen", "127.0.0.1:8080", "where the example's page is")
	if err := f.Parse(args); err != nil {
		return 2
	}
	if err := Run(ctx, e, o.network, o.drtc, o.listen, os.Stdout, nil); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", e.Name, err)
		return 1
	}
	return 0
}

// Run runs an example until ctx ends. With an empty network it starts one of its
// own by the program drtc. ready, if not nil, is called with the page's site when
// all is up.
func Run(ctx context.Context, e Example, n Network, drtc, listen string, out io.Writer, ready func(*Site)) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	policy := e.Policy
	if e.Prepare != nil {
		more, err := e.Prepare(ctx, out)
		if err != nil {
			return err
		}
		policy = fmt.Sprintf(policy, more)
	}
	if n.URL == "" {
		own, wait, startErr := start(ctx, e.Name, drtc, policy, out)
		if startErr != nil {
			return startErr
		}
		defer func() { // the page first, then the network
			cancel()
			err = errors.Join(err, wait())
		}()
		n = own
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	s := &Site{Network: n, Example: e, URL: "http://" + l.Addr().String()}
	mux := http.NewServeMux()
	s.register(mux)
	if e.Serve != nil {
		if err := e.Serve(ctx, mux, s); err != nil {
			return errors.Join(err, l.Close())
		}
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	fmt.Fprintf(out, "\n  %s: open %s\n\n", e.Title, s.URL)
	if ready != nil {
		ready(s)
	}
	select {
	case <-ctx.Done():
		_ = server.Close()
		return notClosed(<-ended)
	case err := <-ended:
		return err
	}
}

// notClosed is nil for a server that was closed.
func notClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// start runs a network with a policy. wait returns when it has ended, after ctx.
func start(ctx context.Context, name, drtc, policy string, out io.Writer) (n Network, wait func() error, err error) {
	program, err := exec.LookPath(drtc)
	if err != nil {
		return n, nil, fmt.Errorf("no drtc program at %s: run make build first, or name one with --drtc: %w", drtc, err)
	}
	if program, err = filepath.Abs(program); err != nil {
		return n, nil, err
	}
	folder, err := os.MkdirTemp("", "drtc-"+name+"-")
	if err != nil {
		return n, nil, err
	}
	c := devnet.DefaultConfig()
	c.Program, c.Out, c.Listen, c.LogLevel = program, out, "127.0.0.1:0", "warn"
	c.Dir, c.ReadyFile, c.OrchestratorConfig = filepath.Join(folder, "net"), filepath.Join(folder, "ready.json"), filepath.Join(folder, "policy.toml")
	if err := os.WriteFile(c.OrchestratorConfig, []byte(policy), 0o600); err != nil {
		return n, nil, err
	}
	network, err := devnet.New(c)
	if err != nil {
		return n, nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- network.Run(ctx) }()
	remove := func() { _ = os.RemoveAll(folder) }
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			remove()
			return n, nil, fmt.Errorf("the network did not start: %w", err)
		case <-tick.C:
		}
		text, err := os.ReadFile(c.ReadyFile)
		if err == nil && json.Unmarshal(text, &n) == nil && n.URL != "" {
			return n, func() error { err := <-ended; remove(); return err }, nil
		}
	}
}
