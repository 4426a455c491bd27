package control

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/gen/drtc/medianode/v1/medianodev1connect"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/rpcauth/httpauth"
)

// Operator commands a running node with the node's own key. It is safe for
// concurrent use.
type Operator struct {
	id     drtc.NodeID
	client medianodev1connect.ControlServiceClient
}

// NewOperator makes the operator of the node with that key, whose control service
// is at url.
//
// The node's certificate is a new one at each start and is not verified. The
// signature says which node is meant and what is asked, so that whoever sits in
// between can change neither; the answer is a number.
func NewOperator(key *identity.Key, url string) *Operator {
	base := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}, InsecureSkipVerify: true,
	}}
	signed := &httpauth.Transport{Base: base, Key: key, Audience: key.ID(), Now: time.Now, Rand: rand.Reader}
	return &Operator{id: key.ID(), client: medianodev1connect.NewControlServiceClient(&http.Client{Transport: signed}, url)}
}

// ID is the node's id.
func (o *Operator) ID() drtc.NodeID { return o.id }

// Drain stops the admission of sessions, or resumes it, and returns how many
// sessions are on the node.
func (o *Operator) Drain(ctx context.Context, drain bool) (sessions int, err error) {
	r, err := o.client.Drain(ctx, connect.NewRequest(&medianodev1.DrainRequest{Drain: drain}))
	if err != nil {
		return 0, fmt.Errorf("control: drain: %w", err)
	}
	return int(r.Msg.Sessions), nil
}
