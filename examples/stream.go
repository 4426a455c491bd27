package main

import (
	"context"
	_ "embed"
	"net/http"
	"net/url"

	"github.com/drtc-network/drtc/examples/stage"
)

//go:embed stream/drtc.toml
var streamPolicy string

// stream is a live stream: few publish, many watch, and how the room
// spreads over Media Nodes follows the audience.
func stream() stage.Example {
	return stage.Example{
		Name: "stream", Title: "A live stream", Policy: streamPolicy, Roles: []string{"host", "speaker", "viewer"},
		About: "Hosts and speakers publish, viewers watch. GET /api/encoder says where an encoder sends to.",
		Serve: func(_ context.Context, mux *http.ServeMux, s *stage.Site) error {
			mux.HandleFunc("GET /api/encoder", func(w http.ResponseWriter, r *http.Request) { encoder(w, r, s) })
			return nil
		},
	}
}

// encoder says where an encoder publishes a room's stream, and where players get it.
func encoder(w http.ResponseWriter, r *http.Request, s *stage.Site) {
	name := r.FormValue("room")
	token, err := s.Token("encoder", name, "host")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	room := url.PathEscape(name)
	stage.WriteJSON(w, map[string]string{
		"publish": s.Network.URL + "/whip/" + room + "/encoder", "play": s.Network.URL + "/whep/" + room + "/encoder", "token": token,
	})
}
