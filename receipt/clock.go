package receipt

import (
	"errors"
	"fmt"
	"time"

	"github.com/drtc-network/drtc/epoch"
)

// Clock says which epoch it is (P1).
type Clock struct {
	// Genesis is when epoch 0 began, in whole seconds.
	Genesis time.Time
	// Length of an epoch, in whole seconds.
	Length time.Duration
}

// Validate names the field that is wrong.
func (c Clock) Validate() error {
	switch {
	case c.Genesis.Unix() < 0 || c.Genesis.Nanosecond() != 0:
		return errors.New("receipt: clock: Genesis: want whole seconds from 1970 on")
	case c.Length < time.Second || c.Length%time.Second != 0:
		return fmt.Errorf("receipt: clock: Length: want whole seconds, at least 1s, got %s", c.Length)
	}
	return nil
}

// At is the epoch at a time; epoch.None before genesis.
func (c Clock) At(now time.Time) uint64 {
	if now.Before(c.Genesis) {
		return epoch.None
	}
	return epoch.At(uint64(now.Unix()), uint64(c.Genesis.Unix()), uint64(c.Length/time.Second))
}

// End is when an epoch is over.
func (c Clock) End(e uint64) time.Time {
	seconds := uint64(c.Length / time.Second)
	if e >= (1<<55)/seconds {
		return time.Unix(1<<55, 0)
	}
	return time.Unix(c.Genesis.Unix()+int64((e+1)*seconds), 0)
}
