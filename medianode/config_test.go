package medianode

import (
	"testing"
	"time"
)

// Settings of the file reach the engine, where 0 would be a default.
func TestConfig_engineHoldsAndPadsAsSet(t *testing.T) {
	c := DefaultConfig()
	if e := c.engine(); e.FrameHold != time.Millisecond || e.NoPadding {
		t.Errorf("by default: hold %v, no padding %t; want 1ms and padding", e.FrameHold, e.NoPadding)
	}
	c.FrameHold, c.PadFrames = 0, false
	if e := c.engine(); e.FrameHold >= 0 || !e.NoPadding {
		t.Errorf("with 0s and false: hold %v, no padding %t; want a negative hold and no padding", e.FrameHold, e.NoPadding)
	}
	if one, other := c.engine(), c.engine(); one.STUN.Key == other.STUN.Key {
		t.Error("two engines have one secret")
	}
}
