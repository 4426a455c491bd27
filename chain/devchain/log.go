package devchain

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/log"
)

// TakeLog has warnings and errors of go-ethereum go to l, for the whole process:
// its logger is one variable. Without it they are lost, also the last words of a
// chain that ends the process because its disk is broken.
func TakeLog(l *slog.Logger) {
	old := slog.Default()
	log.SetDefault(log.NewLogger(warnings{l.With("from", "go-ethereum").Handler()}))
	slog.SetDefault(old) // which SetDefault replaces too
}

// usual are beginnings of warnings of what is meant to be: calls that contracts
// refuse, a chain without peers, one that begins, one that was killed.
var usual = []string{"Served ", "P2P server will be useless", "Head block is not reachable", "Unclean shutdown detected"}

// warnings passes on what is at least a warning and not usual.
type warnings struct{ slog.Handler }

func (w warnings) Handle(ctx context.Context, r slog.Record) error {
	isUsual := func(beginning string) bool { return strings.HasPrefix(r.Message, beginning) }
	if r.Level < slog.LevelError && slices.ContainsFunc(usual, isUsual) {
		return nil
	}
	return w.Handler.Handle(ctx, r)
}

func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}

func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }
