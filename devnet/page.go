package devnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Limits of what the page sends, in bytes.
const (
	maxGuestBody = 4096
	maxGuestText = 128
)

// Guest is whom the page asks a token for.
type Guest struct {
	Identity string `json:"identity"`
	Room     string `json:"room"`
	Name     string `json:"name"`
}

// Page serves the call page and answers POST /api/token with a token for
// everybody who asks, so it is for development alone. sign makes the token. A
// request that another site's page sends is refused. The handler is safe for
// concurrent use if page and sign are.
func Page(page http.Handler, sign func(Guest) (string, error)) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", page)
	mux.HandleFunc("POST /api/token", func(w http.ResponseWriter, r *http.Request) {
		guest, err := readGuest(http.MaxBytesReader(w, r.Body, maxGuestBody))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		token, err := sign(guest)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		scheme := "ws://"
		if r.TLS != nil {
			scheme = "wss://"
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		// The reader is gone when this fails: nobody to tell.
		_ = json.NewEncoder(w).Encode(struct {
			Token string `json:"token"`
			URL   string `json:"url"`
		}{token, scheme + r.Host})
	})
	return http.NewCrossOriginProtection().Handler(mux)
}

func readGuest(body io.Reader) (Guest, error) {
	var g Guest
	if err := json.NewDecoder(body).Decode(&g); err != nil {
		return Guest{}, errors.New(`want JSON such as {"identity":"alice","room":"demo","name":"Alice"}`)
	}
	for _, field := range []struct {
		name, text string
		required   bool
	}{{"identity", g.Identity, true}, {"room", g.Room, true}, {"name", g.Name, false}} {
		if field.required && field.text == "" {
			return Guest{}, fmt.Errorf("%s: must not be empty", field.name)
		}
		if len(field.text) > maxGuestText {
			return Guest{}, fmt.Errorf("%s: at most %d bytes, got %d", field.name, maxGuestText, len(field.text))
		}
	}
	return g, nil
}
