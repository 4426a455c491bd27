package gate

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/drtc-network/drtc/orchestrator/signal"
)

// maxBody bounds a request, in bytes.
const maxBody = 16 << 10

// maxRoom is the longest name of a room in bytes, as in tokens.
const maxRoom = 512

// failure is an answer that says what is wrong and what to do.
type failure struct {
	status  int
	Field   string `json:"field,omitempty"`
	Message string `json:"message"`
	Fix     string `json:"fix"`
}

func fail(status int, field, message, fix string) *failure {
	return &failure{status: status, Field: field, Message: message, Fix: fix}
}

// request is the body of both paths; each reads some of it.
type request struct {
	Address   string `json:"address"`
	Room      string `json:"room"`
	Challenge string `json:"challenge"`
	Signature string `json:"signature"`
}

// Register adds the paths to mux.
func (g *Gate) Register(mux *http.ServeMux) {
	path := "/drtc/v1/gate/"
	if g.config.Name != "" {
		path += g.config.Name + "/"
	}
	mux.HandleFunc(path+"challenge", g.serve(g.challenge))
	mux.HandleFunc(path+"token", g.serve(g.token))
}

// serve does what both paths have in common.
func (g *Gate) serve(do func(*http.Request, request) (any, *failure)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		signal.CORS(w)
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		body, failed := g.handle(w, r, do)
		status := http.StatusOK
		if failed != nil {
			status, body = failed.status, struct {
				Error *failure `json:"error"`
			}{failed}
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) // the client has gone when this fails
	}
}

func (g *Gate) handle(w http.ResponseWriter, r *http.Request, do func(*http.Request, request) (any, *failure)) (any, *failure) {
	if r.Method != http.MethodPost {
		return nil, fail(http.StatusMethodNotAllowed, "", "this makes something", "use POST")
	}
	if g.config.Allow != nil && !g.config.Allow(r) {
		return nil, fail(http.StatusTooManyRequests, "", "too many requests of this address", "try again in a few seconds")
	}
	if !g.limit.AllowN(g.config.Now(), 1) {
		return nil, fail(http.StatusTooManyRequests, "", "too many requests", "try again in a few seconds")
	}
	select {
	case g.seats <- struct{}{}:
		defer func() { <-g.seats }()
	default:
		return nil, fail(http.StatusServiceUnavailable, "", "too many requests at once", "try again in a few seconds")
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(5 * time.Second)) // a writer that has none is a test's
	var q request
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, fail(http.StatusRequestEntityTooLarge, "", fmt.Sprintf("the body is longer than %d bytes", maxBody), "send the fields alone")
		}
		return nil, fail(http.StatusBadRequest, "", "the body is not the JSON object that is wanted: "+err.Error(), "see docs/apps/gate.md")
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // else the connection ends while the chain is asked
	return do(r, q)
}

func (g *Gate) challenge(_ *http.Request, q request) (any, *failure) {
	a, err := parseAddress(q.Address)
	switch {
	case err != nil:
		return nil, fail(http.StatusBadRequest, "address", err.Error(), "send the wallet's address")
	case q.Room == "" || len(q.Room) > maxRoom:
		return nil, fail(http.StatusBadRequest, "room", fmt.Sprintf("want a name of 1 to %d bytes", maxRoom), "send the room's name")
	}
	sealed, message, err := g.Challenge(a, q.Room)
	if err != nil {
		return nil, failureOf(err)
	}
	return struct {
		Challenge string `json:"challenge"`
		Message   string `json:"message"`
	}{sealed, message}, nil
}

func (g *Gate) token(r *http.Request, q request) (any, *failure) {
	signature, err := hex.DecodeString(strings.TrimPrefix(q.Signature, "0x"))
	if err != nil || len(signature) == 0 || len(signature) > maxSignature {
		return nil, fail(http.StatusBadRequest, "signature", fmt.Sprintf("want 0x and 1 to %d bytes in hexadecimal digits", maxSignature), "send what personal_sign returned")
	}
	token, err := g.Token(r.Context(), q.Challenge, signature)
	if err != nil {
		return nil, failureOf(err)
	}
	return struct {
		Token string `json:"token"`
	}{token}, nil
}

// failureOf puts a cause into an answer.
func failureOf(err error) *failure {
	again := "ask for a new challenge and sign that"
	for _, known := range []struct {
		err                 error
		status              int
		field, message, fix string
	}{
		{ErrNoRule, http.StatusNotFound, "room", "the room is not open to holders of tokens", "ask for another room"},
		{ErrChallenge, http.StatusBadRequest, "challenge", "the challenge is not one of this gate", again},
		{ErrExpired, http.StatusForbidden, "challenge", "the challenge has expired", again},
		{ErrUsed, http.StatusForbidden, "challenge", "the challenge was used already", again},
		{ErrSignature, http.StatusForbidden, "signature", "the signature is not that of the address", "sign the message as it is, with the wallet whose address it names"},
		{ErrBalance, http.StatusForbidden, "address", "the address does not hold what the room asks for", "get the token, or sign in with the wallet that has it"},
		{ErrBusy, http.StatusServiceUnavailable, "", "too many have signed in at once", "try again in some minutes"},
	} {
		if errors.Is(err, known.err) {
			return fail(known.status, known.field, known.message, known.fix)
		}
	}
	return fail(http.StatusServiceUnavailable, "", "the chain did not answer, so nobody is let in", "try again")
}
