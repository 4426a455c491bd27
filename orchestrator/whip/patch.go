package whip

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/drtc-network/drtc/orchestrator/room"
)

// patch takes candidates or restarts ICE (RFC 9725 section 4.3).
func (e *session) patch(w http.ResponseWriter, r *http.Request) error {
	if err := typed(r, fragmentType); err != nil {
		return err
	}
	condition := strings.TrimSpace(strings.Join(r.Header.Values("If-Match"), ","))
	switch {
	case condition == "":
		return refuse(http.StatusPreconditionRequired, `If-Match is missing: send the session's ETag with candidates, or "*" (without quotes) to restart ICE`)
	case condition != "*" && !e.current(condition):
		return refuse(http.StatusPreconditionFailed, "If-Match names an older ICE session: use the ETag of the last answer")
	}
	text, err := e.server.body(w, r, maxFragment)
	if err != nil {
		return err
	}
	f, err := readFragment(text)
	if err != nil {
		return refuse(http.StatusBadRequest, "%s", err)
	}
	if err := e.fits(f, condition == "*"); err != nil {
		return err
	}
	if condition != "*" {
		e.post(room.Trickle{Participant: e.participant, Candidates: f.candidates})
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	answer, err := e.restart(r.Context(), f)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("ETag", e.entityTag())
	h.Set("Content-Type", fragmentType)
	h.Set("Cache-Control", "no-store")
	e.server.linkServers(w)
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, answer)
	return nil
}

// current reports whether a list of entity tags holds the session's. The
// comparison is the strong one (RFC 9110 section 8.8.3.2).
func (e *session) current(list string) bool {
	tag := e.entityTag()
	for item := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(item) == tag {
			return true
		}
	}
	return false
}

// fits checks what a fragment means against the session.
func (e *session) fits(f fragment, restart bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, mid := range f.mids {
		if !slices.ContainsFunc(e.mids, func(m string) bool { return m == mid }) {
			return refuse(http.StatusUnprocessableEntity, "a=mid:%.32s: the offer has no such section", mid)
		}
	}
	switch {
	case restart && f.ufrag == "":
		return refuse(http.StatusUnprocessableEntity, "an ICE restart needs new a=ice-ufrag and a=ice-pwd")
	case restart && f.ufrag == e.ufrag:
		return refuse(http.StatusUnprocessableEntity, "an ICE restart needs a new a=ice-ufrag: this one is in use")
	case !restart && f.ufrag != "" && f.ufrag != e.ufrag:
		return refuse(http.StatusUnprocessableEntity, `a=ice-ufrag is not the session's: send "If-Match: *" to restart ICE`)
	}
	return nil
}

// restart offers the session's sections with new credentials to the node.
func (e *session) restart(ctx context.Context, f fragment) (string, error) {
	e.mu.Lock()
	if e.restarting {
		e.mu.Unlock()
		return "", refuse(http.StatusConflict, "an ICE restart of this session is under way: wait for its answer")
	}
	e.restarting = true
	e.offers++
	id, sdp := e.offers, restarted(e.offer, f)
	e.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, e.server.config.AnswerWait)
	defer cancel()
	e.post(room.Offer{Participant: e.participant, ID: id, SDP: sdp})
	answer, err := e.out.await(ctx, id)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.restarting = false
	if err != nil {
		return "", err
	}
	e.offer, e.ufrag, e.tag = sdp, f.ufrag, newID()[:16]
	return fragmentOf(answer.SDP), nil
}
