package admission_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/admission"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/identity"
)

var epoch = time.UnixMilli(1790000000000).UTC()

// keys are those of Registries 0 to 9.
var keys = func() []*identity.Key {
	all := make([]*identity.Key, 10)
	for i := range all {
		k, err := identity.Generate(bytes.NewReader(bytes.Repeat([]byte{byte(i + 1)}, 32)))
		if err != nil {
			panic(err)
		}
		all[i] = k
	}
	return all
}()

func ids(of []*identity.Key) []drtc.NodeID {
	out := make([]drtc.NodeID, len(of))
	for i, k := range of {
		out[i] = k.ID()
	}
	return out
}

func person(n byte) drtc.NodeID { return drtc.NodeID{19: n} }

type failer interface{ Fatal(...any) }

func encode(t failer, b admission.Body) []byte {
	raw, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// attest signs a list as a Registry does and takes the body out.
func attest(t failer, k *identity.Key, body []byte, change func(*envelope.Envelope)) envelope.Envelope {
	e := envelope.Envelope{
		Kind: admission.Kind, Network: "devnet", Subject: k.ID(), Seq: 1, IssuedAt: epoch, TTL: 300 * time.Second, Body: body,
	}
	if change != nil {
		change(&e)
	}
	if err := e.Sign(k); err != nil {
		t.Fatal(err)
	}
	e.Body = nil
	return e
}

func attestAll(t failer, of []*identity.Key, body []byte) []envelope.Envelope {
	var all []envelope.Envelope
	for _, k := range of {
		all = append(all, attest(t, k, body, nil))
	}
	return all
}

func TestQuorum_isMoreThanTwoThirds(t *testing.T) {
	for n, want := range map[int]int{0: 1, 1: 1, 2: 2, 3: 3, 4: 3, 5: 4, 6: 5, 7: 5, 10: 7, 15: 11} {
		if got := admission.Quorum(n); got != want {
			t.Errorf("of %d: got %d, want %d", n, got, want)
		}
	}
}

// Any protobuf library must write our canonical bytes; Go's is the witness.
func TestEncode_isTheProtobufOfAdmissionBody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBody(t)
		want := &registryv1.AdmissionBody{Serial: b.Serial, AnyOrchestrator: b.AnyOrchestrator}
		raw := func(ids []drtc.NodeID) (all [][]byte) {
			ids = slices.SortedFunc(slices.Values(ids), func(a, b drtc.NodeID) int { return bytes.Compare(a[:], b[:]) })
			for _, id := range slices.Compact(ids) {
				all = append(all, id[:])
			}
			return all
		}
		want.Orchestrators, want.Registries = raw(b.Orchestrators), raw(b.Registries)
		wire, err := proto.MarshalOptions{Deterministic: true}.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if got := encode(t, b); !bytes.Equal(got, wire) {
			t.Fatalf("got %x, protobuf writes %x", got, wire)
		}
		back, err := admission.Parse(wire)
		if err != nil || back.Serial != b.Serial || len(back.Registries) != len(want.Registries) {
			t.Fatalf("read back %+v, %v", back, err)
		}
	})
}

func drawBody(t *rapid.T) admission.Body {
	some := func(name string, least int) []drtc.NodeID {
		return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) drtc.NodeID {
			return drtc.NodeID{rapid.ByteRange(0, 3).Draw(t, "high"), 19: rapid.ByteRange(1, 255).Draw(t, "low")}
		}), least, 6).Draw(t, name)
	}
	b := admission.Body{Serial: rapid.Uint64Min(1).Draw(t, "serial"), Registries: some("registries", 1)}
	if b.AnyOrchestrator = rapid.Bool().Draw(t, "any"); !b.AnyOrchestrator {
		b.Orchestrators = some("orchestrators", 0)
	}
	return b
}

func TestBody_outOfRangeIsRefusedByName(t *testing.T) {
	r := []drtc.NodeID{person(1)}
	for name, tt := range map[string]struct {
		body admission.Body
		want string
	}{
		"no serial":        {admission.Body{Registries: r}, "serial"},
		"no registries":    {admission.Body{Serial: 1}, "registries"},
		"zero id":          {admission.Body{Serial: 1, Registries: r, Orchestrators: []drtc.NodeID{{}}}, "orchestrators[0]"},
		"any and some":     {admission.Body{Serial: 1, Registries: r, Orchestrators: r, AnyOrchestrator: true}, "any_orchestrator"},
		"more than fit in": {admission.Body{Serial: 1, Registries: many(3000)}, "at most"},
	} {
		if _, err := tt.body.Encode(); !errors.Is(err, admission.ErrField) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want ErrField naming %s", name, err, tt.want)
		}
	}
	if raw := encode(t, admission.Body{Serial: 1 << 63, Registries: many((admission.MaxBody - 16) / 22)}); len(raw) > admission.MaxBody {
		t.Errorf("the largest list has %d bytes, want at most %d", len(raw), admission.MaxBody)
	}
}

func many(n int) []drtc.NodeID {
	all := make([]drtc.NodeID, n)
	for i := range all {
		all[i] = drtc.NodeID{1, 18: byte(i >> 8), 19: byte(i)}
	}
	return all
}

func TestParse_oneSpelling(t *testing.T) {
	one, two := person(1), person(2)
	id := func(field byte, id drtc.NodeID) []byte { return append([]byte{field<<3 | 2, 20}, id[:]...) }
	serial := []byte{1 << 3, 7}
	for name, raw := range map[string][]byte{
		"empty":             nil,
		"cut off":           slices.Concat(serial, id(3, one)[:10]),
		"short id":          slices.Concat(serial, []byte{3<<3 | 2, 1, 9}),
		"unknown field":     slices.Concat(serial, id(3, one), []byte{5 << 3, 1}),
		"descending":        slices.Concat(serial, id(3, two), id(3, one)),
		"an id twice":       slices.Concat(serial, id(3, one), id(3, one)),
		"fields turned":     slices.Concat(id(3, one), serial),
		"serial twice":      slices.Concat(serial, serial, id(3, one)),
		"long varint":       slices.Concat([]byte{1 << 3, 0x87, 0}, id(3, one)),
		"spelled-out false": slices.Concat(serial, id(3, one), []byte{4 << 3, 0}),
		"true is two":       slices.Concat(serial, id(3, one), []byte{4 << 3, 2}),
		"serial as bytes":   slices.Concat([]byte{1<<3 | 2, 1, 7}, id(3, one)),
		"too large":         bytes.Repeat([]byte{8}, admission.MaxBody+1),
	} {
		if b, err := admission.Parse(raw); !errors.Is(err, admission.ErrMalformed) && !errors.Is(err, admission.ErrField) {
			t.Errorf("%s: got %+v, %v, want a refusal", name, b, err)
		}
	}
	if _, err := admission.Parse(slices.Concat(serial, id(3, one), id(3, two), []byte{4 << 3, 1})); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

func TestVerify_quorumOfTrusted(t *testing.T) {
	trusted := ids(keys[:4]) // 3 must sign
	body := encode(t, admission.Body{Serial: 7, Registries: trusted, Orchestrators: []drtc.NodeID{person(9), person(3)}})
	other := encode(t, admission.Body{Serial: 7, Registries: trusted, AnyOrchestrator: true})
	good := attestAll(t, keys[:2], body)
	for name, tt := range map[string]struct {
		third envelope.Envelope
		want  error
	}{
		"a third":                 {attest(t, keys[2], body, nil), nil},
		"a third with its body":   {func() envelope.Envelope { e := attest(t, keys[2], body, nil); e.Body = body; return e }(), nil},
		"a third, nearly expired": {attest(t, keys[2], body, func(e *envelope.Envelope) { e.IssuedAt = epoch.Add(-329 * time.Second) }), nil},
		"one of them again":       {attest(t, keys[0], body, func(e *envelope.Envelope) { e.Seq = 2 }), admission.ErrQuorum},
		"a stranger":              {attest(t, keys[9], body, nil), admission.ErrQuorum},
		"of another list":         {attest(t, keys[2], other, nil), admission.ErrQuorum},
		"of another list, shown":  {func() envelope.Envelope { e := attest(t, keys[2], other, nil); e.Body = other; return e }(), admission.ErrQuorum},
		"of another network":      {attest(t, keys[2], body, func(e *envelope.Envelope) { e.Network = "main" }), admission.ErrQuorum},
		"network changed after": {func() envelope.Envelope {
			e := attest(t, keys[2], body, func(e *envelope.Envelope) { e.Network = "main" })
			e.Network = "devnet"
			return e
		}(), admission.ErrQuorum},
		"of another kind":     {attest(t, keys[2], body, func(e *envelope.Envelope) { e.Kind = "node" }), admission.ErrQuorum},
		"about somebody else": {attest(t, keys[2], body, func(e *envelope.Envelope) { e.Subject = keys[3].ID() }), admission.ErrQuorum},
		"expired":             {attest(t, keys[2], body, func(e *envelope.Envelope) { e.IssuedAt = epoch.Add(-330 * time.Second) }), admission.ErrQuorum},
		"of tomorrow":         {attest(t, keys[2], body, func(e *envelope.Envelope) { e.IssuedAt = epoch.Add(31 * time.Second) }), admission.ErrQuorum},
		"for too long":        {attest(t, keys[2], body, func(e *envelope.Envelope) { e.TTL = 901 * time.Second }), admission.ErrQuorum},
		"a tombstone":         {attest(t, keys[2], body, func(e *envelope.Envelope) { e.Flags = envelope.Tombstone }), admission.ErrQuorum},
		"signature of another": {func() envelope.Envelope {
			e := attest(t, keys[9], body, nil)
			e.Issuer, e.Subject = keys[2].ID(), keys[2].ID()
			return e
		}(), admission.ErrQuorum},
		"signature of other fields": {func() envelope.Envelope { e := attest(t, keys[2], body, nil); e.TTL += time.Second; return e }(), admission.ErrQuorum},
	} {
		t.Run(name, func(t *testing.T) {
			for _, all := range [][]envelope.Envelope{append(slices.Clone(good), tt.third), append([]envelope.Envelope{tt.third}, good...)} {
				s, err := admission.Verify(epoch, "devnet", body, all, trusted)
				if !errors.Is(err, tt.want) {
					t.Fatalf("got %v, want %v", err, tt.want)
				}
				if err == nil && (s.Serial != 7 || !s.Admits(person(3)) || !s.Admits(person(9)) || s.Admits(person(4))) {
					t.Errorf("got %+v", s)
				}
			}
		})
	}
}

func TestVerify_expiresWhenTheQuorumBreaks(t *testing.T) {
	trusted := ids(keys[:4])
	body := encode(t, admission.Body{Serial: 1, Registries: trusted, AnyOrchestrator: true})
	var all []envelope.Envelope
	for i, k := range keys[:4] { // lives of 100, 200, 300 and 400 s
		all = append(all, attest(t, k, body, func(e *envelope.Envelope) { e.TTL = time.Duration(100+100*i) * time.Second }))
	}
	s, err := admission.Verify(epoch, "devnet", body, all, trusted)
	if want := epoch.Add(200 * time.Second); err != nil || !s.ExpiresAt.Equal(want) {
		t.Errorf("got %s, %v, want %s, after which two of four are left", s.ExpiresAt, err, want)
	}
	if !s.Admits(person(77)) {
		t.Error("anybody is not admitted")
	}
}

func TestRoll_trustMovesWithTheList(t *testing.T) {
	r := admission.New("devnet", ids(keys[:4]))
	first := encode(t, admission.Body{Serial: 1, Registries: ids(keys[:4]), AnyOrchestrator: true})
	second := encode(t, admission.Body{Serial: 2, Registries: ids(keys[4:8]), AnyOrchestrator: true})
	third := encode(t, admission.Body{Serial: 3, Registries: ids(keys[4:8]), Orchestrators: []drtc.NodeID{person(1)}})
	take := func(what string, body []byte, by []*identity.Key, want error) {
		t.Helper()
		changed, err := r.Take(epoch, body, attestAll(t, by, body))
		if !errors.Is(err, want) || changed != (err == nil) {
			t.Errorf("%s: got %v, %v, want %v", what, changed, err, want)
		}
	}
	take("the new ones sign for themselves", second, keys[4:8], admission.ErrQuorum)
	take("the first list", first, keys[:3], nil)
	take("the new ones, still", second, keys[4:8], admission.ErrQuorum)
	take("the old ones bring them in", second, keys[1:4], nil)
	take("the old ones have nothing to say any more", third, keys[:4], admission.ErrQuorum)
	take("the new ones have", third, keys[4:7], nil)
	take("and there is no way back", second, keys[1:4], admission.ErrOld)
	if s := r.Snapshot(); s.Serial != 3 || s.Admits(person(2)) || !s.Admits(person(1)) {
		t.Errorf("got %+v", s)
	}
}

func TestRoll_sameListLivesOnWithNewSignatures(t *testing.T) {
	r := admission.New("devnet", ids(keys[:1]))
	body := encode(t, admission.Body{Serial: 1, Registries: ids(keys[:1]), AnyOrchestrator: true})
	at := func(s int) envelope.Envelope {
		return attest(t, keys[0], body, func(e *envelope.Envelope) { e.IssuedAt = epoch.Add(time.Duration(s) * time.Second) })
	}
	for _, tt := range []struct {
		issued, end int
		changed     bool
	}{{10, 310, true}, {10, 310, false}, {5, 310, false}, {20, 320, true}} {
		changed, err := r.Take(epoch, body, []envelope.Envelope{at(tt.issued)})
		if got := r.Snapshot().ExpiresAt; err != nil || changed != tt.changed || !got.Equal(epoch.Add(time.Duration(tt.end)*time.Second)) {
			t.Errorf("issued at %d: got %v, %v, good until %s; want %v and %d s", tt.issued, changed, err, got, tt.changed, tt.end)
		}
	}
	fork := encode(t, admission.Body{Serial: 1, Registries: ids(keys[:2]), AnyOrchestrator: true})
	if changed, err := r.Take(epoch, fork, attestAll(t, keys[:1], fork)); changed || !errors.Is(err, admission.ErrFork) {
		t.Errorf("another list of the same serial: got %v, %v, want ErrFork", changed, err)
	}
}

func TestRoll_restoresItsProof(t *testing.T) {
	trusted := ids(keys[:4])
	r := admission.New("devnet", trusted)
	body := encode(t, admission.Body{Serial: 5, Registries: ids(keys[4:8]), AnyOrchestrator: true})
	if _, err := r.Take(epoch, body, attestAll(t, keys[:4], body)); err != nil {
		t.Fatal(err)
	}
	again := admission.New("devnet", trusted)
	if err := again.Restore(r.Proof()); err != nil {
		t.Fatal(err)
	}
	if a, b := r.Snapshot(), again.Snapshot(); a.Serial != b.Serial || !a.ExpiresAt.Equal(b.ExpiresAt) || !slices.Equal(again.Trusted(), sorted(keys[4:8])) {
		t.Errorf("got %+v trusting %v, want %+v", b, again.Trusted(), a)
	}
	forged := r.Proof()
	forged.Body = encode(t, admission.Body{Serial: 6, Registries: ids(keys[9:]), AnyOrchestrator: true})
	if err := admission.New("devnet", trusted).Restore(forged); !errors.Is(err, admission.ErrQuorum) {
		t.Errorf("a list that they did not sign: got %v, want ErrQuorum", err)
	}
}

func sorted(of []*identity.Key) []drtc.NodeID {
	return slices.SortedFunc(slices.Values(ids(of)), func(a, b drtc.NodeID) int { return bytes.Compare(a[:], b[:]) })
}

// Whatever a minority of Registries, strangers and replays hand over, in any
// order, the list stays what a quorum signed last.
func TestRoll_noMinorityNoReplayNoForeignNetworkEverChangesIt(t *testing.T) {
	n := 7
	trusted := ids(keys[:n])
	need := admission.Quorum(n)
	held := encode(t, admission.Body{Serial: 10, Registries: trusted, Orchestrators: []drtc.NodeID{person(1)}})
	heldProof := attestAll(t, keys[:need], held)
	old := encode(t, admission.Body{Serial: 9, Registries: trusted, AnyOrchestrator: true})
	oldProof := attestAll(t, keys[:n], old)
	rapid.Check(t, func(t *rapid.T) {
		r := admission.New("devnet", trusted)
		if _, err := r.Take(epoch, held, heldProof); err != nil {
			t.Fatal(err)
		}
		want := r.Snapshot()
		for range rapid.IntRange(1, 3).Draw(t, "attempts") {
			body, proof := old, oldProof
			if rapid.Bool().Draw(t, "forged") {
				serial := rapid.SampledFrom([]uint64{1, 10, 11, 1 << 63}).Draw(t, "serial")
				body = encode(t, admission.Body{Serial: serial, Registries: ids(keys[n:]), AnyOrchestrator: true})
				proof = attestAll(t, keys[n:], body) // strangers, all of them
				liars := rapid.IntRange(0, need-1).Draw(t, "liars")
				for _, k := range keys[:liars] {
					for seq := range rapid.IntRange(1, 3).Draw(t, "copies") {
						proof = append(proof, attest(t, k, body, func(e *envelope.Envelope) { e.Seq = uint64(seq) }))
					}
				}
				for _, k := range keys[liars:n] { // honest, elsewhere
					e := attest(t, k, body, func(e *envelope.Envelope) { e.Network = "main" })
					if rapid.Bool().Draw(t, "renamed") {
						e.Network = "devnet"
					}
					proof = append(proof, e)
				}
				proof = append(proof, heldProof...) // honest, of another list
				proof = rapid.Permutation(proof).Draw(t, "order")
			}
			if changed, err := r.Take(epoch, body, proof); changed || err == nil {
				t.Fatalf("got %v, %v, want a refusal", changed, err)
			}
			if got := r.Snapshot(); got.Serial != want.Serial || got.AnyOrchestrator || !slices.Equal(got.Registries, want.Registries) || !got.ExpiresAt.Equal(want.ExpiresAt) {
				t.Fatalf("changed to %+v", got)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(encode(f, admission.Body{Serial: 1, Registries: ids(keys[:1]), AnyOrchestrator: true}))
	f.Add(encode(f, admission.Body{Serial: 1 << 40, Registries: ids(keys[:4]), Orchestrators: ids(keys[4:])}))
	f.Add([]byte{8, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := admission.Parse(raw)
		if err != nil {
			if !errors.Is(err, admission.ErrMalformed) && !errors.Is(err, admission.ErrField) {
				t.Fatalf("foreign error %v", err)
			}
			return
		}
		if again := encode(t, b); !bytes.Equal(again, raw) {
			t.Fatalf("a second spelling: %x is written %x", raw, again)
		}
		var m registryv1.AdmissionBody
		if err := proto.Unmarshal(raw, &m); err != nil || m.GetSerial() != b.Serial || len(m.GetRegistries()) != len(b.Registries) {
			t.Fatalf("protobuf reads %v, %v", &m, err)
		}
	})
}
