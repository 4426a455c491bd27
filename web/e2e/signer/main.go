// Command signer lets a test in JavaScript act as an Orchestrator: it forwards
// each request to a Media Node, signed with a key of its own (whitepaper 4.1.2).
//
//	POST /drtc.medianode.v1.ControlService/Offer
//	X-Node-ID: 0x…            whom the call is for
//	X-Node-URL: https://…     where that node's control service is
//
// It prints its address and serves until it is killed. The certificate of a node
// is not verified: both ends are on the machine of the test.
package main

import (
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/rpcauth/httpauth"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "signer:", err)
		os.Exit(1)
	}
}

func run() error {
	key, err := identity.Generate(rand.Reader)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "http://%s\n", l.Addr())
	return http.Serve(l, forward(key))
}

func forward(key *identity.Key) http.Handler {
	base := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := drtc.ParseNodeID(r.Header.Get("X-Node-ID"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		node, err := url.Parse(r.Header.Get("X-Node-URL"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		proxy := &httputil.ReverseProxy{
			Transport:     &httpauth.Transport{Base: base, Key: key, Audience: id, Now: time.Now, Rand: rand.Reader},
			FlushInterval: -1,
			Rewrite: func(p *httputil.ProxyRequest) {
				p.SetURL(node)
				p.Out.Header = http.Header{"Content-Type": r.Header["Content-Type"], "Connect-Protocol-Version": {"1"}}
			},
		}
		proxy.ServeHTTP(w, r)
	})
}
