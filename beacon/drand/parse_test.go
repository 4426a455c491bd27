package drand

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, name := range []string{"quicknet", "league"} {
		text, err := os.ReadFile("../testdata/" + name + ".json")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"round":1000,"randomness":"fe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd","signature":"b446"}`))
	f.Add([]byte(`{"round":-1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := parse(body)
		if err != nil {
			if !errors.Is(err, errLie) {
				t.Fatalf("got %v, want errLie", err)
			}
			return
		}
		again, err := parse(fmt.Appendf(nil, `{"round":%d,"randomness":"%x","signature":"%x","previous_signature":"%x"}`, r.Number, r.Randomness, r.Signature, r.Previous))
		if err != nil || again.Number != r.Number || hex.EncodeToString(again.Signature) != hex.EncodeToString(r.Signature) {
			t.Fatalf("%+v did not survive being written: %+v, %v", r, again, err)
		}
	})
}
