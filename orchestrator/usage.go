package orchestrator

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
	"github.com/drtc-network/drtc/receipt"
)

// usageAnswer is what an application used.
type usageAnswer struct {
	From        receipt.Day   `json:"from"`
	To          receipt.Day   `json:"to"`
	Rows        []receipt.Row `json:"rows"`
	ClientBytes uint64        `json:"client_bytes"`
	RelayBytes  uint64        `json:"relay_bytes"`
}

// usage tells an application's server what its rooms and API keys used, day by day:
// GET with a token that grants roomList, with from and to (days in UTC, both
// included), by (what to tell apart: day, key, room with commas) and format (json or
// csv).
func (o *Orchestrator) usage(w http.ResponseWriter, r *http.Request) {
	signal.CORS(w)
	claims, err := signal.ReadToken(r, o.config.signalKeys(), o.now())
	switch {
	case err != nil:
		signal.Refuse(w, err)
		return
	case !claims.Grants.Video.RoomList:
		http.Error(w, "the access token does not grant roomList", http.StatusForbidden)
		return
	}
	today := receipt.DayOf(o.now())
	from, to := receipt.Day(r.FormValue("from")), receipt.Day(r.FormValue("to"))
	if from == "" {
		from = today
	}
	if to == "" {
		to = max(today, from)
	}
	for _, p := range []struct {
		name string
		day  receipt.Day
	}{{"from", from}, {"to", to}} {
		if _, err := time.Parse(time.DateOnly, string(p.day)); err != nil {
			http.Error(w, fmt.Sprintf("%s: want a day such as %s, got %.20q", p.name, today, p.day), http.StatusBadRequest)
			return
		}
	}
	apart := []string{"day", "key", "room"}
	if by := r.FormValue("by"); by != "" {
		apart = strings.Split(by, ",")
	}
	for _, word := range apart {
		if word != "day" && word != "key" && word != "room" {
			http.Error(w, fmt.Sprintf("by: want day, key or room with commas between them, got %.20q", word), http.StatusBadRequest)
			return
		}
	}
	answer := usageAnswer{From: from, To: to, Rows: []receipt.Row{}}
	for _, row := range o.billing.Rows(from, to) {
		if row.Application != claims.Application {
			continue
		}
		answer.ClientBytes += row.Client
		answer.RelayBytes += row.Relay
		answer.Rows = append(answer.Rows, together(row, apart))
	}
	answer.Rows = receipt.MergeRows(answer.Rows)
	switch format := r.FormValue("format"); format {
	case "", "json":
		writeJSON(w, answer)
	case "csv":
		writeUsage(w, answer)
	default:
		http.Error(w, fmt.Sprintf("format: want json or csv, got %.20q", format), http.StatusBadRequest)
	}
}

// together leaves out of a row what is not to be told apart.
func together(r receipt.Row, apart []string) receipt.Row {
	if !slices.Contains(apart, "day") {
		r.Day = ""
	}
	if !slices.Contains(apart, "key") {
		r.Key = ""
	}
	if !slices.Contains(apart, "room") {
		r.Room = ""
	}
	return r
}

// writeUsage writes rows as CSV (RFC 4180) with a header.
func writeUsage(w http.ResponseWriter, a usageAnswer) {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=\"usage-%s-%s.csv\"", a.From, a.To))
	w.Header().Set("Cache-Control", "no-store")
	c := csv.NewWriter(w)
	_ = c.Write([]string{"day", "application", "key", "room", "client_bytes", "relay_bytes"}) // the client has gone when this fails
	for _, r := range a.Rows {
		_ = c.Write([]string{string(r.Day), r.Application, r.Key, r.Room, strconv.FormatUint(r.Client, 10), strconv.FormatUint(r.Relay, 10)})
	}
	c.Flush()
}

// received takes what a participant's client says to have received so far, by its
// statistics: its node is not paid for much more than that. POST with the
// participant's token and {"received_bytes": N}.
func (o *Orchestrator) received(w http.ResponseWriter, r *http.Request) {
	signal.CORS(w)
	caller, err := o.signal.Authenticate(r)
	if err != nil {
		signal.Refuse(w, err)
		return
	}
	var said struct {
		Received *uint64 `json:"received_bytes"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1024)).Decode(&said); err != nil || said.Received == nil {
		http.Error(w, `want {"received_bytes": 123}: bytesReceived and headerBytesReceived of all inbound-rtp statistics, less retransmittedBytesReceived, and bytesReceived of data channels`, http.StatusBadRequest)
		return
	}
	var s room.Session
	found := false
	if a := o.running(signal.RoomName{Application: caller.Application, Name: caller.Room}); a != nil {
		err := a.deliver(r.Context(), letter{ask: func(a *actor) { s, found = a.room.Find(drtc.Identity(caller.Identity)) }})
		found = found && err == nil
	}
	if !found {
		http.Error(w, "the token's participant is not in its room", http.StatusNotFound)
		return
	}
	o.billing.Testify(s.Node, sessionMeeting(s.Session), *said.Received)
	w.WriteHeader(http.StatusNoContent)
}
