package transport

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc/medianode/engine"
	"github.com/pion/webrtc/v4"
)

func lossy() *webrtc.DataChannelInit {
	ordered, retransmits := false, uint16(0)
	return &webrtc.DataChannelInit{Ordered: &ordered, MaxRetransmits: &retransmits}
}

func TestData_bothDirections(t *testing.T) { overSetups(t, testData_bothDirections) }

func testData_bothDirections(t *testing.T, on setup) {
	for _, active := range []bool{false, true} {
		t.Run(fmt.Sprintf("active %v", active), func(t *testing.T) {
			n := startNode(t, on, nil)
			var reliable, unreliable *webrtc.DataChannel
			open, got := make(chan string, 2), make(chan message, 16)
			n.join(t, 1, clientConfig{
				peer: func(p *PeerConfig) { p.Active = active },
				prepare: func(pc *webrtc.PeerConnection) {
					withChannel(t, "_reliable", nil, &reliable, open, got)(pc)
					withChannel(t, "_lossy", lossy(), &unreliable, open, got)(pc)
				},
			})
			receive(t, open, "a channel")
			receive(t, open, "the other channel")
			n.awaitChannels(t, 2)
			big := bytes.Repeat([]byte("x"), MaxMessage)
			for label, dc := range map[string]*webrtc.DataChannel{"_reliable": reliable, "_lossy": unreliable} {
				for _, payload := range [][]byte{[]byte("small"), {}, big} {
					if err := dc.Send(payload); err != nil {
						t.Fatal(err)
					}
					m := receive(t, n.data, "a message of the client on "+label)
					if m.peer != 1 || m.label != label || !bytes.Equal(m.payload, payload) {
						t.Errorf("node got %d bytes on %s of peer %d, want %d bytes on %s of peer 1", len(m.payload), m.label, m.peer, len(payload), label)
					}
					if err := n.SendData(1, label, payload); err != nil {
						t.Fatal(err)
					}
					if m := receive(t, got, "a message of the node on "+label); m.label != label || !bytes.Equal(m.payload, payload) {
						t.Errorf("client got %d bytes on %s, want %d on %s", len(m.payload), m.label, len(payload), label)
					}
				}
			}
			want := uint64(2 * (len("small") + len(big)))
			eventually(t, func() string { // the meter runs after the message has left
				if got := n.usage(1); got != want {
					return fmt.Sprintf("%d bytes on the peer's meter, want %d", got, want)
				}
				return ""
			})
			if n.channelOf(1, "_lossy").lossy != true || n.channelOf(1, "_reliable").lossy != false {
				t.Error("the node mistook which channel is lossy")
			}
		})
	}
}

func (n *node) channelOf(id engine.PeerID, label string) *channel {
	c := n.directory.peer(id).channels
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ch := range c.list {
		if ch.cfg.Label == label {
			return ch
		}
	}
	return nil
}

// usage is what the core's meter says of the peer's client bytes.
func (n *node) usage(id engine.PeerID) (bytes uint64) {
	_ = n.Do(id, func(_ time.Time, c *engine.Core, _ *engine.Batch) { // zero if it is gone
		usage, _ := c.Usage(id)
		bytes = usage.Client
	})
	return bytes
}

func TestData_orderIsKept(t *testing.T) { overSetups(t, testData_orderIsKept) }

func testData_orderIsKept(t *testing.T, on setup) {
	n := startNode(t, on, nil)
	var dc *webrtc.DataChannel
	open, got := make(chan string, 1), make(chan message, 1000)
	n.join(t, 1, clientConfig{prepare: withChannel(t, "_reliable", nil, &dc, open, got)})
	receive(t, open, "the channel")
	n.awaitChannels(t, 1)
	for i := range 500 {
		if err := dc.SendText(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		if err := n.SendData(1, "_reliable", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 500 {
		if m := receive(t, n.data, "a message of the client"); string(m.payload) != fmt.Sprint(i) {
			t.Fatalf("node got %q, want %d", m.payload, i)
		}
		if m := receive(t, got, "a message of the node"); string(m.payload) != fmt.Sprint(i) {
			t.Fatalf("client got %q, want %d", m.payload, i)
		}
	}
}

func TestData_errors(t *testing.T) { overSetups(t, testData_errors) }

func testData_errors(t *testing.T, on setup) {
	n := startNode(t, on, nil)
	var dc *webrtc.DataChannel
	open := make(chan string, 1)
	n.join(t, 1, clientConfig{prepare: withChannel(t, "_reliable", nil, &dc, open, make(chan message))})
	receive(t, open, "the channel")
	n.awaitChannels(t, 1)
	for _, c := range []struct {
		peer  engine.PeerID
		label string
		size  int
		want  error
	}{
		{2, "_reliable", 1, ErrPeer},
		{1, "_other", 1, ErrChannel},
		{1, "_reliable", MaxMessage + 1, ErrTooLarge},
		{1, "_reliable", MaxMessage, nil},
	} {
		if err := n.SendData(c.peer, c.label, make([]byte, c.size)); !errors.Is(err, c.want) {
			t.Errorf("SendData(%d, %s, %d bytes): %v, want %v", c.peer, c.label, c.size, err, c.want)
		}
	}
}

// A client that does not read stops SCTP's window. What waits on the node stays
// bounded, reliable channels refuse, lossy ones forget.
func TestData_slowReaderIsBounded(t *testing.T) { overSetups(t, testData_slowReaderIsBounded) }

func testData_slowReaderIsBounded(t *testing.T, on setup) {
	n := startNode(t, on, func(cfg *Config) { cfg.SendQueueBytes = 256 << 10 })
	open := make(chan string, 2)
	hold := make(chan struct{})
	defer close(hold)
	n.join(t, 1, clientConfig{
		settings: func(s *webrtc.SettingEngine) { s.SetSCTPMaxReceiveBufferSize(64 << 10) },
		prepare: func(pc *webrtc.PeerConnection) {
			for label, options := range map[string]*webrtc.DataChannelInit{"_reliable": nil, "_lossy": lossy()} {
				dc, err := pc.CreateDataChannel(label, options)
				if err != nil {
					t.Fatal(err)
				}
				dc.OnOpen(func() { open <- label })
				dc.OnMessage(func(webrtc.DataChannelMessage) { <-hold })
			}
		},
	})
	receive(t, open, "a channel")
	receive(t, open, "the other channel")
	n.awaitChannels(t, 2)
	payload := make([]byte, 10<<10)
	var refused error
	for range 1000 {
		if refused = n.SendData(1, "_reliable", payload); refused != nil {
			break
		}
	}
	if !errors.Is(refused, ErrSlowPeer) {
		t.Fatalf("10 MB to a client that does not read: error %v, want %v", refused, ErrSlowPeer)
	}
	for range 1000 {
		if err := n.SendData(1, "_lossy", payload); err != nil {
			t.Fatalf("lossy message to a slow client: %v, want it dropped", err)
		}
	}
	c := n.directory.peer(1).channels
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size > 256<<10 {
		t.Errorf("%d bytes wait, want at most %d", c.size, 256<<10)
	}
	sum, count := 0, 0
	for _, ch := range c.list {
		for _, m := range ch.queue {
			sum += len(m)
			count++
		}
		if buffered := ch.dc.BufferedAmount(); buffered > sctpBuffered+uint64(len(payload)) {
			t.Errorf("%s: %d bytes inside SCTP, want at most %d", ch.cfg.Label, buffered, sctpBuffered+len(payload))
		}
	}
	if sum != c.size || count != c.queued {
		t.Errorf("queues hold %d bytes in %d messages, the sums say %d in %d", sum, count, c.size, c.queued)
	}
}

func TestOpenChannel_announcedAndNegotiated(t *testing.T) {
	overSetups(t, testOpenChannel_announcedAndNegotiated)
}

func testOpenChannel_announcedAndNegotiated(t *testing.T, on setup) {
	for _, before := range []bool{true, false} {
		t.Run(fmt.Sprintf("before the association %v", before), func(t *testing.T) {
			n := startNode(t, on, nil)
			id, none := uint16(40), uint16(0)
			channels := []ChannelConfig{
				{Label: "_reliable"},
				{Label: "_lossy", Unordered: true, MaxRetransmits: &none},
				{Label: "restored", Negotiated: &id},
			}
			openAll := func() []string {
				for _, c := range channels {
					if err := n.OpenChannel(1, c); err != nil {
						t.Fatal(err)
					}
					if err := n.SendData(1, c.Label, []byte("hello "+c.Label)); err != nil {
						t.Fatal(err)
					}
				}
				return nil
			}
			got := make(chan message, 16)
			cfg := clientConfig{prepare: func(pc *webrtc.PeerConnection) {
				negotiated := true
				dc, err := pc.CreateDataChannel("restored", &webrtc.DataChannelInit{ID: &id, Negotiated: &negotiated})
				if err != nil {
					t.Fatal(err)
				}
				hear := func(dc *webrtc.DataChannel) {
					dc.OnMessage(func(m webrtc.DataChannelMessage) {
						got <- message{label: dc.Label(), payload: m.Data}
						_ = dc.SendText("back on " + dc.Label())
					})
				}
				hear(dc)
				pc.OnDataChannel(func(dc *webrtc.DataChannel) {
					if dc.Label() == "_lossy" && (dc.Ordered() || dc.MaxRetransmits() == nil || *dc.MaxRetransmits() != 0) {
						t.Errorf("_lossy arrived ordered %v, retransmits %v", dc.Ordered(), dc.MaxRetransmits())
					}
					if dc.Label() == "_reliable" && (!dc.Ordered() || dc.MaxRetransmits() != nil) {
						t.Errorf("_reliable arrived ordered %v, retransmits %v", dc.Ordered(), dc.MaxRetransmits())
					}
					hear(dc)
				})
			}}
			if before {
				cfg.opened = openAll
			}
			client := n.join(t, 1, cfg)
			if !before {
				client.awaitState(t, webrtc.PeerConnectionStateConnected)
				openAll()
			}
			for range channels {
				m := receive(t, got, "a greeting")
				if want := "hello " + m.label; string(m.payload) != want {
					t.Errorf("on %s: %q, want %q", m.label, m.payload, want)
				}
				back := receive(t, n.data, "the reply")
				if want := "back on " + back.label; string(back.payload) != want {
					t.Errorf("on %s: %q, want %q", back.label, back.payload, want)
				}
			}
		})
	}
}

func TestOpenChannel_isBounded(t *testing.T) { overSetups(t, testOpenChannel_isBounded) }

func testOpenChannel_isBounded(t *testing.T, on setup) {
	n := startNode(t, on, nil)
	n.join(t, 1, clientConfig{prepare: dataOnly(t)})
	if err := n.OpenChannel(1, ChannelConfig{Label: strings.Repeat("l", MaxLabel+1)}); !errors.Is(err, ErrChannel) {
		t.Errorf("long label: %v, want %v", err, ErrChannel)
	}
	id := uint16(5)
	for i, want := range []error{nil, ErrChannel} {
		if err := n.OpenChannel(1, ChannelConfig{Label: "n", Negotiated: &id}); !errors.Is(err, want) {
			t.Errorf("channel %d with stream id 5: %v, want %v", i, err, want)
		}
	}
	var err error
	for i := 0; i < MaxChannels+1 && err == nil; i++ {
		err = n.OpenChannel(1, ChannelConfig{Label: fmt.Sprint(i)})
	}
	if !errors.Is(err, ErrChannel) {
		t.Errorf("channel %d: %v, want %v", MaxChannels+1, err, ErrChannel)
	}
}

// A client gets MaxChannels; a few more are closed again, and one that goes on
// loses the association.
func TestChannels_ofTheClientAreBounded(t *testing.T) {
	overSetups(t, testChannels_ofTheClientAreBounded)
}

func testChannels_ofTheClientAreBounded(t *testing.T, on setup) {
	n := startNode(t, on, nil)
	open, closed := make(chan string, 64), make(chan string, 64)
	client := n.join(t, 1, clientConfig{prepare: func(pc *webrtc.PeerConnection) {
		for i := range MaxChannels + 2 {
			dc, err := pc.CreateDataChannel(fmt.Sprint(i), nil)
			if err != nil {
				t.Fatal(err)
			}
			dc.OnOpen(func() { open <- dc.Label() })
			dc.OnClose(func() { closed <- dc.Label() })
		}
	}})
	client.awaitState(t, webrtc.PeerConnectionStateConnected)
	receive(t, closed, "one channel too many to close")
	receive(t, closed, "the other one too many to close")
	c := n.directory.peer(1).channels
	c.mu.Lock()
	if got := len(c.list) + c.opening; got != MaxChannels {
		t.Errorf("%d channels are open or opening, want %d", got, MaxChannels)
	}
	c.mu.Unlock()
	ended := make(chan struct{}, 1)
	client.SCTP().OnClose(func(error) { ended <- struct{}{} })
	for i := range maxRefused { // one at a time: the library drops a crowd before we see it
		dc, err := client.CreateDataChannel(fmt.Sprint("more", i), nil)
		if err != nil {
			break // the association is gone already
		}
		dc.OnClose(func() { closed <- dc.Label() })
		select {
		case <-closed:
		case <-ended:
			return
		case <-time.After(10 * time.Second):
			t.Fatalf("channel %d past the limit was neither closed nor the end", i+1)
		}
	}
	receive(t, ended, "the association to end")
}

// A message above MaxMessage costs the sender its channel, not the node memory.
func TestData_tooLargeClosesTheChannel(t *testing.T) {
	overSetups(t, testData_tooLargeClosesTheChannel)
}

func testData_tooLargeClosesTheChannel(t *testing.T, on setup) {
	n := startNode(t, on, nil)
	closed := make(chan string, 1)
	open := make(chan string, 1)
	var dc *webrtc.DataChannel
	n.join(t, 1, clientConfig{
		maxMessage: 2 * MaxMessage, // a lie
		prepare:    withChannel(t, "_reliable", nil, &dc, open, make(chan message, 1)),
	})
	receive(t, open, "the channel")
	dc.OnClose(func() { closed <- dc.Label() })
	if err := dc.Send(make([]byte, MaxMessage+1)); err != nil {
		t.Fatal(err)
	}
	receive(t, closed, "the channel to close")
	select {
	case m := <-n.data:
		t.Errorf("the node took a message of %d bytes", len(m.payload))
	default:
	}
}

// A peer that sends faster than the limit waits; nothing of it is lost.
func TestData_rateIsLimited(t *testing.T) { overSetups(t, testData_rateIsLimited) }

func testData_rateIsLimited(t *testing.T, on setup) {
	n := startNode(t, on, func(cfg *Config) { cfg.DataMessages = 100 })
	var dc *webrtc.DataChannel
	open := make(chan string, 1)
	n.join(t, 1, clientConfig{prepare: withChannel(t, "_reliable", nil, &dc, open, make(chan message))})
	receive(t, open, "the channel")
	began := time.Now()
	for range 150 {
		if err := dc.SendText("x"); err != nil {
			t.Fatal(err)
		}
	}
	for range 150 {
		receive(t, n.data, "a message")
	}
	// The first 100 may come at once.
	if took, least := time.Since(began), 480*time.Millisecond; took < least {
		t.Errorf("150 messages in %v, want at least %v", took, least)
	}
}
