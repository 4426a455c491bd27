package transport

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func testConn() (*packetConn, *[]string) {
	var sent []string
	return newPacketConn(func(b []byte) { sent = append(sent, string(b)) }), &sent
}

func TestPacketConn_queueIsBounded(t *testing.T) {
	c, _ := testConn()
	datagram := rawRecord(recordApplication, 1, 1)
	for i := range 2 * inboundDatagrams {
		if got, want := c.push(datagram), i < inboundDatagrams; got != want {
			t.Fatalf("datagram %d: taken %v, want %v", i, got, want)
		}
	}
	buf := make([]byte, 100)
	for range inboundDatagrams {
		if n, from, err := c.ReadFrom(buf); err != nil || n != len(datagram) || from != c.LocalAddr() {
			t.Fatalf("ReadFrom: %d bytes from %v, %v; want %d from %v", n, from, err, len(datagram), c.LocalAddr())
		}
	}
}

func TestPacketConn_deadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := testConn()
		read := func() error { _, _, err := c.ReadFrom(make([]byte, 100)); return err }
		set := func(at time.Time) {
			if err := c.SetReadDeadline(at); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		set(began.Add(time.Second))
		if err := read(); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("read: %v after %v, want a timeout after 1s", err, time.Since(began))
		}
		if err := read(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read past the deadline: %v, want a timeout", err)
		}
		set(time.Time{})
		go func() { time.Sleep(time.Minute); c.push(rawRecord(recordApplication, 1, 1)) }()
		if err := read(); err != nil {
			t.Errorf("read without a deadline: %v", err)
		}
		set(time.Now().Add(time.Hour))
		set(time.Now().Add(-time.Second))
		if err := read(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read with a deadline in the past: %v, want a timeout", err)
		}
		set(time.Now().Add(time.Hour))
		blocked := make(chan error)
		go func() { blocked <- read() }()
		synctest.Wait()
		set(time.Time{}) // leaves the blocked read to its own deadline
		_ = c.Close()
		if err := <-blocked; !errors.Is(err, net.ErrClosed) {
			t.Errorf("blocked read after Close: %v, want %v", err, net.ErrClosed)
		}
	})
}

func TestPacketConn_closedNeitherReadsNorWrites(t *testing.T) {
	c, sent := testConn()
	if n, err := c.WriteTo([]byte("out"), nil); n != 3 || err != nil {
		t.Errorf("WriteTo: %d, %v; want 3", n, err)
	}
	c.push(rawRecord(recordApplication, 1, 1))
	_ = c.Close()
	_ = c.Close()
	if _, _, err := c.ReadFrom(make([]byte, 100)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ReadFrom: %v, want %v", err, net.ErrClosed)
	}
	if _, err := c.WriteTo([]byte("late"), nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteTo: %v, want %v", err, net.ErrClosed)
	}
	if len(*sent) != 1 || (*sent)[0] != "out" {
		t.Errorf("sent %q, want only out", *sent)
	}
}

func TestPacketConn_mutedSendsNothing(t *testing.T) {
	c, sent := testConn()
	c.mute()
	if n, err := c.WriteTo([]byte("goodbye"), nil); n != 7 || err != nil || len(*sent) != 0 {
		t.Errorf("WriteTo: %d, %v, sent %q; want 7 and nothing sent", n, err, *sent)
	}
}
