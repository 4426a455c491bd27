package reference

import (
	"math/big"

	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/qos"
)

// quality is Q1 to Q4: each sample's buckets and the counts exactly, V to 10^-15.
func quality(_, c *fields) {
	text := func(name string) string { s, _ := c.raw(name); return s }
	number := func(f *fields, name string) float64 { n, _ := f.rational(name).Float64(); return n }
	o := qos.Options{
		Seed: qos.Seed(text("seed")), Order: qos.Order(text("order")),
		AlphaBitrate: number(c, "alpha_bitrate"), AlphaRTT: number(c, "alpha_rtt"),
	}
	if err := o.Validate(); c.ok() && err != nil {
		c.bad("seed", "%v", err)
	}
	if !c.ok() {
		return
	}
	bitrate, n := c.list("bitrate_kbps")
	trip, m := c.list("rtt_ms")
	loss, k := c.list("loss")
	if m != n || k != n || n == 0 {
		c.bad("bitrate_kbps", "there are %d bitrates, %d round trips and %d losses", n, m, k)
		return
	}
	samples := make([]qos.Sample, n)
	for i := range samples {
		at := place(i)
		samples[i] = qos.Sample{BitrateKbps: number(bitrate, at), RTTMs: number(trip, at), Loss: number(loss, at)}
	}
	if !bitrate.ok() || !trip.ok() || !loss.ok() {
		return
	}
	buckets, err := qos.Classify(samples, o)
	if err != nil {
		c.bad("bitrate_kbps", "%v", err)
		return
	}
	scores := buckets.Scores()
	for _, s := range []struct {
		letters, fraction string
		buckets           []qos.Bucket
		tally             econ.Tally
	}{
		{"bitrate_good", "B", buckets.Bitrate, scores.Bitrate},
		{"rtt_good", "L", buckets.Latency, scores.Latency},
		{"loss_good", "F", buckets.Loss, scores.Loss},
	} {
		if want, got := text(s.letters), letters(s.buckets); want != got {
			c.bad(s.letters, "the file says %s, the rule gives %s", want, got)
		}
		c.near(s.fraction, new(big.Rat).SetFrac64(int64(s.tally.Good), int64(s.tally.Total)), new(big.Rat))
	}
	v, err := scores.V(econ.One)
	if err != nil {
		c.bad("V", "%v", err)
		return
	}
	c.near("V", new(big.Rat).SetFrac64(int64(v), int64(econ.One)), tiny(15))
}

// letters writes a g for a good bucket and a b for a bad one.
func letters(buckets []qos.Bucket) string {
	text := make([]byte, len(buckets))
	for i, b := range buckets {
		text[i] = '-'
		if b != qos.None {
			text[i] = b[0]
		}
	}
	return string(text)
}
