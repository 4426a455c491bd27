package challenge

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/identity"
)

// bin is bytes in JSON as 0x and hexadecimal digits.
type bin []byte

func (b *bin) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(strings.TrimPrefix(string(text), "0x"))
	return err
}

type vectors struct {
	Keys   map[drtc.NodeID]string
	Orders []struct {
		Fields struct {
			Network         string
			Test            bin
			Attempt         uint8
			Epoch, Slot     uint64
			Kind            Kind
			Prover, Witness drtc.NodeID
			Challengers     []struct {
				ID       drtc.NodeID
				BudgetMs int64
			}
			RateKbps                  uint32
			PacketBytes               uint16
			Start, Latest             int64
			SetUp, Duration, Interval int64
		}
		ID, Bytes bin
	}
	Checkpoints, Reports, Refusals []struct {
		Order       int
		Bytes, Hash bin
	}
	Verdicts []struct {
		Order              int
		Prover, Challenger *int
		Void               string
		Fault              drtc.NodeID
		Quality            *struct {
			BitrateGood, LatencyGood, LossGood, Total uint64
			VPaper, Adequacy, V                       string
		}
	}
	Proven []struct {
		Order int
		Pairs [][2]int
		Mbps  uint32
	}
}

// Statements and verdicts are those of another implementation.
func TestVectors(t *testing.T) {
	text, err := os.ReadFile("../spec/vectors/challenge.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Orders) == 0 || len(v.Checkpoints) == 0 || len(v.Reports) == 0 || len(v.Refusals) == 0 || len(v.Verdicts) == 0 || len(v.Proven) == 0 {
		t.Fatal("a list is empty")
	}
	keys := map[drtc.NodeID]*identity.Key{}
	for id, secret := range v.Keys {
		k, err := identity.ParseKey(secret)
		if err != nil || k.ID() != id {
			t.Fatalf("key of %s: %v", id, err)
		}
		keys[id] = k
	}
	orders := vectorOrders(t, v, keys)
	for i, x := range v.Checkpoints {
		c, err := ParseCheckpoint(x.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		signature := c.Signature
		if c.sign(keys[c.Node]); c.Signature != signature || string(c.Bytes()) != string(x.Bytes) || c.Verify(&orders[x.Order]) != nil {
			t.Errorf("checkpoint %d: signed and written again it is %x", i, c.Bytes())
		}
	}
	reports := make([]Report, len(v.Reports))
	for i, x := range v.Reports {
		if reports[i], err = ParseReport(x.Bytes); err != nil {
			t.Fatal(err)
		}
		r := reports[i]
		r.sign(keys[r.Node])
		if hash := r.Hash(); string(hash[:]) != string(x.Hash) || string(r.Bytes()) != string(x.Bytes) {
			t.Errorf("report %d: signed and written again it is %x", i, r.Bytes())
		}
		if err := r.Verify(&orders[x.Order]); err != nil {
			t.Errorf("report %d: %v", i, err)
		}
	}
	for i, x := range v.Refusals {
		r, err := ParseRefusal(x.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		signature := keys[r.Node].SignTyped(r.typed())
		if err := r.Verify(&orders[x.Order], DefaultRules()); err != nil || signature != r.Signature || string(r.Bytes()) != string(x.Bytes) {
			t.Errorf("refusal %d: %v, written again %x", i, err, r.Bytes())
		}
	}
	vectorVerdicts(t, v, orders, reports)
}

func vectorOrders(t *testing.T, v vectors, keys map[drtc.NodeID]*identity.Key) []Order {
	t.Helper()
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	orders := make([]Order, len(v.Orders))
	for i, x := range v.Orders {
		f := x.Fields
		o := Order{
			Network: f.Network, Test: [32]byte(f.Test), Attempt: f.Attempt, Epoch: f.Epoch, Slot: f.Slot, Kind: f.Kind, Prover: f.Prover,
			RateKbps: f.RateKbps, PacketBytes: f.PacketBytes, Start: time.UnixMilli(f.Start), Latest: time.UnixMilli(f.Latest),
			SetUp: ms(f.SetUp), Duration: ms(f.Duration), Interval: ms(f.Interval),
		}
		for _, c := range f.Challengers {
			o.Challengers = append(o.Challengers, Target{c.ID, ms(c.BudgetMs)})
		}
		if err := o.Sign(keys[f.Witness]); err != nil {
			t.Fatalf("order %d: %v", i, err)
		}
		if id := o.ID(); string(id[:]) != string(x.ID) || string(o.Bytes()) != string(x.Bytes) {
			t.Errorf("order %d is %x, want %x", i, o.Bytes(), x.Bytes)
		}
		read, err := ParseOrder(x.Bytes)
		if err != nil {
			t.Fatalf("order %d: %v", i, err)
		}
		if err := read.Verify(f.Network); err != nil {
			t.Errorf("order %d: %v", i, err)
		}
		orders[i] = read
	}
	return orders
}

func vectorVerdicts(t *testing.T, v vectors, orders []Order, reports []Report) {
	t.Helper()
	of := func(i *int) *Report {
		if i == nil {
			return nil
		}
		return &reports[*i]
	}
	for i, x := range v.Verdicts {
		got := judge(t, &orders[x.Order], of(x.Prover), of(x.Challenger))
		if got.Void.String() != x.Void || got.Fault != x.Fault {
			t.Errorf("verdict %d: %s, fault %s, want %s, %s", i, got.Void, got.Fault, x.Void, x.Fault)
		}
		if (x.Quality == nil) != (got.Void != 0) {
			t.Fatalf("verdict %d: %v", i, got)
		}
		if q := x.Quality; q != nil {
			wad := func(w econ.Wad) string { return strconv.FormatUint(uint64(w), 10) }
			s := got.Result.Scores
			if s.Bitrate.Good != q.BitrateGood || s.Latency.Good != q.LatencyGood || s.Loss.Good != q.LossGood || s.Loss.Total != q.Total ||
				wad(got.Result.PaperV) != q.VPaper || wad(got.Result.Adequacy) != q.Adequacy || wad(got.Result.V) != q.V {
				t.Errorf("verdict %d: %+v, want %+v", i, got.Result, *q)
			}
		}
	}
	for i, x := range v.Proven {
		var pairs []Pair
		for _, p := range x.Pairs {
			pairs = append(pairs, Pair{&reports[p[0]], &reports[p[1]]})
		}
		if mbps, _, err := Proven(&orders[x.Order], pairs, DefaultRules()); err != nil || mbps != x.Mbps {
			t.Errorf("proven %d: %d, %v, want %d", i, mbps, err, x.Mbps)
		}
	}
}
