package transport

import "github.com/pion/logging"

// quiet keeps pion's own logs out: they are per packet, and a peer can cause
// them at will.
func quiet() logging.LoggerFactory { return silence{} }

// silence is every logger that it makes, so a peer holds none.
type silence struct{}

// NewLogger implements logging.LoggerFactory.
func (s silence) NewLogger(string) logging.LeveledLogger { return s }

// The rest implements logging.LeveledLogger.

func (silence) Trace(string)          {}
func (silence) Tracef(string, ...any) {}
func (silence) Debug(string)          {}
func (silence) Debugf(string, ...any) {}
func (silence) Info(string)           {}
func (silence) Infof(string, ...any)  {}
func (silence) Warn(string)           {}
func (silence) Warnf(string, ...any)  {}
func (silence) Error(string)          {}
func (silence) Errorf(string, ...any) {}
