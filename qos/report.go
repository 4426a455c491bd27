package qos

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/drtc-network/drtc/econ"
)

// ErrReport is returned for JSON that is not a report or a stat, and for scores
// that do not follow from their raw data; the text names the field.
var ErrReport = errors.New("qos: report")

// MaxReport bounds the JSON of a report, bytes.
const MaxReport = 256 << 10

// Stat is what a node's media engine says of one stream every few seconds, under
// the names of whitepaper 4.3.8.
type Stat struct {
	Timestamp     int64   `json:"timestamp"` // ms, of a clock that the test began with
	SSRC          uint32  `json:"ssrc"`
	Kind          string  `json:"kind"` // video
	MimeType      string  `json:"mimeType"`
	RoundTripTime float64 `json:"roundTripTime"` // ms, spec Q1
	Type          string  `json:"type"`          // inbound-rtp
	Jitter        uint32  `json:"jitter"`        // in units of the RTP clock
	ByteCount     uint64  `json:"byteCount"`
	PacketCount   uint64  `json:"packetCount"`
	Bitrate       uint64  `json:"bitrate"` // bit/s
}

// Snapshot is the scores of a test with the raw data behind them.
type Snapshot struct {
	BitrateScore           float64   `json:"bitrateScore"`
	BitrateSnapshot        []float64 `json:"bitrateSnapshot"` // kbit/s
	LatencyScore           float64   `json:"latencyScore"`
	LatencySnapshot        []float64 `json:"latencySnapshot"` // ms
	FractionalLossScore    float64   `json:"fractionalLossScore"`
	FractionalLossSnapshot []float64 `json:"fractionalLossSnapshot"`
}

// Report is the JSON of whitepaper 4.3.8, and beside it both V with the
// adequacy between them, which a report of somebody else may lack (nil).
type Report struct {
	ScoreSnapshot Snapshot `json:"scoreSnapshot"`
	PaperV        *float64 `json:"v_paper,omitempty"`
	Adequacy      *float64 `json:"adequacy,omitempty"`
	V             *float64 `json:"v,omitempty"`
}

// NewReport is what samples and their Result look like in JSON. The result is
// that of Assess.
func NewReport(samples []Sample, r Result) Report {
	v, g, paper := r.V.Float(), r.Adequacy.Float(), r.PaperV.Float()
	report := Report{PaperV: &paper, Adequacy: &g, V: &v}
	s := &report.ScoreSnapshot
	s.BitrateSnapshot, s.LatencySnapshot, s.FractionalLossSnapshot = []float64{}, []float64{}, []float64{}
	for _, sample := range samples {
		s.BitrateSnapshot = append(s.BitrateSnapshot, sample.BitrateKbps)
		s.LatencySnapshot = append(s.LatencySnapshot, sample.RTTMs)
		s.FractionalLossSnapshot = append(s.FractionalLossSnapshot, sample.Loss)
	}
	s.BitrateScore, s.LatencyScore, s.FractionalLossScore = ratio(r.Scores.Bitrate), ratio(r.Scores.Latency), ratio(r.Scores.Loss)
	return report
}

func ratio(t econ.Tally) float64 {
	if t.Total == 0 {
		return 0
	}
	return float64(t.Good) / float64(t.Total)
}

// ParseReport reads the JSON of a report. Lists of different length, values that
// no Sample has and scores outside 0 to 1 are refused; names that it does not
// know are left alone. Whether the scores are those of the raw data is said by
// Check. The error wraps ErrReport, or ErrSample for a value of the raw data.
func ParseReport(text []byte) (Report, error) {
	var r Report
	if err := unmarshal(text, &r); err != nil {
		return Report{}, err
	}
	s := r.ScoreSnapshot
	n := len(s.BitrateSnapshot)
	if len(s.LatencySnapshot) != n || len(s.FractionalLossSnapshot) != n || n == 0 || n > MaxSamples {
		return Report{}, fmt.Errorf("%w: scoreSnapshot has %d bitrates, %d latencies and %d fractional losses, want as many of each, 1 to %d",
			ErrReport, n, len(s.LatencySnapshot), len(s.FractionalLossSnapshot), MaxSamples)
	}
	for i, sample := range r.Samples() {
		if err := sample.Validate(); err != nil {
			return Report{}, fmt.Errorf("sample %d of scoreSnapshot: %w", i, err)
		}
	}
	absent := 0.0
	for _, f := range []struct {
		name  string
		value *float64
	}{
		{"bitrateScore", &s.BitrateScore}, {"latencyScore", &s.LatencyScore}, {"fractionalLossScore", &s.FractionalLossScore},
		{"v_paper", r.PaperV}, {"adequacy", r.Adequacy}, {"v", r.V},
	} {
		if f.value == nil {
			f.value = &absent
		}
		if *f.value < 0 || *f.value > 1 {
			return Report{}, fmt.Errorf("%w: %s is %v, want 0 to 1", ErrReport, f.name, *f.value)
		}
	}
	return r, nil
}

// ParseStat reads the JSON of one stat. The error wraps ErrReport.
func ParseStat(text []byte) (Stat, error) {
	var s Stat
	if err := unmarshal(text, &s); err != nil {
		return Stat{}, err
	}
	if s.RoundTripTime < 0 {
		return Stat{}, fmt.Errorf("%w: roundTripTime is %v, want milliseconds that are not negative", ErrReport, s.RoundTripTime)
	}
	return s, nil
}

func unmarshal(text []byte, to any) error {
	if len(text) > MaxReport {
		return fmt.Errorf("%w: %d bytes, want at most %d", ErrReport, len(text), MaxReport)
	}
	if err := json.Unmarshal(text, to); err != nil {
		return fmt.Errorf("%w: %w", ErrReport, err)
	}
	return nil
}

// Samples are the raw data of a report whose lists are of one length.
func (r Report) Samples() []Sample {
	s := r.ScoreSnapshot
	samples := make([]Sample, len(s.BitrateSnapshot))
	for i := range samples {
		samples[i] = Sample{BitrateKbps: s.BitrateSnapshot[i], RTTMs: s.LatencySnapshot[i], Loss: s.FractionalLossSnapshot[i]}
	}
	return samples
}

// Check computes the scores from the raw data of a parsed report, and v_paper if
// it is there, and returns an error that names the first that is off by more
// than 10^-9. The whitepaper's own example fails: its fractionalLossScore is not
// that of algorithm 4.
func (r Report) Check(o Options) error {
	scores, err := Evaluate(r.Samples(), o)
	if err != nil {
		return err
	}
	v, err := scores.V(econ.One)
	if err != nil {
		return err
	}
	s := r.ScoreSnapshot
	paper := v.Float()
	said := r.PaperV
	if said == nil {
		said = &paper
	}
	for _, f := range []struct {
		name      string
		said, was float64
	}{
		{"bitrateScore", s.BitrateScore, ratio(scores.Bitrate)},
		{"latencyScore", s.LatencyScore, ratio(scores.Latency)},
		{"fractionalLossScore", s.FractionalLossScore, ratio(scores.Loss)},
		{"v_paper", *said, paper},
	} {
		if !(math.Abs(f.said-f.was) <= 1e-9) {
			return fmt.Errorf("%w: %s is %v, the raw data give %v", ErrReport, f.name, f.said, f.was)
		}
	}
	return nil
}
