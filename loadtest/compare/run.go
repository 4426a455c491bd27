package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/drtc-network/drtc/loadtest"
	"github.com/drtc-network/drtc/loadtest/client"
)

// Report is what a comparison found.
type Report struct {
	Machine Machine `json:"machine"`
	Command string  `json:"command"`
	Began   string  `json:"began"` // RFC 3339, UTC
	Rounds  int     `json:"rounds"`
	Rows    []Row   `json:"rows"`
}

// Row is one server under one load.
type Row struct {
	Shape   string `json:"shape"`
	Target  Target `json:"target"`
	Version string `json:"version"`
	// Runs has one result for each round that worked, Errors the others.
	Runs   []*loadtest.Result `json:"runs"`
	Errors []string           `json:"errors,omitempty"`
}

// Run compares. It fails when ctx ends or when a server does not start; a run
// that failed is in the report.
func Run(ctx context.Context, cfg Config) (_ *Report, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "drtc-compare-")
	if err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	machine, err := readMachine()
	if err != nil {
		return nil, err
	}
	report := &Report{
		Machine: machine, Command: cfg.Command, Rounds: cfg.Rounds,
		Began: time.Now().UTC().Format(time.RFC3339),
	}
	for _, shape := range cfg.Shapes {
		for _, target := range cfg.Targets {
			version, err := version(ctx, cfg, target)
			if err != nil {
				return nil, err
			}
			report.Rows = append(report.Rows, Row{Shape: shape.String(), Target: target, Version: version})
		}
	}
	l := &launcher{cfg: cfg, dir: dir}
	for round := range cfg.Rounds {
		for i, shape := range cfg.Shapes {
			for turn := range cfg.Targets {
				n := (turn + round) % len(cfg.Targets)
				row := &report.Rows[i*len(cfg.Targets)+n]
				if err := l.measure(ctx, round, shape, row); err != nil {
					return nil, err
				}
			}
		}
	}
	return report, nil
}

// measure adds one run to a row.
func (l *launcher) measure(ctx context.Context, round int, shape Shape, row *Row) error {
	fmt.Fprintf(l.cfg.Out, "round %d of %d, %s, %s: ", round+1, l.cfg.Rounds, row.Shape, row.Target)
	s, err := l.start(ctx, row.Target)
	if err != nil {
		fmt.Fprintln(l.cfg.Out, "no server")
		return err
	}
	defer s.stop()
	result, err := l.run(ctx, s, shape)
	switch {
	case ctx.Err() != nil:
		fmt.Fprintln(l.cfg.Out, "interrupted")
		return ctx.Err()
	case err != nil:
		fmt.Fprintln(l.cfg.Out, "failed:", err)
		row.Errors = append(row.Errors, err.Error())
	default:
		fmt.Fprintf(l.cfg.Out, "%.2f us per packet (user %.2f), loss %.3f %%\n",
			result.Server.PerPacket.Total, result.Server.PerPacket.User, result.LossPercent)
		row.Runs = append(row.Runs, result)
	}
	return nil
}

// run has a process of its own put the load on s, so that none inherits the
// memory of another.
func (l *launcher) run(ctx context.Context, s *server, shape Shape) (*loadtest.Result, error) {
	// The kernel ends the process with the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, l.cfg.Program, l.arguments(s, shape)...)
	cmd.Env = append(os.Environ(), "DRTC_API_KEY="+s.key, "DRTC_API_SECRET="+s.secret)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = l.cfg.Patience
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("compare: the load: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	result := &loadtest.Result{}
	if err := json.Unmarshal(stdout.Bytes(), result); err != nil {
		return nil, fmt.Errorf("compare: reading the result: %w", err)
	}
	return result, nil
}

// arguments are those of "drtc loadtest run".
func (l *launcher) arguments(s *server, shape Shape) []string {
	c := l.cfg.Load
	args := []string{
		"loadtest", "run", "--json", "--protocol", string(s.protocol), "--url", s.url, "--room", "loadtest",
		"--publishers", strconv.Itoa(shape.Publishers), "--subscribers", strconv.Itoa(shape.Subscribers),
		"--ramp", fmt.Sprint(c.Ramp), "--warm", c.Warm.String(), "--duration", c.Duration.String(),
		fmt.Sprintf("--nack=%v", c.NACK), fmt.Sprintf("--rtx=%v", c.RTX), fmt.Sprintf("--twcc=%v", c.TWCC), fmt.Sprintf("--pli=%v", c.PLI),
	}
	for _, pid := range s.pids {
		args = append(args, "--pid", strconv.Itoa(pid))
	}
	for _, pid := range s.beside {
		args = append(args, "--beside", strconv.Itoa(pid))
	}
	return args
}

// loopback is the name of the loopback interface.
func loopback() string { return strings.Join(client.LoopbackInterfaces("localhost"), ",") }

// version is what a target says of itself.
func version(ctx context.Context, cfg Config, target Target) (string, error) {
	switch target {
	case Peer, PeerBatch:
		said, err := exec.CommandContext(ctx, cfg.PeerServer, "--version").Output()
		if err != nil {
			return "", fmt.Errorf("compare: asking %s for its version: %w", filepath.Base(cfg.PeerServer), err)
		}
		return strings.TrimSpace(string(said)), nil
	case Ours:
		return "drtc " + ownVersion(), nil
	case Floor:
		return "header, seal, send", nil
	default:
		return "pion/webrtc " + pionVersion(), nil
	}
}
