package medianode

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"connectrpc.com/connect"

	"github.com/drtc-network/drtc"
	medianodev1 "github.com/drtc-network/drtc/gen/drtc/medianode/v1"
	"github.com/drtc-network/drtc/gen/drtc/medianode/v1/medianodev1connect"
	"github.com/drtc-network/drtc/identity/keyfile"
	"github.com/drtc-network/drtc/rpcauth/httpauth"
)

// Operator commands a running node with the node's own key. It is safe for
// concurrent use.
type Operator struct {
	id     drtc.NodeID
	client medianodev1connect.ControlServiceClient
}

// NewOperator makes the operator of the node with that configuration. url is
// where its control service is; empty for what the configuration says, on this
// machine if it listens on every address. The error names the setting that is
// wrong.
//
// The node's certificate is a new one at each start and is not verified. The
// signature says which node is meant and what is asked, so that whoever sits in
// between can change neither; the answer is a number.
func NewOperator(cfg Config, url string) (*Operator, error) {
	key, err := keyfile.Load(cfg.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("medianode: key_file: %w", err)
	}
	if url == "" {
		if url, err = cfg.controlURL(); err != nil {
			return nil, err
		}
	}
	base := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}, InsecureSkipVerify: true,
	}}
	signed := &httpauth.Transport{Base: base, Key: key, Audience: key.ID(), Now: time.Now, Rand: rand.Reader}
	return &Operator{id: key.ID(), client: medianodev1connect.NewControlServiceClient(&http.Client{Transport: signed}, url)}, nil
}

// ID is the node's id.
func (o *Operator) ID() drtc.NodeID { return o.id }

// Drain stops the admission of sessions, or resumes it, and returns how many
// sessions are on the node.
func (o *Operator) Drain(ctx context.Context, drain bool) (sessions int, err error) {
	r, err := o.client.Drain(ctx, connect.NewRequest(&medianodev1.DrainRequest{Drain: drain}))
	if err != nil {
		return 0, fmt.Errorf("medianode: drain: %w", err)
	}
	return int(r.Msg.Sessions), nil
}

// controlURL is where the control service of a node with this configuration is.
func (c Config) controlURL() (string, error) {
	if c.URL != "" {
		return c.URL, nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil || port == "0" {
		return "", errors.New("medianode: listen: it does not tell the port of the control service: name its URL")
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.Is6() {
			host = "::1"
		}
	}
	return "https://" + net.JoinHostPort(host, port), nil
}
