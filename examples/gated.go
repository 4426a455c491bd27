package main

import (
	"context"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/big"
	"net/http"

	"github.com/drtc-network/drtc/examples/chain"
	"github.com/drtc-network/drtc/examples/stage"
	"github.com/drtc-network/drtc/orchestrator/gate"
)

//go:embed gated/drtc.toml
var gatedPolicy string

//go:embed gated/wallet.js
var walletScript []byte

// gated is a room for those who hold a token: a wallet signs in, the gate
// reads its balance from a chain, and the holder gets in as speaker.
//
// The chain is one of our own, in this process, with two wallets: "holder", who
// has a badge, and "stranger", who has none.
func gated() stage.Example {
	return stage.Example{
		Name: "gated", Title: "A room for holders of a badge", Policy: gatedPolicy, Serve: serveGate,
		About: `As name, take "holder" (who has a badge), "stranger" (who has none) or "browser" (your own wallet).`,
	}
}

// serveGate adds the gate, and the wallets of the example.
func serveGate(ctx context.Context, mux *http.ServeMux, s *stage.Site) error {
	c, err := chain.New()
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = c.Close() })
	badge, err := c.Deploy("Badge")
	if err != nil {
		return err
	}
	wallets := map[string]chain.Wallet{}
	for _, name := range []string{"holder", "stranger"} {
		if wallets[name], err = chain.NewWallet(); err != nil {
			return err
		}
	}
	if err := badge.Mint(wallets["holder"].Address(), big.NewInt(1)); err != nil {
		return err
	}
	g, err := gate.New(gate.Config{
		Domain: s.URL[len("http://"):], URI: s.URL + "/", Statement: "Show your badge to get in.",
		RPC: c.URL, ChainID: chain.ID, Key: s.Network.APIKey, Secret: s.Network.APISecret,
		Rules: []gate.Rule{{Room: "*", Standard: gate.ERC721, Contract: gate.Address(badge.Address), Role: "speaker"}},
	})
	if err != nil {
		return err
	}
	g.Register(mux)
	mux.HandleFunc("GET /wallet.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write(walletScript)
	})
	mux.HandleFunc("POST /api/call", func(w http.ResponseWriter, r *http.Request) {
		stage.WriteJSON(w, map[string]string{"call": s.CallPage(read(w, r)["token"])})
	})
	mux.HandleFunc("POST /api/wallet", func(w http.ResponseWriter, r *http.Request) {
		if chosen, ok := named(w, wallets, read(w, r)["name"]); ok {
			stage.WriteJSON(w, map[string]string{"address": chosen.Address().Hex()})
		}
	})
	mux.HandleFunc("POST /api/sign", func(w http.ResponseWriter, r *http.Request) {
		q := read(w, r)
		chosen, ok := named(w, wallets, q["name"])
		if !ok {
			return
		}
		signature, err := chosen.Sign(q["message"])
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		stage.WriteJSON(w, map[string]string{"signature": "0x" + hex.EncodeToString(signature)})
	})
	return nil
}

// read reads a small JSON object of texts.
func read(w http.ResponseWriter, r *http.Request) map[string]string {
	q := map[string]string{}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8<<10))
	if err == nil {
		_ = json.Unmarshal(text, &q) // what is not there is empty
	}
	return q
}

func named(w http.ResponseWriter, wallets map[string]chain.Wallet, name string) (chain.Wallet, bool) {
	chosen, ok := wallets[name]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		stage.WriteJSON(w, map[string]any{"error": map[string]string{"message": "no such wallet", "fix": `take "holder" or "stranger"`}})
	}
	return chosen, ok
}
