package medianode_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/admission"
	"github.com/drtc-network/drtc/envelope"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/gen/drtc/registry/v1/registryv1connect"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/medianode"
	"github.com/drtc-network/drtc/medianode/control"
)

// lists is a Registry that shows a list and does nothing else.
type lists struct {
	registryv1connect.UnimplementedRegistryServiceHandler
	answer atomic.Pointer[registryv1.GetAdmissionResponse]
}

func (l *lists) GetAdmission(context.Context, *connect.Request[registryv1.GetAdmissionRequest]) (*connect.Response[registryv1.GetAdmissionResponse], error) {
	if a := l.answer.Load(); a != nil {
		return connect.NewResponse(a), nil
	}
	return nil, connect.NewError(connect.CodeUnavailable, errors.New("no list"))
}

func (l *lists) show(t *testing.T, key *identity.Key, body admission.Body) {
	t.Helper()
	raw, err := body.Encode()
	if err != nil {
		t.Fatal(err)
	}
	e := envelope.Envelope{Kind: admission.Kind, Network: "devnet", Subject: key.ID(), Seq: 1, IssuedAt: time.Now(), TTL: 300 * time.Second, Body: raw}
	if err := e.Sign(key); err != nil {
		t.Fatal(err)
	}
	e.Body = nil
	var r registryv1.Record
	if err := proto.Unmarshal(e.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	l.answer.Store(&registryv1.GetAdmissionResponse{Body: raw, Attestations: []*registryv1.Record{&r}})
}

func TestNode_obeysWhomTheRegistriesList(t *testing.T) {
	key, err := identity.Generate(strings.NewReader(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	l := &lists{}
	mux := http.NewServeMux()
	mux.Handle(registryv1connect.NewRegistryServiceHandler(l))
	registry := httptest.NewServer(mux)
	defer registry.Close()
	n := startNode(t, func(c *medianode.Config) {
		c.Registries = []string{registry.URL}
		c.Admission = control.Admission{Mode: control.AdmitNetwork, Registries: []drtc.NodeID{key.ID()}, Grace: time.Hour}
	})
	o := newOrchestrator(t, n)
	ask := func() error {
		_, err := o.GetSession(t.Context(), connect.NewRequest(&medianodev1.GetSessionRequest{Session: "x"}))
		return err
	}
	if err := ask(); connect.CodeOf(err) != connect.CodePermissionDenied || !contains(err, "no quorum of Registries has shown this node") {
		t.Errorf("before the list: got %v, want permission_denied that says so", err)
	}
	if status, text := healthOf(t, n); status != http.StatusServiceUnavailable || !strings.Contains(text, "no quorum") {
		t.Errorf("health before the list: %d, %s", status, text)
	}
	l.show(t, key, admission.Body{Serial: 3, Registries: []drtc.NodeID{key.ID()}, AnyOrchestrator: true})
	limit := time.After(20 * time.Second)
	for connect.CodeOf(ask()) != connect.CodeNotFound { // admitted, and there is no such session
		select {
		case <-limit:
			t.Fatalf("within 20s: %v, want that the caller is admitted", ask())
		default:
		}
	}
	if status, text := healthOf(t, n); status != http.StatusOK || text != "ok\n" {
		t.Errorf("health with the list: %d, %s", status, text)
	}
	resp, err := http.Get(n.MetricsURL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(text), "\ndrtc_medianode_admission_serial 3\n") {
		t.Errorf("metrics lack the serial of the list: %v", err)
	}
}

func healthOf(t *testing.T, n *medianode.Node) (int, string) {
	t.Helper()
	resp, err := http.Get(n.MetricsURL() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
