package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/gen/drtc/registry/v1/registryv1connect"
	"github.com/drtc-network/drtc/registry/record"
	"github.com/drtc-network/drtc/registry/wire"
)

func TestRPC_jsonForFollowers(t *testing.T) {
	s := serve(t, newBackend(0), nil)
	at := func(procedure, kind, body string) (int, string) {
		a, err := http.Post(s.URL+procedure, kind, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Body.Close()
		b, err := io.ReadAll(a.Body)
		if err != nil {
			t.Fatal(err)
		}
		return a.StatusCode, string(b)
	}
	post := func(body string) (int, string) {
		return at(registryv1connect.RegistryServiceRegisterNodeProcedure, "application/json", body)
	}
	for name, body := range map[string]string{
		"empty": "", "garbage": "garbage", "no record": "{}", "wrong type": `{"record":{"seq":"x"}}`,
		"unknown field": `{"recrod":{}}`, "empty record": `{"record":{}}`,
	} {
		if status, answer := post(body); status != http.StatusBadRequest || !strings.Contains(answer, "invalid_argument") {
			t.Errorf("%s: got %d %s, want 400", name, status, answer)
		}
	}
	if status, answer := post(`{"record":{"body":"` + strings.Repeat("A", 1<<20) + `"}}`); status != http.StatusTooManyRequests || !strings.Contains(answer, "resource_exhausted") {
		t.Errorf("1 MB: got %d %s", status, answer)
	}
	if status, answer := at(registryv1connect.RegistryServiceGetAdmissionProcedure, "application/json", "garbage"); status != http.StatusBadRequest {
		t.Errorf("GetAdmission of garbage: got %d %s", status, answer)
	}
	for name, body := range map[string]string{
		"nothing": "", "garbage": "garbage", "half": "\x00\x00\x00\x00\x09{}", "not JSON": "\x00\x00\x00\x00\x02{]",
		"too large": "\x00\x7f\x00\x00\x00{}", "compressed": "\x01\x00\x00\x00\x02{}",
	} {
		if _, answer := at(registryv1connect.RegistryServiceWatchProcedure, "application/connect+json", body); !strings.Contains(answer, `"error":{"code":`) {
			t.Errorf("Watch of %s: got %q, want an error", name, answer)
		}
	}
}

func TestRPC_registrationNamesTheProbers(t *testing.T) {
	s := serve(t, newBackend(1), nil)
	rpc := registryv1connect.NewRegistryServiceClient(http.DefaultClient, s.URL)
	_, e := signedNode(1)
	r, err := wire.ToProto(&e)
	if err != nil {
		t.Fatal(err)
	}
	a, err := rpc.RegisterNode(t.Context(), connect.NewRequest(&registryv1.RegisterNodeRequest{Record: r}))
	if err != nil {
		t.Fatal(err)
	}
	b, err := rpc.RefreshNode(t.Context(), connect.NewRequest(&registryv1.RefreshNodeRequest{Record: r}))
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]interface {
		GetMinGeneration() uint64
		GetProbers() []*registryv1.Prober
	}{"register": a.Msg, "refresh": b.Msg} {
		if p := got.GetProbers(); got.GetMinGeneration() != 7 || len(p) != 1 || p[0].GetRegistry() != self.String() || p[0].GetUrl() == "" {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// A node whose generation was revoked learns from which one on it is taken.
func TestRPC_revokedGenerationIsAnsweredWithTheLowest(t *testing.T) {
	b := newBackend(1)
	b.refusal = fmt.Errorf("more: %w", record.ErrRevoked)
	s := serve(t, b, nil)
	rpc := registryv1connect.NewRegistryServiceClient(http.DefaultClient, s.URL)
	_, e := signedNode(1)
	r, err := wire.ToProto(&e)
	if err != nil {
		t.Fatal(err)
	}
	registered, err := rpc.RegisterNode(t.Context(), connect.NewRequest(&registryv1.RegisterNodeRequest{Record: r}))
	if err != nil {
		t.Fatalf("register: %v", err)
	}
	refreshed, err := rpc.RefreshNode(t.Context(), connect.NewRequest(&registryv1.RefreshNodeRequest{Record: r}))
	if err != nil {
		t.Fatalf("refresh: %v", err)
	}
	for name, got := range map[string]interface {
		GetAccepted() bool
		GetHeld() *registryv1.Record
		GetMinGeneration() uint64
	}{"register": registered.Msg, "refresh": refreshed.Msg} {
		if got.GetAccepted() || got.GetHeld() != nil || got.GetMinGeneration() != 7 {
			t.Errorf("%s: got %v, want not accepted, nothing held and generation 7", name, got)
		}
	}
	e.Flags, e.Body = envelope.Tombstone, nil
	if r, err = wire.ToProto(&e); err != nil {
		t.Fatal(err)
	}
	if _, err := rpc.DeregisterNode(t.Context(), connect.NewRequest(&registryv1.DeregisterNodeRequest{Tombstone: r})); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Errorf("deregister: got %v, want PermissionDenied", err)
	}
}

func TestRPC_admissionIsGivenOnceAndSignedByMany(t *testing.T) {
	b := newBackend(0)
	s := serve(t, b, nil)
	rpc := registryv1connect.NewRegistryServiceClient(http.DefaultClient, s.URL)
	ask := func() *registryv1.GetAdmissionResponse {
		a, err := rpc.GetAdmission(t.Context(), connect.NewRequest(&registryv1.GetAdmissionRequest{}))
		if err != nil {
			t.Fatal(err)
		}
		return a.Msg
	}
	if a := ask(); len(a.GetBody()) != 0 || len(a.GetAttestations()) != 0 {
		t.Errorf("too few agree: got %v, want nothing", a)
	}
	b.body = []byte("who takes part")
	for i := range 2 {
		_, e := signedNode(i + 1)
		e.Kind, e.Body = "admission", b.body
		b.attestations = append(b.attestations, e)
	}
	a := ask()
	if string(a.GetBody()) != string(b.body) || len(a.GetAttestations()) != 2 {
		t.Fatalf("got %v", a)
	}
	for i, r := range a.GetAttestations() {
		if len(r.GetBody()) != 0 || r.GetSeq() != b.attestations[i].Seq || len(b.attestations[i].Body) == 0 {
			t.Errorf("attestation %d: got %v, want the record without its body", i, r)
		}
	}
}

func TestRPC_refusalsHaveCodes(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want connect.Code
	}{
		{record.ErrBond, connect.CodePermissionDenied}, {record.ErrRevoked, connect.CodePermissionDenied},
		{record.ErrQuota, connect.CodeResourceExhausted}, {record.ErrExpired, connect.CodeFailedPrecondition},
		{envelope.ErrSignature, connect.CodeUnauthenticated}, {errors.New("the disk is full"), connect.CodeUnavailable},
	} {
		if got := codeOf(fmt.Errorf("more: %w", tt.err)); got != tt.want {
			t.Errorf("%v: got %v, want %v", tt.err, got, tt.want)
		}
	}
}
