package challenge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/qos"
)

// ErrReport is returned for a report outside spec Q16; the text names the field.
var ErrReport = errors.New("challenge: report")

// End says how a side's part of a test ended.
type End uint8

// The ends.
const (
	Completed   End = iota + 1 // every sample was taken
	Unconnected                // there was no connection when the measured part began
	PeerLost                   // nothing came from the other side for Rules.Silence
	Withdrawn                  // the test began to hurt paying sessions
	Stopped                    // the node was stopped, or too late for a sample
)

// String is the name of the end.
func (e End) String() string {
	switch e {
	case Completed:
		return "completed"
	case Unconnected:
		return "unconnected"
	case PeerLost:
		return "peer lost"
	case Withdrawn:
		return "withdrawn"
	case Stopped:
		return "stopped"
	}
	return fmt.Sprintf("end %d", uint8(e))
}

// Report is what one side of a pair says of a test.
type Report struct {
	Part
	End        End
	Advertised Advertised // when it ended
	// CPUMillis is how much of the processors the node used while it was measured,
	// all of its work, in thousandths of one; 0 is not known.
	CPUMillis uint32
	// Heard is the last checkpoint of the other side, nil if there was none.
	Heard *Checkpoint
	// Samples are Order.Samples and the one from which they count, or the first of
	// them.
	Samples   []Sample
	Signature identity.Signature
}

// MaxReport bounds a report in bytes: those of both sides are below 64 KB.
const MaxReport = 1 + 73 + 1 + advertisedSize + 4 + 1 + (4 + 32 + 65) + 2 + (MaxSamples+1)*sampleSize + 65

// chain is the hash of the first n samples.
func (r *Report) chain(n int) [32]byte {
	h := r.start()
	for _, s := range r.Samples[:n] {
		h = extend(h, s)
	}
	return h
}

func (r *Report) heard() []byte {
	if r.Heard == nil {
		return nil
	}
	return r.Heard.commitment()
}

func (r *Report) typed() identity.TypedHash {
	t := identity.Type{Name: "TestReport", Fields: append(partFields(),
		identity.Field{Name: "end", Type: "uint8"}, identity.Field{Name: "advertised", Type: "bytes"},
		identity.Field{Name: "cpuMillis", Type: "uint32"}, identity.Field{Name: "heard", Type: "bytes"},
		identity.Field{Name: "count", Type: "uint32"}, identity.Field{Name: "chain", Type: "bytes32"})}
	values := append(r.values(), uint64(r.End), r.Advertised.bytes(), uint64(r.CPUMillis), r.heard(),
		uint64(len(r.Samples)), r.chain(len(r.Samples)))
	return identity.TypedHash{Separator: domain(), Struct: mustHash(t, values...)}
}

func (r *Report) sign(key *identity.Key) { r.Signature = key.SignTyped(r.typed()) }

// Hash is what a report is known by: what its signer signed.
func (r *Report) Hash() [32]byte { return r.typed().Digest() }

// Verify holds a report to its order, its fields to spec Q16 and its signature
// to its node. Only reports that it accepts may be stored. The error wraps
// ErrForeign, ErrReport, ErrCheckpoint or ErrSignature.
func (r *Report) Verify(o *Order) error {
	if err := r.check(o); err != nil {
		return err
	}
	n, whole := len(r.Samples), o.Samples()+1
	switch {
	case r.End < Completed || r.End > Stopped:
		return fmt.Errorf("%w: end is %d, want 1 to 5", ErrReport, r.End)
	case n > whole:
		return fmt.Errorf("%w: it has %d samples, want at most %d", ErrReport, n, whole)
	case (r.End == Completed) != (n == whole):
		return fmt.Errorf("%w: it has %d samples of %d and ends as %s", ErrReport, n, whole, r.End)
	case r.End == Unconnected && n > 0:
		return fmt.Errorf("%w: it has %d samples and ends as %s", ErrReport, n, r.End)
	}
	var before *Sample
	for i := range r.Samples {
		if err := r.Samples[i].check(i, r.Side, before, o); err != nil {
			return err
		}
		before = &r.Samples[i]
	}
	if r.Heard != nil {
		if r.Heard.Part != r.peer() {
			return fmt.Errorf("%w: the checkpoint in it is not of the other side", ErrForeign)
		}
		if err := r.Heard.Verify(o); err != nil {
			return err
		}
	}
	return signedBy(r.Node, r.typed(), r.Signature, "the report")
}

// Keeps reports whether a report is of the samples that its own side had given a
// checkpoint of, which the other side heard.
func (r *Report) Keeps(heard *Checkpoint) bool {
	return heard == nil || int(heard.Count) <= len(r.Samples) && r.chain(int(heard.Count)) == heard.Chain
}

// Contradicts reports whether one node signed both as its word for one part of
// one test. Both verified, they prove that it did.
func (r *Report) Contradicts(other *Report) bool {
	return r.Part == other.Part && r.Hash() != other.Hash()
}

// Bytes is the form that ParseReport reads.
func (r *Report) Bytes() []byte {
	b := r.append(append(make([]byte, 0, MaxReport), version))
	b = append(append(b, byte(r.End)), r.Advertised.bytes()...)
	b = binary.BigEndian.AppendUint32(b, r.CPUMillis)
	b = append(appendFlag(b, r.Heard != nil), r.heard()...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.Samples)))
	for _, s := range r.Samples {
		b = s.append(b)
	}
	return append(b, r.Signature[:]...)
}

// ParseReport reads a report and checks nothing but its form: call Verify. The
// error wraps ErrReport.
func ParseReport(b []byte) (Report, error) {
	if len(b) > MaxReport {
		return Report{}, fmt.Errorf("%w: %d bytes, want at most %d", ErrReport, len(b), MaxReport)
	}
	rd := reader{rest: b}
	rd.begin()
	r := Report{Part: rd.part(), End: End(rd.u8()), Advertised: rd.advertised(), CPUMillis: rd.u32()}
	if rd.flag() {
		heard := rd.commitment(r.peer())
		r.Heard = &heard
	}
	n := int(rd.u16())
	if rd.err == nil && n*sampleSize > len(rd.rest) {
		rd.err = errShort
	}
	for i := 0; i < n && rd.err == nil; i++ {
		r.Samples = append(r.Samples, rd.sample())
	}
	rd.fill(r.Signature[:])
	if err := rd.end(); err != nil {
		return Report{}, fmt.Errorf("%w: %d bytes: %w", ErrReport, len(b), err)
	}
	return r, nil
}

// Series is what a Challenger's report says of the stream, an element for each
// interval of the order (spec Q17). An interval that was not measured is one of
// a dead stream. The report is one that Verify accepts.
func (r *Report) Series(o *Order) []qos.Sample {
	series := make([]qos.Sample, o.Samples())
	trip := r.firstTrip()
	for i := range series {
		series[i] = qos.Sample{RTTMs: float64(trip/time.Microsecond) / 1000, Loss: 1}
		if i+1 >= len(r.Samples) {
			continue
		}
		a, b := r.Samples[i], r.Samples[i+1]
		if b.Trip != 0 {
			trip = b.Trip
		}
		series[i] = qos.Sample{
			BitrateKbps: rate(a, b),
			RTTMs:       float64(trip/time.Microsecond) / 1000,
			Loss:        loss(a, b),
		}
	}
	return series
}

// firstTrip is the first round trip that was measured, 0 if none was.
func (r *Report) firstTrip() time.Duration {
	for _, s := range r.Samples {
		if s.Trip != 0 {
			return s.Trip
		}
	}
	return 0
}

// rate is what came between two samples, kbit/s. Integers below 2^61 are divided
// as float64, so each step is rounded alike everywhere.
func rate(a, b Sample) float64 {
	bits, us := (b.Bytes-a.Bytes)*8, uint64((b.At-a.At)/time.Microsecond)
	return float64(bits*1000) / float64(us)
}

// loss is the share of the packets expected between two samples that did not
// come; all where none were expected. Packets that came late count when they came.
func loss(a, b Sample) float64 {
	expected, received := b.Expected-a.Expected, b.Packets-a.Packets
	switch {
	case expected == 0 && received == 0:
		return 1
	case received >= expected:
		return 0
	}
	return float64(expected-received) / float64(expected)
}
