package discovery

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/identity"
)

// present makes the record of a Registry, changed before signing.
func present(t *testing.T, k *identity.Key, url string, change func(*envelope.Envelope, *registryv1.RegistryBody)) envelope.Envelope {
	t.Helper()
	body := &registryv1.RegistryBody{RegistryId: k.ID().String(), Url: url, PubKey: k.Public().Hex()}
	e := envelope.Envelope{Kind: "registry", Network: "devnet", Subject: k.ID(), Seq: 1, IssuedAt: time.Now(), TTL: 600 * time.Second}
	if change != nil {
		change(&e, body)
	}
	if !e.IsTombstone() {
		var err error
		if e.Body, err = proto.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Sign(k); err != nil {
		t.Fatal(err)
	}
	return e
}

// names makes a Registry name another and hold its record.
func (f *fakeRegistry) names(e envelope.Envelope) {
	f.change(func() {
		f.peers = append(f.peers, e.Subject)
		f.records[e.Subject] = e.Bytes()
	})
}

func (r *running) untilAsked(what string, want ...string) {
	r.t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		have := r.Registries()
		if slices.Equal(have, want) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			r.t.Fatalf("not within 20s: %s; asks %v, want %v", what, have, want)
		}
	}
}

func learning(learn int, registries ...*fakeRegistry) Config {
	c := testConfig()
	for _, f := range registries {
		c.Registries = append(c.Registries, f.URL)
	}
	c.Learn, c.LearnEvery = learn, 10*time.Millisecond
	return c
}

func TestLearn_asksThoseWhoseRecordMostHold(t *testing.T) {
	node, k := newKey(t), newKey(t)
	e := sign(t, node, time.Now(), nil)
	a, b, c, further := newFake(t, e), newFake(t, e), newFake(t, e), newFake(t, e)
	record := present(t, k, further.URL+"/", nil)
	a.names(record)
	r := runWith(t, learning(4, a, b, c))
	r.untilShown("the node", node)
	r.counted("drtc_discovery_polls_total", "registry", b.URL, 10)
	r.untilAsked("one of three names it", a.URL, b.URL, c.URL)
	b.change(func() { b.records[k.ID()] = record.Bytes() })
	r.untilAsked("two hold its record", a.URL, b.URL, c.URL, further.URL)
	r.until("its word counts", func(have []Node) bool {
		return len(have) == 1 && slices.Equal(have[0].VouchedBy, []string{a.URL, b.URL, c.URL, further.URL})
	})
	a.change(func() { clear(a.records) })
	r.untilAsked("one has forgotten it", a.URL, b.URL, c.URL)
}

func TestLearn_staysWithThoseItHasWhenNobodyAnswers(t *testing.T) {
	k, node := newKey(t), newKey(t)
	a, further := newFake(t), newFake(t, sign(t, node, time.Now(), nil))
	a.names(present(t, k, further.URL, nil))
	r := runWith(t, learning(4, a))
	r.untilAsked("learned", a.URL, further.URL)
	a.do(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	r.counted(polls, "outcome", "failed", 5)
	r.untilAsked("still", a.URL, further.URL)
	r.untilShown("what it lists", node)
}

func TestLearn_loneLiarBringsInNobody(t *testing.T) {
	dead := newKey(t)
	e := sign(t, dead, time.Now(), nil)
	honest, second, liar := newFake(t), newFake(t), newFake(t, e)
	for range 5 {
		sybil := newFake(t, e)
		liar.names(present(t, newKey(t), sybil.URL, nil))
	}
	r := runWith(t, learning(4, honest, second, liar))
	r.counted(polls, "registry", liar.URL, 10)
	r.untilAsked("those of the configuration", honest.URL, second.URL, liar.URL)
	r.untilShown("nothing that a minority lists")
}

func TestLearn_isBoundedAndLeavesOutItself(t *testing.T) {
	self := newKey(t)
	a := newFake(t)
	a.id = self.ID()
	a.names(present(t, self, "http://another.name.example", nil))
	a.names(present(t, newKey(t), a.URL, nil))
	for range 5 {
		a.names(present(t, newKey(t), newFake(t).URL, nil))
	}
	a.names(present(t, newKey(t), newFake(t).URL, func(e *envelope.Envelope, _ *registryv1.RegistryBody) { e.Network = "main" }))
	r := runWith(t, learning(2, a))
	r.counted(refusals, "reason", "foreign", 2)
	if got := r.Registries(); len(got) != 3 {
		t.Errorf("asks %v, want one configured and two learned", got)
	}
}

func TestReadAcquaintance_refuses(t *testing.T) {
	k, other := newKey(t), newKey(t)
	const url = "https://registry.example"
	forged := present(t, k, url, nil)
	forged.Seq++
	for name, tt := range map[string]struct {
		e    envelope.Envelope
		want error
	}{
		"forged":        {forged, envelope.ErrSignature},
		"of a node":     {sign(t, k, time.Now(), nil), errForeign},
		"about another": {present(t, k, url, func(e *envelope.Envelope, _ *registryv1.RegistryBody) { e.Subject = other.ID() }), errAnother},
		"expired":       {present(t, k, url, func(e *envelope.Envelope, _ *registryv1.RegistryBody) { e.IssuedAt = time.Now().Add(-time.Hour) }), errExpired},
		"left":          {present(t, k, url, func(e *envelope.Envelope, _ *registryv1.RegistryBody) { e.Flags = envelope.Tombstone }), errExpired},
		"another id":    {present(t, k, url, func(_ *envelope.Envelope, b *registryv1.RegistryBody) { b.RegistryId = other.ID().String() }), errBody},
		"a file":        {present(t, k, "file:///etc/passwd", nil), errBody},
		"a password":    {present(t, k, "http://me:secret@registry.example", nil), errBody},
	} {
		if a, err := readAcquaintance(time.Now(), "devnet", tt.e.Bytes(), false); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %+v, %v, want %v", name, a, err, tt.want)
		}
	}
	if _, err := readAcquaintance(time.Now(), "devnet", []byte("garbage"), false); !errors.Is(err, envelope.ErrMalformed) {
		t.Errorf("garbage: got %v", err)
	}
	good := present(t, k, url+"/", nil)
	if a, err := readAcquaintance(time.Now(), "devnet", good.Bytes(), false); err != nil || a.url != url || a.id != k.ID() {
		t.Errorf("the good one: got %+v, %v", a, err)
	}
}

func TestChoose_thoseItKnowsFirstThenThoseThatMostHold(t *testing.T) {
	known := func(n byte, url string) acquaintance { return acquaintance{id: drtc.NodeID{19: n}, url: url} }
	one, two, three, four := known(1, "http://1"), known(2, "http://2"), known(3, "http://3"), known(4, "http://3")
	answers := []answerOfPeers{
		{proven: []acquaintance{one, two, three, four}},
		{proven: []acquaintance{one, two, three, four}},
		{proven: []acquaintance{two, three, three}},
	}
	for i, tt := range []struct {
		before []acquaintance
		limit  int
		want   []acquaintance
	}{
		{nil, 9, []acquaintance{two, three, one}}, // four is at the address of three
		{nil, 1, []acquaintance{two}},
		{[]acquaintance{one}, 2, []acquaintance{one, two}},
	} {
		got := choose(answers, []string{"http://configured"}, tt.before, tt.limit)
		if fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("case %d: got %v, want %v", i, got, tt.want)
		}
	}
}

// Whoever wrote a learned URL is a stranger: it must not make us call machines
// of our own network.
func TestCarriers_guardedOnesCallNoPrivateAddress(t *testing.T) {
	f := newFake(t)
	c := DefaultConfig()
	for _, guarded := range []bool{false, true} {
		way := newCarriers(c, guarded)
		for _, h := range []*http.Client{way.questions, way.streams} {
			a, err := h.Get(f.URL + "/healthz")
			if err == nil {
				a.Body.Close()
			}
			if guarded != errors.Is(err, errPrivate) || !guarded && err != nil {
				t.Errorf("guarded %v: got %v", guarded, err)
			}
		}
		way.close()
	}
	for address, want := range map[string]bool{
		"192.0.2.1": true, "2001:db8::1": true, "127.0.0.1": false, "10.1.2.3": false, "192.168.0.1": false,
		"169.254.169.254": false, "::1": false, "fe80::1": false, "fd00::1": false, "::ffff:10.0.0.1": false, "0.0.0.0": false, "224.0.0.1": false,
	} {
		if got := public(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: public %v, want %v", address, got, want)
		}
	}
	for registry, want := range map[string]bool{
		"http://localhost:1": true, "http://127.0.0.1:1": true, "http://[::1]:1": true, "http://10.0.0.1": true,
		"https://registry.example": false, "http://192.0.2.1": false,
	} {
		if got := local([]string{"https://a.example", registry}); got != want {
			t.Errorf("%s: local %v, want %v", registry, got, want)
		}
	}
}
