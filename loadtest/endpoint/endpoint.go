// Package endpoint is the HTTP side of WHIP and WHEP (RFC 9725) for servers that
// are made of pion's PeerConnections: it answers offers, keeps the sessions, and
// ends them by DELETE. There is no PATCH: candidates are all in the answer.
//
// Contract: every connection it was given is closed when Serve has returned.
//
// It serves measurements alone and asks nobody for a token. Sessions is safe
// for concurrent use.
package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
	"golang.org/x/sync/errgroup"

	"github.com/drtc-network/drtc/loadtest/client"
)

const (
	maxOffer = 1 << 20 // bytes
	goodbye  = time.Second
)

// Sessions are the connections of a server. The zero value is ready.
type Sessions struct {
	mu     sync.Mutex // guards what follows
	open   map[string]session
	serial int
}

type session struct {
	pc    *webrtc.PeerConnection
	ended func()
}

// Answer answers the offer of r with a connection of api, to which prepare adds
// tracks. prepare returns what to call when the session ends, or nil.
func (s *Sessions) Answer(w http.ResponseWriter, r *http.Request, api *webrtc.API, prepare func(*webrtc.PeerConnection) (ended func(), err error)) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOffer))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	ended, err := prepare(pc)
	if err == nil {
		var sdp string
		if sdp, err = client.Answer(r.Context(), pc, string(body)); err == nil {
			w.Header().Set("Content-Type", "application/sdp")
			w.Header().Set("Location", "/session/"+s.add(session{pc, ended}))
			w.WriteHeader(http.StatusCreated)
			// Who does not read the answer does not connect.
			_, _ = io.WriteString(w, sdp)
			return
		}
	}
	if ended != nil {
		ended()
	}
	http.Error(w, errors.Join(err, pc.Close()).Error(), http.StatusBadRequest)
}

// add keeps a session until it is ended or its transport has failed.
func (s *Sessions) add(one session) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[string]session{}
	}
	s.serial++
	id := strconv.Itoa(s.serial)
	s.open[id] = one
	one.pc.OnICEConnectionStateChange(func(state webrtc.ICEConnectionState) {
		if state == webrtc.ICEConnectionStateFailed {
			go s.remove(id)
		}
	})
	return id
}

// remove ends a session and reports whether there was one.
func (s *Sessions) remove(id string) bool {
	s.mu.Lock()
	one, found := s.open[id]
	delete(s.open, id)
	s.mu.Unlock()
	if !found {
		return false
	}
	if one.ended != nil {
		one.ended()
	}
	_ = one.pc.Close() // nothing can be done about it
	return true
}

func (s *Sessions) end(w http.ResponseWriter, r *http.Request) {
	if !s.remove(r.PathValue("id")) {
		http.Error(w, "no such session", http.StatusNotFound)
	}
}

// Serve serves mux at l, and DELETE of the sessions, until ctx ends.
func (s *Sessions) Serve(ctx context.Context, l net.Listener, mux *http.ServeMux) error {
	mux.HandleFunc("DELETE /session/{id}", s.end)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("endpoint: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
		defer cancel()
		// Requests that have not ended by then are cut.
		if server.Shutdown(bye) != nil {
			_ = server.Close()
		}
		return nil
	})
	err := group.Wait()
	s.mu.Lock()
	var ids []string
	for id := range s.open {
		ids = append(ids, id)
	}
	s.mu.Unlock()
	for _, id := range ids {
		s.remove(id)
	}
	return err
}
