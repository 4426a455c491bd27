package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/drtc-network/drtc/examples/stage/stagetest"
)

// The holder of a badge gets in, a stranger does not.
func TestGated(t *testing.T) {
	s := stagetest.Start(t, program, gated())
	signIn := func(name string) (token, fault string) {
		var wallet struct{ Address string }
		s.Ask(http.MethodPost, "/api/wallet", map[string]string{"name": name}, &wallet)
		var asked struct{ Challenge, Message string }
		if status := s.Ask(http.MethodPost, "/drtc/v1/gate/challenge", map[string]string{"address": wallet.Address, "room": "gated"}, &asked); status != http.StatusOK {
			t.Fatalf("%s gets no challenge: %d", name, status)
		}
		if !strings.HasPrefix(asked.Message, strings.TrimPrefix(s.URL, "http://")+" wants you to sign in") {
			t.Errorf("the message is %q, want that it names this site", asked.Message)
		}
		var signed struct{ Signature string }
		s.Ask(http.MethodPost, "/api/sign", map[string]string{"name": name, "message": asked.Message}, &signed)
		var given struct {
			Token string
			Error struct{ Message string }
		}
		s.Ask(http.MethodPost, "/drtc/v1/gate/token", map[string]string{"challenge": asked.Challenge, "signature": signed.Signature}, &given)
		return given.Token, given.Error.Message
	}
	if token, fault := signIn("stranger"); token != "" || !strings.Contains(fault, "does not hold") {
		t.Errorf("the stranger got %q, %q, want a refusal", token, fault)
	}
	token, fault := signIn("holder")
	if token == "" {
		t.Fatalf("the holder was refused: %s", fault)
	}
	holder, status := s.Enter("gated", token)
	if holder == nil {
		t.Fatalf("the Orchestrator refuses the gate's token: %d", status)
	}
	if !strings.HasPrefix(holder.Self.GetIdentity(), "0x") || holder.Self.GetAttributes()["drtc.role"] != "speaker" {
		t.Errorf("the holder is %s, %v, want its address and speaker", holder.Self.GetIdentity(), holder.Self.GetAttributes())
	}
	if script := s.Ask(http.MethodPost, "/api/wallet", map[string]string{"name": "nobody"}, nil); script != http.StatusNotFound {
		t.Errorf("a wallet that is not there: got %d, want 404", script)
	}
}
