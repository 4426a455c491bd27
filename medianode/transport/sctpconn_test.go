package transport

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestSCTPConn_queueIsBounded(t *testing.T) {
	taken := 0
	c := newSCTPConn(io.Discard, inboundPackets, func() { taken++ })
	for i := range 2 * inboundPackets {
		if got, want := c.push([]byte{byte(i)}), i < inboundPackets; got != want {
			t.Fatalf("packet %d: taken %v, want %v", i, got, want)
		}
	}
	buf := make([]byte, 10)
	for i := range inboundPackets {
		if n, err := c.Read(buf); n != 1 || err != nil || buf[0] != byte(i) || taken != i+1 {
			t.Fatalf("Read: %d bytes, %v, packet %d, taken called %d times; want packet %d, %d times", n, err, buf[0], taken, i, i+1)
		}
	}
	if !c.push([]byte{1}) {
		t.Error("an empty queue took nothing")
	}
}

func TestSCTPConn_blockedReadEnds(t *testing.T) {
	for name, end := range map[string]func(*sctpConn) error{
		"Close":         (*sctpConn).Close,
		"read deadline": func(c *sctpConn) error { return c.SetReadDeadline(time.Now()) },
		"deadline":      func(c *sctpConn) error { return c.SetDeadline(time.Now()) },
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newSCTPConn(io.Discard, inboundPackets, func() {})
			ended := make(chan error)
			go func() { _, err := c.Read(make([]byte, 10)); ended <- err }()
			synctest.Wait()
			for _, later := range []time.Time{{}, time.Now().Add(time.Hour)} {
				if err := c.SetReadDeadline(later); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case err := <-ended:
				t.Fatalf("the read has ended: %v", err)
			default:
			}
			if err := end(c); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: the blocked read ended with %v, want %v", name, err, net.ErrClosed)
			}
			if !c.push([]byte{1}) {
				t.Errorf("%s: a packet for a conn that has ended counts as one too many", name)
			}
		})
	}
}
