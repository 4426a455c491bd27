package discovery

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
)

func query(registries ...*fakeRegistry) Query {
	q := Query{Limit: 20}
	for _, f := range registries {
		q.Registries = append(q.Registries, f.URL)
	}
	return q
}

func find(t *testing.T, q Query) Answer {
	t.Helper()
	a, err := Find(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func foundIDs(a Answer) []drtc.NodeID {
	out := []drtc.NodeID{}
	for _, n := range a.Nodes {
		out = append(out, n.ID)
	}
	return out
}

func at(place string) func(*envelope.Envelope, *registryv1.NodeBody) {
	return func(_ *envelope.Envelope, b *registryv1.NodeBody) { b.Geolocation = place }
}

func TestFind_nearestFirstAndWhoVouches(t *testing.T) {
	paris, tokyo, nowhere := newKey(t), newKey(t), newKey(t)
	now := time.Now()
	p, k, n := sign(t, paris, now, at("48.86,2.35")), sign(t, tokyo, now, at("35.68,139.69")), sign(t, nowhere, now, at(""))
	one, two := newFake(t, p, k, n), newFake(t, p)
	one.opinion = map[string]any{
		"quality": 0.5, "state": "up", "availability": 0.99, "placeVerdict": "refuted", "placeReasons": []string{"too far"},
	}
	q := query(one, two)
	q.Near = &drtc.Place{Lat: 50.11, Lon: 8.68} // Frankfurt
	a := find(t, q)
	if got, want := foundIDs(a), []drtc.NodeID{paris.ID(), tokyo.ID()}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	if d := a.Nodes[0].DistanceKm; d < 470 || d > 490 {
		t.Errorf("Paris is %v km from Frankfurt, want 478", d)
	}
	if got := a.Nodes[0].VouchedBy; !slices.Equal(got, []string{one.URL, two.URL}) {
		t.Errorf("vouched for by %v, want both", got)
	}
	o := a.Nodes[0].Opinions
	if len(o) != 2 || *o[0].Quality != 0.5 || o[0].State != "up" || *o[0].Availability != 0.99 || o[0].PlaceVerdict != "refuted" ||
		!slices.Equal(o[0].PlaceReasons, []string{"too far"}) || o[0].Registry != one.URL || o[1].Quality != nil || o[1].State != "" {
		t.Errorf("opinions: got %+v", o)
	}
	if a.Network != "devnet" || a.Asked[0].ID != one.id || a.Asked[1].Err != nil {
		t.Errorf("got %+v", a)
	}
	q.Near = nil
	if got := find(t, q); len(got.Nodes) != 3 {
		t.Errorf("without a place: %d nodes, want 3", len(got.Nodes))
	}
}

func TestFind_holdsNodesToTheQueryByWhatTheySigned(t *testing.T) {
	k := newKey(t)
	f := newFake(t, sign(t, k, time.Now(), func(_ *envelope.Envelope, b *registryv1.NodeBody) {
		b.LoadMbps, b.Features = 400, []string{"simulcast", "data"}
	}))
	here, far := &drtc.Place{Lat: 50, Lon: 8}, &drtc.Place{Lat: -33, Lon: 151}
	for name, tt := range map[string]struct {
		change func(*Query)
		want   int
	}{
		"all of it": {func(q *Query) {
			q.Region, q.MinBandwidthMbps, q.Features, q.Version, q.Near, q.RadiusKm = "EU", 600, []string{"data"}, "0.1.0", here, 100
		}, 1},
		"another region": {func(q *Query) { q.Region = "ASI" }, 0},
		"more bandwidth": {func(q *Query) { q.MinBandwidthMbps = 601 }, 0},
		"a feature":      {func(q *Query) { q.Features = []string{"data", "turn"} }, 0},
		"a version":      {func(q *Query) { q.Version = "0.2.0" }, 0},
		"too far":        {func(q *Query) { q.Near, q.RadiusKm = far, 1000 }, 0},
		"far but listed": {func(q *Query) { q.Near = far }, 1},
	} {
		q := query(f)
		tt.change(&q)
		if got := find(t, q); len(got.Nodes) != tt.want {
			t.Errorf("%s: got %v, want %d nodes", name, foundIDs(got), tt.want)
		}
	}
}

// The fake Registry ignores parameters; a real one must understand them.
func TestFind_asksInTheWordsOfTheInterface(t *testing.T) {
	q := Query{
		Region: "EU", Near: &drtc.Place{Lat: 50.5, Lon: -8}, RadiusKm: 100.5, MinBandwidthMbps: 10, MinQuality: 0.75,
		Features: []string{"a", "b"}, Version: "1", Limit: 7,
	}
	want := "feature=a%2Cb&lat=50.5&limit=7&lon=-8&minBandwidthMbps=10&minQos=0.75&radiusKm=100.5&region=EU&version=1"
	if got := q.parameters(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got := (Query{Limit: 1}).parameters(); got != "limit=1" {
		t.Errorf("nothing asked: got %s", got)
	}
}

func TestFind_loneLiarNeitherHidesNorInvents(t *testing.T) {
	hidden, dead, left := newKey(t), newKey(t), newKey(t)
	now := time.Now()
	good, down, there := sign(t, hidden, now, nil), sign(t, dead, now, nil), sign(t, left, now, nil)
	gone := sign(t, left, now, tombstone)
	forged := sign(t, hidden, now, nil)
	forged.Seq, forged.Signature[4] = 9, forged.Signature[4]^1
	one, two, liar := newFake(t, good), newFake(t, good), newFake(t, down, there, forged)
	for _, f := range []*fakeRegistry{one, two} {
		f.hold(left.ID(), gone.Bytes())
		f.hold(dead.ID(), down.Bytes())
	}
	liar.change(func() { liar.listed = liar.listed[:0] })
	liar.set(down, there)
	liar.hold(hidden.ID(), forged.Bytes())
	a := find(t, query(one, two, liar))
	if got := foundIDs(a); !slices.Equal(got, []drtc.NodeID{hidden.ID()}) {
		t.Errorf("got %v, want the node that the liar hides, alone", got)
	}
	if a.Asked[2].Refused != 1 || a.Asked[0].Refused != 0 {
		t.Errorf("refused: %d of the liar and %d of the first, want 1 and 0", a.Asked[2].Refused, a.Asked[0].Refused)
	}
	// Against one honest Registry the proof that it left still decides.
	if a := find(t, query(one, liar)); slices.Contains(foundIDs(a), left.ID()) {
		t.Error("a node that left is shown")
	}
}

func TestFind_worksWhileAnyAnswers(t *testing.T) {
	k := newKey(t)
	good, bad, foreign := newFake(t, sign(t, k, time.Now(), nil)), newFake(t), newFake(t)
	second := newFake(t, good.listed...)
	bad.do(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":{"code":"invalid","parameter":"x","message":"no such thing"}}`))
	})
	foreign.network = "main"
	a := find(t, query(bad, foreign, good, second))
	if len(a.Nodes) != 1 || len(a.Nodes[0].VouchedBy) != 2 {
		t.Errorf("got %+v, want the node, vouched for by both that answer", a.Nodes)
	}
	if err := a.Asked[0].Err; err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("the one that complains: %v", err)
	}
	if err := a.Asked[1].Err; err == nil || !strings.Contains(err.Error(), `network "main", not "devnet"`) {
		t.Errorf("the one of another network: %v", err)
	}
	q := query(bad, foreign)
	q.Network = "devnet"
	if _, err := Find(t.Context(), q); err == nil || !strings.Contains(err.Error(), "no Registry answers") || !strings.Contains(err.Error(), foreign.URL) {
		t.Errorf("nobody answers: %v", err)
	}
}

func TestFind_nonsenseIsAnErrorOrNothing(t *testing.T) {
	for name, body := range map[string]string{
		"garbage":   "garbage",
		"no fields": "{}",
		"wrong":     `{"nodes":[{"nodeId":7}],"network":"devnet"}`,
		"unproven":  `{"network":"devnet","nodes":[{"nodeId":"0x0000000000000000000000000000000000000001"}]}`,
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
		if a, err := Find(t.Context(), Query{Registries: []string{s.URL}, Limit: 1}); err == nil && len(a.Nodes) > 0 {
			t.Errorf("%s: found %v", name, a.Nodes)
		}
		s.Close()
	}
}

func TestFind_namesWhatIsWrongWithTheQuery(t *testing.T) {
	for want, change := range map[string]func(*Query){
		"Registries is empty": func(q *Query) { q.Registries = nil },
		"ftp://x":             func(q *Query) { q.Registries = []string{"ftp://x"} },
		"Near":                func(q *Query) { q.Near = &drtc.Place{Lat: 91} },
		"RadiusKm must":       func(q *Query) { q.RadiusKm = -1 },
		"RadiusKm needs":      func(q *Query) { q.RadiusKm = 1 },
		"MinQuality":          func(q *Query) { q.MinQuality = 1.1 },
		"Limit":               func(q *Query) { q.Limit = 501 },
	} {
		q := Query{Registries: []string{one}, Limit: 1}
		change(&q)
		if _, err := Find(t.Context(), q); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func TestPeers_showsWhomARegistryKnows(t *testing.T) {
	f := newFake(t)
	f.names(present(t, newKey(t), "http://x.example", nil))
	p, err := Peers(t.Context(), f.URL+"/", time.Second)
	if err != nil || p.Registry != f.id || p.Network != "devnet" || len(p.Peers) != 1 {
		t.Fatalf("got %+v, %v", p, err)
	}
	peer := p.Peers[0]
	if peer.Registry != f.peers[0] || peer.URL != "http://what.it.says" || len(peer.Addresses) != 1 || len(peer.More) != 1 || peer.More["since"] != 7.0 {
		t.Errorf("got %+v", peer)
	}
	if !strings.Contains(string(p.Raw), `"since":7`) {
		t.Errorf("raw: %s", p.Raw)
	}
	for _, body := range []string{"garbage", "{}", `{"registry":"0x01"}`, `{"registry":"` + f.id.String() + `","peers":[7]}`} {
		f.do(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
		if _, err := Peers(t.Context(), f.URL, time.Second); !errors.Is(err, errAnswer) {
			t.Errorf("%s: got %v, want errAnswer", body, err)
		}
	}
	if _, err := Peers(t.Context(), "registry.example", time.Second); err == nil || !strings.Contains(err.Error(), "https://registry.example") {
		t.Errorf("no URL: got %v", err)
	}
}
