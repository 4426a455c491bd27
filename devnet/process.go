package devnet

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// process is one running child.
type process struct {
	child   Child
	cmd     *exec.Cmd
	log     *childLog
	started time.Time
	ended   chan struct{} // closed when the child is gone
	state   string        // how it ended; valid once ended is closed
}

// startProcess runs child as a process group of its own, so that Ctrl-C in a
// terminal reaches devnet alone, and asks the kernel to kill it when devnet
// dies. The kernel means the thread that started the child: a goroutine keeps
// that thread until the child has ended.
func startProcess(program string, child Child, term *terminal) (*process, error) {
	p := &process{
		child: child,
		cmd:   exec.Command(program, child.Args...),
		log:   &childLog{name: child.Name, term: term},
		ended: make(chan struct{}),
	}
	p.cmd.Env = append(os.Environ(), child.Env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if child.Silent {
		p.cmd.Stdout = nil
	}
	p.cmd.WaitDelay = time.Second // a grandchild may hold the pipe
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		p.started = time.Now()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		// The error repeats the state, or says that a pipe was cut.
		_ = p.cmd.Wait()
		p.log.flush()
		p.state = p.cmd.ProcessState.String()
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("devnet: starting %s: %w", child.Name, err)
	}
	return p, nil
}

// signal sends s; a process that has ended takes no harm.
func (p *process) signal(s syscall.Signal) {
	select {
	case <-p.ended:
	default:
		_ = p.cmd.Process.Signal(s)
	}
}

// lastWords describes the end of the log for a report.
func (p *process) lastWords() string {
	lines := p.log.tail()
	if len(lines) == 0 {
		return "it wrote nothing"
	}
	return "its last lines:\n    " + strings.Join(lines, "\n    ")
}

func (p *process) age() string { return seconds(time.Since(p.started)) }

// seconds formats a duration for people, such as "0.2 s".
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
