package challenge

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc"
)

func TestOrder_refusesByField(t *testing.T) {
	zero, stranger := drtc.NodeID{}, key(t, 9).ID()
	for _, x := range []struct {
		want   string
		change func(*Order)
	}{
		{"network has 0 bytes", func(o *Order) { o.Network = "" }},
		{"network has 65 bytes", func(o *Order) { o.Network = strings.Repeat("n", 65) }},
		{"test is missing", func(o *Order) { o.Test = [32]byte{} }},
		{"kind is 4", func(o *Order) { o.Kind = 4 }},
		{"prover is missing", func(o *Order) { o.Prover = zero }},
		{"witness is missing", func(o *Order) { o.Witness = zero }},
		{"rateKbps is 0", func(o *Order) { o.RateKbps = 0 }},
		{"packetBytes is 1401", func(o *Order) { o.PacketBytes = 1401 }},
		{"setUp is -1ms", func(o *Order) { o.SetUp = -time.Millisecond }},
		{"setUp is 1µs", func(o *Order) { o.SetUp = time.Microsecond }},
		{"interval is 99ms", func(o *Order) { o.Interval = 99 * time.Millisecond }},
		{"duration is 500ms", func(o *Order) { o.Duration = 500 * time.Millisecond }},
		{"duration is 1.5s", func(o *Order) { o.Duration = 1500 * time.Millisecond }},
		{"duration is 601s", func(o *Order) { o.Duration = 10*time.Minute + time.Second }},
		{"start is", func(o *Order) { o.Start = o.Start.Add(time.Microsecond) }},
		{"start is", func(o *Order) { o.Start = time.Time{} }},
		{"latest is", func(o *Order) { o.Latest = o.Start.Add(-time.Millisecond) }},
		{"challengers are 0", func(o *Order) { o.Challengers = nil }},
		{"challengers are 2, want one", func(o *Order) { o.Challengers = append(o.Challengers, o.Challengers[0]) }},
		{"not strictly ascending", func(o *Order) { o.Kind = Capacity; o.Challengers = append(o.Challengers, o.Challengers[0]) }},
		{"somebody else than the prover", func(o *Order) { o.Challengers = []Target{{o.Prover, time.Second}} }},
		{"budget of 0s", func(o *Order) { o.Challengers = []Target{{stranger, 0}} }},
	} {
		o := order(t, 1, nil)
		x.change(&o)
		err := o.Validate()
		if !errors.Is(err, ErrOrder) && !strings.Contains(x.want, "latest") || err == nil || !strings.Contains(err.Error(), x.want) && !strings.HasPrefix(x.want, "duration") {
			t.Errorf("%v, want one that says %q", err, x.want)
		}
	}
}

func TestOrder_verify(t *testing.T) {
	o := order(t, 1, nil)
	if err := o.Verify("devnet"); err != nil {
		t.Fatal(err)
	}
	if err := o.Verify("mainnet"); !errors.Is(err, ErrNetwork) {
		t.Errorf("another network: %v", err)
	}
	forged := o
	forged.Witness = key(t, 9).ID()
	if err := forged.Verify("devnet"); !errors.Is(err, ErrSignature) {
		t.Errorf("another witness: %v", err)
	}
	// Whoever of the witnesses signs, it is the same order.
	again := o
	if err := again.Sign(key(t, 9)); err != nil || again.ID() != o.ID() || again.Signature == o.Signature {
		t.Errorf("signed by another witness: %v", err)
	}
	later := o
	later.Epoch++
	if later.ID() == o.ID() {
		t.Error("another epoch has the same id")
	}
}

// flipped is b with one bit changed.
func flipped(t *rapid.T, b []byte) []byte {
	c := append([]byte(nil), b...)
	c[rapid.IntRange(0, len(b)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
	return c
}

// No statement survives a changed bit, a missing byte or one too many.
func TestStatements_anyChangeIsRefused(t *testing.T) {
	o := order(t, 2, nil)
	prover, _ := honest(t, o)
	checkpoint := *prover.Heard
	refusal := docket(t, 2).refuse(&o, Draining, Advertised{Draining: true}, [32]byte{})
	statements := map[string]struct {
		bytes []byte
		read  func([]byte) error
	}{
		"order": {o.Bytes(), func(b []byte) error {
			read, err := ParseOrder(b)
			if err != nil {
				return err
			}
			return read.Verify("devnet")
		}},
		"checkpoint": {checkpoint.Bytes(), func(b []byte) error {
			read, err := ParseCheckpoint(b)
			if err != nil {
				return err
			}
			return read.Verify(&o)
		}},
		"report": {prover.Bytes(), func(b []byte) error {
			read, err := ParseReport(b)
			if err != nil {
				return err
			}
			return read.Verify(&o)
		}},
		"refusal": {refusal.Bytes(), func(b []byte) error {
			read, err := ParseRefusal(b)
			if err != nil {
				return err
			}
			return read.Verify(&o, DefaultRules())
		}},
	}
	rapid.Check(t, func(t *rapid.T) {
		for name, s := range statements {
			if err := s.read(s.bytes); err != nil {
				t.Fatalf("%s as it is: %v", name, err)
			}
			for what, b := range map[string][]byte{
				"a bit":      flipped(t, s.bytes),
				"cut short":  s.bytes[:rapid.IntRange(0, len(s.bytes)-1).Draw(t, "length")],
				"a byte too": append(append([]byte(nil), s.bytes...), 0),
			} {
				if err := s.read(b); err == nil {
					t.Fatalf("%s with %s is accepted", name, what)
				}
			}
		}
	})
}

// fuzz holds that what is read is written as it was, and nothing panics.
func fuzz(f *testing.F, seed []byte, read func([]byte) ([]byte, error), named ...error) {
	f.Helper()
	f.Add(seed)
	f.Add(seed[:len(seed)/2])
	f.Add([]byte{version})
	f.Fuzz(func(t *testing.T, b []byte) {
		written, err := read(b)
		if err != nil {
			for _, name := range named {
				if errors.Is(err, name) {
					return
				}
			}
			t.Fatalf("an error of no name: %v", err)
		}
		if string(written) != string(b) {
			t.Fatalf("%x is written as %x", b, written)
		}
	})
}

func FuzzParseOrder(f *testing.F) {
	o := order(tb{f}, 2, nil)
	fuzz(f, o.Bytes(), func(b []byte) ([]byte, error) {
		o, err := ParseOrder(b)
		if err != nil {
			return nil, err
		}
		o.ID()
		if err := o.Verify(o.Network); err != nil && !errors.Is(err, ErrSignature) {
			return nil, err
		}
		return o.Bytes(), nil
	}, ErrOrder)
}

func FuzzParseCheckpoint(f *testing.F) {
	o := order(tb{f}, 1, nil)
	prover, _ := honest(f, o)
	fuzz(f, prover.Heard.Bytes(), func(b []byte) ([]byte, error) {
		c, err := ParseCheckpoint(b)
		if err != nil {
			return nil, err
		}
		_ = c.Verify(&o)
		return c.Bytes(), nil
	}, ErrCheckpoint)
}

func FuzzParseReport(f *testing.F) {
	o := order(tb{f}, 1, func(o *Order) { o.Duration = 2 * time.Second })
	prover, challenger := honest(f, o)
	f.Add(challenger.Bytes())
	fuzz(f, prover.Bytes(), func(b []byte) ([]byte, error) {
		r, err := ParseReport(b)
		if err != nil {
			return nil, err
		}
		_ = r.Verify(&o)
		return r.Bytes(), nil
	}, ErrReport)
}

// What a node signs of whatever samples its own checks accept can be judged.
func FuzzJudge(f *testing.F) {
	o := order(tb{f}, 1, func(o *Order) { o.Duration = 2 * time.Second })
	prover, challenger := honest(f, o)
	f.Add(challenger.Bytes(), true)
	f.Add(prover.Bytes(), false)
	f.Fuzz(func(t *testing.T, b []byte, with bool) {
		r, err := ParseReport(b)
		if err != nil {
			return
		}
		r.Part = challenger.Part
		r.sign(key(t, 3))
		p := prover
		if !with {
			p = nil
		}
		v, err := Judge(&o, p, &r, DefaultRules())
		if (err == nil) != (r.Verify(&o) == nil) {
			t.Fatalf("Judge says %v, Verify %v", err, r.Verify(&o))
		}
		if v.Void != 0 && v.Result.V != 0 || v.Result.V > v.Result.PaperV {
			t.Fatalf("%s with %v", v.Void, v.Result)
		}
	})
}

func FuzzParseRefusal(f *testing.F) {
	o := order(tb{f}, 1, nil)
	r := docket(tb{f}, 2).refuse(&o, Busy, Advertised{CapacityMbps: 10, LoadMbps: 9}, [32]byte{})
	fuzz(f, r.Bytes(), func(b []byte) ([]byte, error) {
		r, err := ParseRefusal(b)
		if err != nil {
			return nil, err
		}
		_ = r.Verify(&o, DefaultRules())
		return r.Bytes(), nil
	}, ErrRefusal)
}

// tb is a *testing.F as a failer.
type tb struct{ testing.TB }
