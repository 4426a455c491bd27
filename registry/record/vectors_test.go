package record_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// causes gives the vectors' words for our errors.
var causes = map[string]error{
	"kind": record.ErrKind, "network": record.ErrNetwork, "issuer": record.ErrIssuer,
	"size": record.ErrSize, "ttl": record.ErrTTL, "future": record.ErrFuture,
	"expired": record.ErrExpired, "rate": record.ErrRate, "signature": envelope.ErrSignature,
}

func TestApply_vectors(t *testing.T) {
	b, err := os.ReadFile("../../spec/vectors/record.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Scenarios []struct {
			Name  string
			Steps []struct {
				AtMs                   int64
				Record, Outcome, Error string
			}
			Live []drtc.NodeID
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Scenarios) == 0 {
		t.Fatal("the vector file is empty")
	}
	for _, sc := range file.Scenarios {
		t.Run(sc.Name, func(t *testing.T) {
			s := newSet(t, nil)
			var now time.Time
			for i, step := range sc.Steps {
				raw, err := hex.DecodeString(strings.TrimPrefix(step.Record, "0x"))
				if err != nil {
					t.Fatal(err)
				}
				e, err := envelope.Parse(raw)
				if err != nil {
					t.Fatalf("step %d: %v", i, err)
				}
				now = time.UnixMilli(step.AtMs)
				outcome, err := s.Apply(now, e)
				if outcome.String() != step.Outcome {
					t.Errorf("step %d: got %s (%v), want %s", i, outcome, err, step.Outcome)
				}
				if want := causes[step.Error]; step.Error != "" && want == nil || !errors.Is(err, want) {
					t.Errorf("step %d: got error %v, want %q", i, err, step.Error)
				}
			}
			live := []drtc.NodeID{}
			for _, e := range s.All(now) {
				live = append(live, e.Subject)
			}
			if !slices.Equal(live, sc.Live) {
				t.Errorf("shown: got %v, want %v", live, sc.Live)
			}
		})
	}
}
