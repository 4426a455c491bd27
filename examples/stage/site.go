package stage

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
)

//go:embed page.html
var page []byte

// Network is where an example runs.
type Network struct {
	URL       string `json:"url"`
	APIKey    string `json:"api_key"`
	APISecret string `json:"api_secret"`
}

// Site is the server of an example's application.
type Site struct {
	Network Network
	Example Example
	URL     string
}

// tokenLife is how long a token lets in.
const tokenLife = time.Hour

// Token lets somebody into a room, in a role or in none.
func (s *Site) Token(identity, name, role string) (string, error) {
	g := signal.Grants{Identity: identity, Name: identity, Room: name}
	if role != "" {
		g.Attributes = map[string]string{room.AttributeRole: role}
	}
	return signal.Token(s.Network.APIKey, s.Network.APISecret, g, tokenLife)
}

// CallPage is the address of the network's call page for the holder of a token.
func (s *Site) CallPage(token string) string {
	return s.Network.URL + "/?" + url.Values{"token": {token}, "url": {"ws" + strings.TrimPrefix(s.Network.URL, "http")}}.Encode()
}

// register adds the paths of every example.
func (s *Site) register(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	})
	mux.HandleFunc("GET /api/example", func(w http.ResponseWriter, _ *http.Request) {
		WriteJSON(w, map[string]any{
			"name": s.Example.Name, "title": s.Example.Title, "about": s.Example.About, "roles": s.Example.Roles, "orchestrator": s.Network.URL,
		})
	})
	mux.HandleFunc("POST /api/join", s.join)
	mux.HandleFunc("GET /api/people", s.people)
}

// join gives everybody the token that they ask for: this is an example.
func (s *Site) join(w http.ResponseWriter, r *http.Request) {
	var q struct{ Identity, Room, Role string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&q); err != nil {
		http.Error(w, "want JSON with identity, room and role", http.StatusBadRequest)
		return
	}
	token, err := s.Token(q.Identity, q.Room, q.Role)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	WriteJSON(w, map[string]string{"token": token, "call": s.CallPage(token)})
}

// people lists who is in a room, by the server API.
func (s *Site) people(w http.ResponseWriter, r *http.Request) {
	list, err := s.Ask(r.Context(), r.FormValue("room"), "ListParticipants", map[string]any{"room": r.FormValue("room")})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(list)
}

// Ask calls a method of the server API for a room.
func (s *Site) Ask(ctx context.Context, name, method string, request any) ([]byte, error) {
	token, err := signal.Token(s.Network.APIKey, s.Network.APISecret, signal.Grants{Identity: "server", Room: name, Names: []string{"roomAdmin"}}, time.Minute)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Network.URL+"/twirp/livekit.RoomService/"+method, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	q.Header.Set("Content-Type", "application/json")
	q.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %w", method, errors.New(string(text)))
	}
	return text, err
}

// WriteJSON answers with v.
func WriteJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v) // the client has gone when this fails
}
