package reconcile_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/registry/record"
)

// The frames of a session are those that spec/registry.md says, byte for byte.
func TestSession_vectors(t *testing.T) {
	b, err := os.ReadFile("../../spec/vectors/record.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Sync []struct {
			Name                 string
			Initiator, Responder []string
			Frames               []struct {
				From, Frame, SHA256 string
				Bytes               int
			}
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Sync) == 0 {
		t.Fatal("the vector file is empty")
	}
	set := func(records []string) *record.Set {
		s := newSet(t)
		for _, r := range records {
			raw, err := hex.DecodeString(strings.TrimPrefix(r, "0x"))
			if err != nil {
				t.Fatal(err)
			}
			e, err := envelope.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			merge(t, s, e)
		}
		return s
	}
	for _, v := range file.Sync {
		var l link
		if a, b := set(v.Initiator), set(v.Responder); !l.run(t, a, b) || a.Root() != b.Root() {
			t.Errorf("%s: the roots differ", v.Name)
		}
		if len(l.seen) != len(v.Frames) {
			t.Fatalf("%s: %d frames, want %d", v.Name, len(l.seen), len(v.Frames))
		}
		for i, want := range v.Frames {
			got, sum := l.seen[i], sha256.Sum256(l.seen[i])
			if from := []string{"responder", "initiator"}[l.to[i]]; from != want.From {
				t.Errorf("%s: frame %d is the %s's, want the %s's", v.Name, i, from, want.From)
			}
			if want.Frame != "" && "0x"+hex.EncodeToString(got) != want.Frame {
				t.Errorf("%s: frame %d is %x, want %s", v.Name, i, got, want.Frame)
			}
			if want.Frame == "" && (len(got) != want.Bytes || "0x"+hex.EncodeToString(sum[:]) != want.SHA256) {
				t.Errorf("%s: frame %d has %d bytes and SHA-256 %x, want %d and %s", v.Name, i, len(got), sum, want.Bytes, want.SHA256)
			}
		}
	}
}
