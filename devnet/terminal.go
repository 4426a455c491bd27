package devnet

import (
	"bytes"
	"fmt"
	"io"
	"sync"
)

const (
	nameWidth = 12    // "orchestrator"
	tailLines = 15    // of a child, shown when it ends
	maxLine   = 16384 // bytes; longer log lines are cut in two
)

// terminal is the one writer that all children share. Whole lines go out, so
// children never break each other's.
type terminal struct {
	color bool

	mu    sync.Mutex // guards what follows
	out   io.Writer
	shown map[string]int // name -> index of its colour
}

func newTerminal(out io.Writer, color bool) *terminal {
	return &terminal{color: color, out: out, shown: map[string]int{}}
}

// colors are cyan, green, yellow, blue, magenta and their bright forms.
var colors = [...]int{36, 32, 33, 34, 35, 96, 92, 93, 94, 95}

// say writes one line with the name in front. A write that fails is lost: the
// terminal is gone and the network goes on.
func (t *terminal) say(name, line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	prefix := fmt.Sprintf("%-*s", nameWidth, name)
	if t.color {
		index, ok := t.shown[name]
		if !ok {
			index = len(t.shown)
			t.shown[name] = index
		}
		prefix = fmt.Sprintf("\x1b[%dm%s\x1b[0m", colors[index%len(colors)], prefix)
	}
	fmt.Fprintf(t.out, "%s | %s\n", prefix, line)
}

// block writes text as it is, between log lines.
func (t *terminal) block(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprint(t.out, text)
}

// childLog takes what one child writes, passes it on line by line and keeps
// the last lines for a report. Memory is bounded by maxLine and tailLines.
type childLog struct {
	name string
	term *terminal

	mu      sync.Mutex // guards what follows; taken before term.mu
	partial []byte
	last    []string
}

// Write implements io.Writer and never fails, so a child never blocks or dies
// because of its log.
func (l *childLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.partial = append(l.partial, b...)
	for {
		end := bytes.IndexByte(l.partial, '\n')
		if end < 0 && len(l.partial) < maxLine {
			return len(b), nil
		}
		next := end + 1
		if end < 0 || end > maxLine {
			end, next = maxLine, maxLine
		}
		l.line(string(bytes.TrimRight(l.partial[:end], "\r")))
		l.partial = append(l.partial[:0], l.partial[next:]...)
	}
}

func (l *childLog) line(text string) {
	if len(l.last) == tailLines {
		l.last = append(l.last[:0], l.last[1:]...)
	}
	l.last = append(l.last, text)
	l.term.say(l.name, text)
}

// flush passes on a last line without an end.
func (l *childLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.partial) > 0 {
		l.line(string(l.partial))
		l.partial = nil
	}
}

// tail returns the last lines, oldest first.
func (l *childLog) tail() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.last...)
}
