package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry/bonding"
)

func testID(t testing.TB, n int) (drtc.NodeID, peer.ID) {
	t.Helper()
	k, err := identity.ParseKey(fmt.Sprintf("%064x", n+1))
	if err != nil {
		t.Fatal(err)
	}
	p, err := PeerID(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return k.ID(), p
}

func TestPeerID_namesTheSameKeyAsTheAddress(t *testing.T) {
	id, p := testID(t, 0)
	if got, ok := IDOf(p); !ok || got != id {
		t.Errorf("got %s, %t, want %s", got, ok, id)
	}
	// The secret of libp2p is the same key.
	k, err := identity.ParseKey(fmt.Sprintf("%064x", 1))
	if err != nil {
		t.Fatal(err)
	}
	secret, err := secretKey(k)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := peer.IDFromPrivateKey(secret); err != nil || got != p {
		t.Errorf("got %s, %v, want %s", got, err, p)
	}
	if _, ok := IDOf("what"); ok {
		t.Error("text that is no peer id has an address")
	}
}

func TestConfig_validateNamesTheField(t *testing.T) {
	for field, change := range map[string]func(*Config){
		"Name":            func(c *Config) { c.Name = "" },
		"Listen":          func(c *Config) { c.Listen = "localhost:1" },
		"Announce[0]":     func(c *Config) { c.Announce = []string{"example.org"} },
		"Bootstrap[1]":    func(c *Config) { c.Bootstrap = []string{"https://example.org", "ftp://example.org"} },
		"Bootstrap[0]":    func(c *Config) { c.Bootstrap = []string{"/ip4/192.0.2.1/tcp/7901"} },
		"MinOutbound":     func(c *Config) { c.MinOutbound = 0 },
		"KeepAll":         func(c *Config) { c.KeepAll = 0 },
		"MaxContacts":     func(c *Config) { c.MaxContacts = 0 },
		"BatchRecords":    func(c *Config) { c.BatchRecords = maxBatch + 1 },
		"BatchBytes":      func(c *Config) { c.BatchBytes = MaxMessage + 1 },
		"QueueSize":       func(c *Config) { c.QueueSize = 0 },
		"DialTimeout":     func(c *Config) { c.DialTimeout = 0 },
		"RetryMin":        func(c *Config) { c.RetryMin = 0 },
		"RetryMax":        func(c *Config) { c.RetryMax = 0 },
		"BatchDelay":      func(c *Config) { c.BatchDelay = 0 },
		"EagerPerSecond":  func(c *Config) { c.EagerPerSecond = -1 },
		"SyncEvery":       func(c *Config) { c.SyncEvery = 0 },
		"SyncIdle":        func(c *Config) { c.SyncIdle = 0 },
		"SyncTimeout":     func(c *Config) { c.SyncTimeout = 0 },
		"MaxBytes":        func(c *Config) { c.SyncLimits.MaxBytes = 0 },
		"ProbeTimeout":    func(c *Config) { c.ProbeTimeout = 0 },
		"MaxReaders":      func(c *Config) { c.MaxReaders = -1 },
		"BanFor":          func(c *Config) { c.BanFor = 0 },
		"Budget.Messages": func(c *Config) { c.Budget.Messages.PerSecond = 0 },
		"Budget.Useless":  func(c *Config) { c.Budget.Useless.Burst = 0 },
		"Budget.Fresh":    func(c *Config) { c.Budget.Fresh = -1 },
	} {
		c := DefaultConfig()
		c.Name = "testnet"
		if err := c.Validate(); err != nil {
			t.Fatalf("before the change: %v", err)
		}
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}

func TestAnnounceAddr_readsHostsAndMultiaddresses(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1:7901":                  "/ip4/192.0.2.1/tcp/7901",
		"[2001:db8::1]:7901":              "/ip6/2001:db8::1/tcp/7901",
		"registry.example.org:7901":       "/dns/registry.example.org/tcp/7901",
		"/dns4/r.example.org/tcp/1":       "/dns4/r.example.org/tcp/1",
		"/ip4/192.0.2.1/tcp/7901/ws/nope": "",
		"192.0.2.1":                       "",
	} {
		a, err := announceAddr(text)
		if (err != nil) != (want == "") || err == nil && a.String() != want {
			t.Errorf("%s: got %v, %v, want %q", text, a, err, want)
		}
	}
}

func TestDebt_isATokenBucket(t *testing.T) {
	now, r, d := time.Unix(1000, 0), Rate{PerSecond: 2, Burst: 4}, debt{}
	for i, tt := range []struct {
		after time.Duration
		n     float64
		want  bool
	}{
		{0, 4, true}, {0, 1, false}, {500 * time.Millisecond, 0, true}, {0, 0.5, false},
		{time.Hour, 4, true}, {0, -3, true}, {0, 3, true}, {-time.Second, 0, true}, {0, 1, false},
	} {
		now = now.Add(tt.after)
		if got := d.add(now, r, tt.n); got != tt.want {
			t.Fatalf("step %d: got %t, want %t (owed %v)", i, got, tt.want, d.owed)
		}
	}
	d = debt{}
	for i := range 10 {
		if got, want := d.allow(now, r, 1), i < 4; got != want {
			t.Errorf("%d allowed: got %t, want %t", i, got, want)
		}
	}
}

// What an honest Registry may pass on costs it nothing but volume.
func TestAccount_onlyOldRecordsAndRepeatsAreUseless(t *testing.T) {
	b, now := DefaultBudget(), time.Unix(1000, 0)
	a := newAccount()
	for range 4 {
		if reason := a.judged(now, &b, tally{records: 10_000}); reason != "" {
			t.Fatalf("over budget of %s", reason)
		}
	}
	if reason := a.judged(now, &b, tally{records: 500, useless: 500}); reason != "" {
		t.Fatalf("over budget of %s", reason)
	}
	if reason := a.judged(now, &b, tally{records: 101, useless: 1, stored: make([]envelope.Envelope, 100)}); reason != "" {
		t.Fatalf("what is new does not make up for what is old: %s", reason)
	}
	if reason := a.judged(now, &b, tally{records: 101, useless: 101}); reason != overUseless {
		t.Fatalf("got %q, want %q", reason, overUseless)
	}

	a = newAccount()
	for i := range 3 * remembered {
		if reason := a.repeated(now, &b, fmt.Append(nil, i)); reason != "" {
			t.Fatalf("message %d is new, got %q", i, reason)
		}
	}
	if got := len(a.recent); got != remembered {
		t.Errorf("%d messages are remembered, want %d", got, remembered)
	}
	for i := range 501 {
		reason := a.repeated(now, &b, fmt.Append(nil, 3*remembered-1))
		if want := map[bool]string{true: overUseless}[i == 500]; reason != want {
			t.Fatalf("repeat %d: got %q, want %q", i, reason, want)
		}
	}
}

func testBook(t testing.TB, private bool) *book {
	t.Helper()
	self, _ := testID(t, 1000)
	return &book{self: self, bonding: bonding.AllowAll{}, limit: 100, private: private, contacts: map[drtc.NodeID]*contact{}}
}

func contactAt(t testing.TB, n int, ip string) Contact {
	t.Helper()
	id, p := testID(t, n)
	family := "ip4"
	if netip.MustParseAddr(ip).Is6() {
		family = "ip6"
	}
	return Contact{ID: id, Addrs: []string{fmt.Sprintf("/%s/%s/tcp/7901/p2p/%s", family, ip, p)}}
}

func TestWanted_belowKeepAllEverybodyWhoIsNotConnected(t *testing.T) {
	b, c := testBook(t, true), DefaultConfig()
	var all []Contact
	for i := range c.KeepAll - 1 {
		all = append(all, contactAt(t, i, "127.0.0.1"))
	}
	b.know(all)
	_, connected := testID(t, 3)
	got := b.wanted(time.Now(), map[peer.ID]network.Direction{connected: network.DirInbound}, &c)
	if len(got) != maxDials {
		t.Errorf("got %d, want as many as are dialled at once, %d", len(got), maxDials)
	}
	for _, k := range got {
		if k.peer == connected {
			t.Error("wants who is connected")
		}
	}
}

func TestWanted_prefersOtherNeighbourhoods(t *testing.T) {
	b, c := testBook(t, false), DefaultConfig()
	var all []Contact
	for i := range 20 { // one crowd
		all = append(all, contactAt(t, i, fmt.Sprintf("192.0.2.%d", i+1)))
	}
	for i, ip := range []string{"198.51.100.1", "203.0.113.1", "2001:db8::1"} {
		all = append(all, contactAt(t, 20+i, ip))
	}
	b.know(all)
	for range 20 {
		_, inCrowd := testID(t, 0)
		taken := map[netip.Prefix]int{netip.MustParsePrefix("192.0.0.0/16"): 1}
		got := b.wanted(time.Now(), map[peer.ID]network.Direction{inCrowd: network.DirOutbound}, &c)
		if len(got) != 3 {
			t.Fatalf("got %d, want the 3 that are missing to %d", len(got), c.MinOutbound)
		}
		for _, k := range got {
			p, _ := prefix(k.addrs())
			if taken[p]++; taken[p] > 1 {
				t.Errorf("two of %s while others are free", p)
			}
		}
	}
	// A rank and no rule: with nobody else, the crowd will do.
	b.know(all[:20])
	if got := b.wanted(time.Now(), nil, &c); len(got) != 4 {
		t.Errorf("got %d of the crowd, want 4", len(got))
	}
	// Connections that others opened do not count.
	inbound := map[peer.ID]network.Direction{}
	for i := range 10 {
		_, p := testID(t, i)
		inbound[p] = network.DirInbound
	}
	if got := b.wanted(time.Now(), inbound, &c); len(got) != 4 {
		t.Errorf("with 10 inbound: got %d, want 4", len(got))
	}
}

func TestBook_waitsLongerAfterEachFailure(t *testing.T) {
	b, c, now := testBook(t, true), DefaultConfig(), time.Unix(1000, 0)
	b.know([]Contact{contactAt(t, 0, "127.0.0.1")})
	for i := range 20 {
		k := b.wanted(now, nil, &c)
		if len(k) != 1 {
			t.Fatalf("failure %d: not wanted after the wait", i)
		}
		if _, ok := b.begin(k[0]); !ok {
			t.Fatal("is being dialled")
		}
		if got := b.wanted(now, nil, &c); len(got) != 0 {
			t.Fatal("wanted while it is being dialled")
		}
		b.end(now, k[0], false, &c)
		mean := min(c.RetryMax, c.RetryMin<<min(i, 10))
		if wait := k[0].next.Sub(now); wait < mean/2 || wait > 3*mean/2 {
			t.Errorf("failure %d: waits %s, want %s give or take half", i, wait, mean)
		}
		now = k[0].next
	}
}

func TestKnow_passesOverWhatIsOfNoUse(t *testing.T) {
	b := testBook(t, false)
	good, other := contactAt(t, 0, "192.0.2.1"), contactAt(t, 1, "192.0.2.2")
	b.know([]Contact{
		{ID: good.ID, Addrs: []string{"nonsense", other.Addrs[0], contactAt(t, 0, "127.0.0.1").Addrs[0], contactAt(t, 0, "0.0.0.0").Addrs[0], good.Addrs[0]}},
		{ID: b.self, Addrs: contactAt(t, 1000, "192.0.2.9").Addrs},
		{ID: other.ID, Addrs: []string{"/ip4/192.0.2.2/tcp/7901", "/p2p/" + strings.Repeat("1", 40)}},
	})
	got := b.list()
	if len(got) != 1 || got[0].ID != good.ID || len(got[0].Addrs) != 1 || got[0].Addrs[0] != good.Addrs[0] {
		t.Errorf("got %v, want %v alone", got, good)
	}
	b.know([]Contact{other})
	if got := b.list(); len(got) != 1 || got[0].ID != other.ID {
		t.Errorf("got %v, want what was said last, %v", got, other)
	}
	b.limit = 1
	b.tell([]Contact{good})
	if got := b.known(); got != 1 {
		t.Errorf("known: got %d, want no more than the limit", got)
	}
}

func TestBatch_goesWhenFullUrgentOrOld(t *testing.T) {
	c := DefaultConfig()
	c.EagerPerSecond, c.BatchRecords, c.BatchBytes = 10, 3, 1000
	now, b := time.Unix(1000, 0), &batch{}
	add := func(e envelope.Envelope) { b.add(now, &e, make([]byte, 100)) }
	for i := range eagerBurst {
		if add(envelope.Envelope{}); b.due(now, &c).After(now) {
			t.Fatalf("batch %d waits after a silence", i)
		}
		b.take(now, &c)
	}
	add(envelope.Envelope{})
	if got, want := b.due(now, &c), now.Add(c.BatchDelay); !got.Equal(want) {
		t.Errorf("under load: due in %s, want %s", got.Sub(now), c.BatchDelay)
	}
	if !b.room(100, &c) || b.room(900, &c) {
		t.Error("room is not counted in bytes")
	}
	add(envelope.Envelope{Flags: envelope.Tombstone})
	if b.due(now, &c).After(now) {
		t.Error("a tombstone waits")
	}
	add(envelope.Envelope{})
	if b.room(1, &c) {
		t.Error("room is not counted in records")
	}
	if records, err := split(b.take(now, &c)); err != nil || len(records) != 3 || count(nil) != 0 {
		t.Errorf("got %d records, %v, want the 3", len(records), err)
	}
	now = now.Add(time.Second)
	if add(envelope.Envelope{}); b.due(now, &c).After(now) {
		t.Error("waits though few have been sent")
	}
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{3, 1, 2, 3, 0, 1, 9})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add(bytes.Repeat([]byte{0}, maxBatch+1))
	f.Fuzz(func(t *testing.T, message []byte) {
		records, err := split(message)
		if err != nil {
			if !errors.Is(err, errBatch) {
				t.Errorf("%v is not errBatch", err)
			}
			return
		}
		if len(records) == 0 || len(records) > maxBatch || count(message) != len(records) {
			t.Errorf("%d records, counted %d", len(records), count(message))
		}
		var again []byte
		for _, r := range records {
			again = appendRecord(again, r)
		}
		if back, err := split(again); err != nil || len(back) != len(records) {
			t.Errorf("read back %d, %v, want %d", len(back), err, len(records))
		}
	})
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 7, 0, 0, 0, 0})
	f.Add([]byte{0, 0, 1, 1, 7})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		const limit = 256
		r := bytes.NewReader(in)
		var out bytes.Buffer
		for {
			frame, err := readFrame(r, limit)
			if err != nil {
				break
			}
			if len(frame) > limit {
				t.Fatalf("a frame of %d bytes passed a limit of %d", len(frame), limit)
			}
			if err := writeFrame(&out, frame); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.HasPrefix(in, out.Bytes()) {
			t.Errorf("wrote %x, read %x", out.Bytes(), in)
		}
	})
}

func FuzzParseDirectory(f *testing.F) {
	f.Add([]byte(`{"registry":"0x7e5f4552091a69125d5dfcb7b8c2659029395bdf","addresses":["/ip4/192.0.2.1/tcp/1/p2p/x"],"peers":[{"registry":"","addresses":null}]}`))
	f.Add([]byte(`{"peers":{}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := parseDirectory(text)
		if err != nil && !errors.Is(err, errDirectory) {
			t.Errorf("%v is not errDirectory", err)
		}
		b := testBook(t, false)
		b.tell(append(d.Peers, Contact{ID: d.ID, Addrs: d.Addrs})) // must not panic
		if len(d.Peers) > directoryPeers || b.known() > b.limit {
			t.Errorf("%d peers, %d known", len(d.Peers), b.known())
		}
	})
}
