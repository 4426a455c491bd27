package state_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/drtc-network/drtc/orchestrator/state"
)

func TestCheckKey(t *testing.T) {
	for _, c := range []struct {
		key  string
		want error
	}{
		{"rooms", nil},
		{"rooms.RM_abc.participants.PA_x-y=/9", nil},
		{strings.Repeat("k", state.MaxKeySize), nil},
		{strings.Repeat("k", state.MaxKeySize+1), state.ErrTooLarge},
		{"", state.ErrKey},
		{".", state.ErrKey},
		{".rooms", state.ErrKey},
		{"rooms.", state.ErrKey},
		{"rooms..x", state.ErrKey},
		{"rooms.*", state.ErrKey},
		{"rooms.>", state.ErrKey},
		{"rooms x", state.ErrKey},
		{"rooms.ä", state.ErrKey},
		{"rooms\n", state.ErrKey},
	} {
		if err := state.CheckKey(c.key); !errors.Is(err, c.want) {
			t.Errorf("%.20q: got %v, want %v", c.key, err, c.want)
		}
	}
}

func TestCheckPrefix(t *testing.T) {
	for prefix, want := range map[string]error{
		"": nil, "rooms.": nil, "rooms.RM_a.": nil,
		"rooms": state.ErrKey, ".": state.ErrKey, "rooms..": state.ErrKey, "*.": state.ErrKey,
		strings.Repeat("k", state.MaxKeySize+1) + ".": state.ErrTooLarge,
	} {
		if err := state.CheckPrefix(prefix); !errors.Is(err, want) {
			t.Errorf("%.20q: got %v, want %v", prefix, err, want)
		}
	}
}

func TestToken_anyTextMakesAKeyOfItsOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		if err := state.CheckKey("names." + state.Token(a)); err != nil && !errors.Is(err, state.ErrTooLarge) {
			t.Errorf("%q: %v", a, err)
		}
		if (a == b) != (state.Token(a) == state.Token(b)) {
			t.Errorf("%q and %q make %q and %q", a, b, state.Token(a), state.Token(b))
		}
	})
}
