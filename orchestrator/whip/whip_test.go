package whip_test

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/signal"
	"github.com/drtc-network/drtc/orchestrator/whip"
)

func TestPublish_isAParticipantWithTheOffersTracks(t *testing.T) {
	s := newServer(t, func(c *whip.Config, _ *signal.Config) {
		c.ICEServers = []whip.ICEServer{{URL: "stun:stun.example.net"}, {URL: "turn:turn.example.net?transport=udp", Username: "u", Credential: "c"}}
	})
	r := s.do(request{method: "POST", path: "/whip/studio%20A/ann%2F1", token: token(t, "ann/1", "studio A"), body: publishing})
	if r.status != http.StatusCreated || r.body != answerSDP {
		t.Fatalf("got %d %q, want 201 and the node's answer", r.status, r.body)
	}
	for header, want := range map[string]string{
		"Content-Type": sdpType, "Accept-Patch": fragmentType, "Access-Control-Allow-Origin": "*",
		"Link": "<stun:stun.example.net>; rel=\"ice-server\"",
	} {
		if got := r.header.Get(header); got != want {
			t.Errorf("%s: got %q, want %q", header, got, want)
		}
	}
	if got, want := r.header.Values("Link")[1], `<turn:turn.example.net?transport=udp>; rel="ice-server"; username="u"; credential="c"; credential-type="password"`; got != want {
		t.Errorf("second Link: got %s, want %s", got, want)
	}
	for _, name := range []string{"Location", "ETag", "Link", "Accept-Patch"} {
		if !strings.Contains(r.header.Get("Access-Control-Expose-Headers"), name) {
			t.Errorf("pages can't read %s: exposed are %s", name, r.header.Get("Access-Control-Expose-Headers"))
		}
	}
	if tag := r.header.Get("ETag"); len(tag) < 10 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		t.Errorf("ETag is %s, want a strong entity tag", tag)
	}
	j := s.rooms.joins[0]
	if j.Identity != "ann/1" || j.Name != "Name of ann/1" || j.Watch != nil || j.Permission.Subscribe || j.AutoSubscribe || !j.Permission.Publish {
		t.Errorf("joined as %+v, want a participant that publishes alone", j)
	}
	if len(j.Tracks) != 2 || j.Tracks[0].Track.Source != room.Microphone || j.Tracks[0].Track.CID != "mic" ||
		j.Tracks[1].Track.Source != room.Camera || j.Tracks[1].Track.CID != "cam" || j.Offer.SDP != publishing {
		t.Errorf("announced %+v, want a microphone and a camera with the offer's ids", j.Tracks)
	}
}

func TestPublish_underAnotherIdentityByAnAdministrator(t *testing.T) {
	s := newServer(t, nil)
	s.opened("/whip/r/cam7?place=50.1,8.7", token(t, "admin", "r", "roomAdmin"), publishing)
	if p := s.rooms.joins[0].Place; p == nil || p.Lat != 50.1 || p.Lon != 8.7 {
		t.Errorf("joined from %v, want the place in the address", p)
	}
	if j := s.rooms.joins[0]; j.Identity != "cam7" || j.Name != "" {
		t.Errorf("joined as %q with the name %q, want cam7 without the administrator's", j.Identity, j.Name)
	}
}

func TestPublish_simulcastAndScreen(t *testing.T) {
	s := newServer(t, nil)
	offer := head + video + "a=sendonly\r\na=msid:- same\r\na=rid:a send\r\na=rid:b send\r\na=simulcast:send a;~b\r\n" +
		"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:2\r\na=sendonly\r\na=msid:- same\r\n" + "m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:3\r\n"
	s.opened("/whip/r/ann", token(t, "ann", "r"), offer)
	tracks := s.rooms.joins[0].Tracks
	if len(tracks) != 2 {
		t.Fatalf("announced %+v, want two tracks: a section with port 0 is none", tracks)
	}
	if l := tracks[0].Track.Layers; len(l) != 2 || l[0].RID != "a" || l[1].RID != "b" || l[1].Quality != 1 {
		t.Errorf("layers are %+v, want a and b", l)
	}
	if screen := tracks[1].Track; screen.Source != room.ScreenShare || screen.CID == tracks[0].Track.CID || len(screen.Layers) != 0 {
		t.Errorf("the second video is %+v, want a screen with an id of its own", screen)
	}
}

func TestPlay_isASpectator(t *testing.T) {
	s := newServer(t, nil)
	viewer := token(t, "eve", "r", "!canPublish")
	for range 3 { // any number for one token
		s.opened("/whep/r/ann", viewer, playing)
	}
	s.opened("/whep/r", viewer, playing+"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:2\r\na=recvonly\r\n")
	for i, want := range []room.Watch{{Identity: "ann", Audio: 1, Video: 1}, {Identity: "ann", Audio: 1, Video: 1}, {Identity: "ann", Audio: 1, Video: 1}, {Audio: 1, Video: 2}} {
		j := s.rooms.joins[i]
		if j.Watch == nil || *j.Watch != want || j.Identity != "eve" || len(j.Tracks) != 0 {
			t.Errorf("session %d joined as %+v, want a spectator %+v", i, j, want)
		}
	}
	if got := s.whip.Sessions(); got != 4 {
		t.Errorf("%d sessions, want 4", got)
	}
}

func TestOptions_sayWhatAPathTakes(t *testing.T) {
	s := newServer(t, nil)
	url, _ := s.opened("/whep/r/ann", token(t, "eve", "r"), playing)
	for path, want := range map[string][2]string{
		"/whip/r/ann": {"Accept-Post", sdpType}, "/whep/r/ann": {"Accept-Post", sdpType}, "/whep/r": {"Accept-Post", sdpType}, url: {"Accept-Patch", fragmentType},
	} {
		r := s.do(request{method: "OPTIONS", path: path})
		if r.status != http.StatusNoContent || r.header.Get(want[0]) != want[1] || r.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("OPTIONS %s: got %d with %v, want 204 with %s", path, r.status, r.header, want)
		}
		if h := r.header.Get("Access-Control-Allow-Headers"); !strings.Contains(h, "Authorization") || !strings.Contains(h, "If-Match") {
			t.Errorf("OPTIONS %s: pages may send %s, want Authorization and If-Match", path, h)
		}
	}
}

func TestPatch_handsCandidatesOver(t *testing.T) {
	s := newServer(t, nil)
	tok := token(t, "eve", "r")
	url, tag := s.opened("/whep/r/ann", tok, playing)
	for _, condition := range []string{tag, `"other", ` + tag} {
		r := s.do(request{method: "PATCH", path: url, token: tok, body: fragment, header: http.Header{"If-Match": {condition}}})
		if r.status != http.StatusNoContent || r.header.Get("ETag") != "" || r.body != "" {
			t.Errorf("If-Match: %s: got %d %q, want 204 without an ETag", condition, r.status, r.body)
		}
		if c := heard[room.Trickle](s); len(c.Candidates) != 1 || !strings.HasPrefix(c.Candidates[0], "candidate:1 1 udp") || c.Participant != s.rooms.joins[0].Participant {
			t.Errorf("the room heard %+v, want the candidate", c)
		}
	}
}

func TestPatch_restartsICE(t *testing.T) {
	s := newServer(t, nil)
	tok := token(t, "ann", "r")
	url, tag := s.opened("/whip/r/ann", tok, publishing)
	anyTag := http.Header{"If-Match": {"*"}}
	r := s.do(request{method: "PATCH", path: url, token: tok, body: restart + "a=candidate:1 1 udp 1 192.0.2.7 5000 typ host\r\n", header: anyTag})
	const want = "a=group:BUNDLE 0 1\r\na=ice-lite\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:node\r\n" +
		"a=ice-pwd:nodenodenodenodenodenode\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=end-of-candidates\r\n"
	if r.status != http.StatusOK || r.body != want || r.header.Get("Content-Type") != fragmentType {
		t.Errorf("got %d %s %q, want 200 and %q", r.status, r.header.Get("Content-Type"), r.body, want)
	}
	next := r.header.Get("ETag")
	if next == "" || next == tag {
		t.Errorf("ETag is %q after %q, want a new one", next, tag)
	}
	o := heard[room.Offer](s)
	if o.ID != 2 || !strings.Contains(o.SDP, "a=ice-ufrag:efgh") || strings.Contains(o.SDP, "abcd") || !strings.Contains(o.SDP, "192.0.2.7") || !strings.Contains(o.SDP, "a=msid:s cam") {
		t.Errorf("the node is offered %q, want the session's sections with new credentials", o.SDP)
	}
	if r := s.do(request{method: "PATCH", path: url, token: tok, body: fragment, header: http.Header{"If-Match": {tag}}}); r.status != http.StatusPreconditionFailed {
		t.Errorf("candidates of the old ICE session: got %d, want 412", r.status)
	}
	if r := s.do(request{method: "PATCH", path: url, token: tok, body: restart, header: http.Header{"If-Match": {next}}}); r.status != http.StatusNoContent {
		t.Errorf("candidates of the new ICE session: got %d %q, want 204", r.status, r.body)
	}
}

func TestPatch_oneRestartAtATime(t *testing.T) {
	s := newServer(t, nil)
	tok := token(t, "ann", "r")
	url, _ := s.opened("/whip/r/ann", tok, publishing)
	waiting := make(chan func(), 1)
	s.rooms.let(func(out signal.Outlet, o room.Offer) { waiting <- func() { answers(out, o) } })
	first := make(chan response, 1)
	patch := request{method: "PATCH", path: url, token: tok, body: restart, header: http.Header{"If-Match": {"*"}}}
	go func() { first <- s.do(patch) }()
	answer := <-waiting
	if r := s.do(patch); r.status != http.StatusConflict || !strings.Contains(r.body, "under way") {
		t.Errorf("a second restart: got %d %q, want 409", r.status, r.body)
	}
	answer()
	if r := <-first; r.status != http.StatusOK {
		t.Errorf("the first restart: got %d %q, want 200", r.status, r.body)
	}
}

func TestDelete_endsTheSession(t *testing.T) {
	s := newServer(t, nil)
	tok := token(t, "ann", "r")
	url, tag := s.opened("/whip/r/ann", tok, publishing)
	if r := s.do(request{method: "DELETE", path: url, token: tok}); r.status != http.StatusOK {
		t.Fatalf("got %d %q, want 200", r.status, r.body)
	}
	if got := heard[room.Leave](s).Participant; got != s.rooms.joins[0].Participant {
		t.Errorf("%s left, want the session's participant", got)
	}
	if got := heard[room.Dropped](s); got.Conn != 1 {
		t.Errorf("the connection that ended is %d, want 1", got.Conn)
	}
	eventually(t, "the session is forgotten", func() bool {
		return s.do(request{method: "PATCH", path: url, token: tok, body: fragment, header: http.Header{"If-Match": {tag}}}).status == http.StatusNotFound
	})
}

func TestSession_endsWhenTheRoomEndsIt(t *testing.T) {
	s := newServer(t, nil)
	tok := token(t, "ann", "r")
	url, _ := s.opened("/whip/r/ann", tok, publishing)
	s.rooms.outlets[1].Send(room.Goodbye{Reason: room.MediaFailure})
	s.rooms.outlets[1].Close()
	heard[room.Dropped](s)
	eventually(t, "the session is forgotten", func() bool {
		return s.do(request{method: "DELETE", path: url, token: tok}).status == http.StatusNotFound
	})
}

func TestSession_belongsToItsTokenIdentityAndAdministrators(t *testing.T) {
	s := newServer(t, nil)
	for name, c := range map[string]struct {
		token string
		want  int
	}{
		"none":                    {"", http.StatusUnauthorized},
		"garbage":                 {"abc", http.StatusUnauthorized},
		"another identity":        {token(t, "bob", "r"), http.StatusForbidden},
		"administrator elsewhere": {token(t, "bob", "other", "roomAdmin"), http.StatusForbidden},
		"administrator":           {token(t, "bob", "r", "roomAdmin"), http.StatusOK},
		"same identity":           {token(t, "ann", "r", "canPublish"), http.StatusOK},
	} {
		url, _ := s.opened("/whip/r/ann", token(t, "ann", "r"), publishing)
		if r := s.do(request{method: "DELETE", path: url, token: c.token}); r.status != c.want {
			t.Errorf("%s: got %d %q, want %d", name, r.status, r.body, c.want)
		}
		if r := s.do(request{method: "DELETE", path: strings.Replace(url, "/whip/", "/whep/", 1), token: token(t, "ann", "r")}); r.status != http.StatusNotFound {
			t.Errorf("a WHIP session at a WHEP path: got %d, want 404", r.status)
		}
	}
}

func TestRefusals_ofNewSessions(t *testing.T) {
	good := token(t, "ann", "r")
	admin := token(t, "ann", "r", "roomAdmin")
	many := publishing
	for range 2 {
		many += "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:9\r\na=sendonly\r\n"
	}
	accept := func(v string) http.Header { return http.Header{"Accept": {v}} }
	for _, c := range []struct {
		name string
		request
		status int
		says   string
	}{
		{"no token", request{body: publishing}, 401, "after the word Bearer"},
		{"basic authorization", request{header: http.Header{"Authorization": {"Basic eA=="}}, body: publishing}, 401, "after the word Bearer"},
		{"garbage", request{token: "abc", body: publishing}, 401, "malformed"},
		{"wrong secret", request{token: good[:len(good)-3] + "AAA", body: publishing}, 401, "signature"},
		{"other room", request{path: "/whip/q/ann", token: good, body: publishing}, 403, "another room"},
		{"other identity", request{path: "/whip/r/bob", token: good, body: publishing}, 403, "roomAdmin"},
		{"no canPublish", request{token: token(t, "ann", "r", "!canPublish"), body: publishing}, 403, "canPublish"},
		{"camera only", request{token: token(t, "ann", "r", "source:camera"), body: publishing}, 403, "the microphone"},
		{"no canSubscribe", request{path: "/whep/r/ann", token: token(t, "ann", "r", "!canSubscribe"), body: playing}, 403, "canSubscribe"},
		{"no identity in the path", request{path: "/whip/r", token: good, body: publishing}, 404, "/whip/{room}/{identity}"},
		{"more in the path", request{path: "/whep/r/ann/x", token: good, body: playing}, 404, "/whep/{room}"},
		{"GET", request{method: "GET", token: good}, 405, "use POST"},
		{"HEAD", request{method: "HEAD", token: good}, 405, ""},
		{"PUT", request{method: "PUT", token: good}, 405, "use POST"},
		{"DELETE", request{method: "DELETE", path: "/whep/r", token: good}, 405, "use POST"},
		{"JSON", request{token: good, kind: "application/json", body: "{}"}, 415, sdpType},
		{"no type", request{token: good, kind: "?", body: publishing}, 415, sdpType},
		{"wants JSON", request{token: good, header: accept("application/json, text/*"), body: publishing}, 406, "Accept"},
		{"wants no SDP", request{token: good, header: accept("application/sdp;q=0"), body: publishing}, 406, "Accept"},
		{"empty body", request{token: good}, 400, "v=0"},
		{"no SDP", request{token: good, body: "hello"}, 400, "v=0"},
		{"no section", request{token: good, body: head}, 400, "no media section"},
		{"bad section", request{token: good, body: head + "m=audio\r\n"}, 400, "m=audio"},
		{"too many sections", request{token: good, body: head + strings.Repeat(audio, 65)}, 400, "more than 64"},
		{"nothing to publish", request{token: good, body: head + audio + "a=inactive\r\n"}, 400, "publishes nothing"},
		{"WHEP offer for WHIP", request{token: good, body: playing}, 400, "use /whep"},
		{"WHIP offer for WHEP", request{path: "/whep/r/ann", token: good, body: publishing}, 400, "use /whip"},
		{"nothing to play", request{path: "/whep/r", token: good, body: head + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\n"}, 400, "receives nothing"},
		{"long identity", request{path: "/whip/r/" + strings.Repeat("x", 513), token: admin, body: publishing}, 400, "longer than 512"},
		{"too many tracks", request{token: good, body: many}, 422, "more than 2 video"},
		{"too long", request{token: good, body: publishing + strings.Repeat("a=x\r\n", 20_000)}, 413, "65536 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, nil)
			if c.method == "" {
				c.method = "POST"
			}
			if c.path == "" {
				c.path = "/whip/r/ann"
			}
			s.refused(c.request, c.status, c.says)
			if len(s.rooms.joins) != 0 {
				t.Errorf("a refused request joined a room")
			}
		})
	}
}

// refused checks a refusal, and that nothing of it stays behind.
func (s *server) refused(r request, status int, says string) response {
	s.t.Helper()
	before := s.whip.Sessions()
	got := s.do(r)
	if got.status != status || !strings.Contains(got.body, says) {
		s.t.Errorf("got %d %q, want %d and %q", got.status, got.body, status, says)
	}
	if r.token != "" && len(r.token) > 10 && strings.Contains(got.body, r.token) {
		s.t.Error("the body quotes the token")
	}
	if got.header.Get("Access-Control-Allow-Origin") != "*" {
		s.t.Error("no CORS header, so a page can't read the cause")
	}
	if allow := got.header.Get("Allow"); (status == 405) != (allow != "") {
		s.t.Errorf("Allow is %q with status %d", allow, status)
	}
	if status == 401 && got.header.Get("WWW-Authenticate") != "Bearer" {
		s.t.Error("401 without WWW-Authenticate: Bearer")
	}
	if retry := got.header.Get("Retry-After"); (status == 503 || status == 429) != (retry != "") {
		s.t.Errorf("Retry-After is %q with status %d", retry, status)
	}
	eventually(s.t, "nothing stays of what was refused", func() bool { return s.whip.Sessions() <= before })
	return got
}

func TestRefusals_byTheRoom(t *testing.T) {
	for _, c := range []struct {
		name    string
		respond func(signal.Outlet, room.Offer)
		status  int
		says    string
	}{
		{"full", func(out signal.Outlet, _ room.Offer) { out.Refuse("the room is full") }, 503, "the room is full"},
		{"bad offer", func(out signal.Outlet, _ room.Offer) {
			out.Send(room.Goodbye{Reason: room.JoinFailure, Text: "sdp: no a=fingerprint"})
			out.Close()
		}, 400, "no a=fingerprint"},
		{"no codec", func(out signal.Outlet, _ room.Offer) {
			out.Send(room.Goodbye{Reason: room.JoinFailure, Text: "want one of video/VP8", Unusable: true})
			out.Close()
		}, 406, "video/VP8"},
		{"joined elsewhere", func(out signal.Outlet, _ room.Offer) {
			out.Send(room.Goodbye{Reason: room.DuplicateIdentity})
			out.Close()
		}, 409, "one place only"},
		{"node lost", func(out signal.Outlet, _ room.Offer) {
			out.Send(room.Goodbye{Reason: room.Migration, Action: room.Reconnect})
			out.Close()
		}, 503, "try again"},
		{"silence", func(signal.Outlet, room.Offer) {}, 503, "did not answer in time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, func(c *whip.Config, _ *signal.Config) { c.AnswerWait = 50 * time.Millisecond })
			s.rooms.let(c.respond)
			s.refused(request{method: "POST", path: "/whip/r/ann", token: token(t, "ann", "r"), body: publishing}, c.status, c.says)
			heard[room.Dropped](s)
		})
	}
	s := newServer(t, nil)
	s.rooms.refuse = errors.New("orchestrator: not running")
	s.refused(request{method: "POST", path: "/whep/r/ann", token: token(t, "ann", "r"), body: playing}, 503, "not running")
}

func TestRefusals_ofSessions(t *testing.T) {
	s := newServer(t, func(c *whip.Config, _ *signal.Config) { c.AnswerWait = 50 * time.Millisecond })
	tok := token(t, "eve", "r")
	url, tag := s.opened("/whep/r/ann", tok, playing)
	match := func(v string) http.Header { return http.Header{"If-Match": {v}} }
	for _, c := range []struct {
		name string
		request
		status int
		says   string
	}{
		{"unknown", request{method: "DELETE", path: "/drtc/v1/whep/NONE"}, 404, "POST a new offer"},
		{"GET", request{method: "GET"}, 405, "use PATCH"},
		{"HEAD", request{method: "HEAD"}, 405, ""},
		{"PUT", request{method: "PUT"}, 405, "use PATCH"},
		{"POST", request{method: "POST", body: playing}, 405, "use PATCH"},
		{"SDP", request{kind: sdpType, body: playing, header: match("*")}, 415, fragmentType},
		{"no condition", request{body: fragment}, 428, "If-Match is missing"},
		{"stale", request{body: fragment, header: match(`"old"`)}, 412, "older ICE session"},
		{"weak", request{body: fragment, header: match("W/" + tag)}, 412, "older ICE session"},
		{"not a fragment", request{body: "v=0\r\n", header: match(tag)}, 400, "m= and a= lines"},
		{"half of the credentials", request{body: "a=ice-ufrag:efgh\r\n", header: match("*")}, 400, "go together"},
		{"two credentials", request{body: restart + "a=ice-ufrag:zzzz\r\n", header: match("*")}, 400, "given twice"},
		{"short password", request{body: "a=ice-ufrag:efgh\r\na=ice-pwd:short\r\n", header: match("*")}, 400, "a=ice-pwd"},
		{"too many candidates", request{body: strings.Repeat("a=candidate:1 1 udp 1 192.0.2.7 5000 typ host\r\n", 65), header: match(tag)}, 400, "at most 64"},
		{"too long", request{body: strings.Repeat("a=x\r\n", 4000), header: match(tag)}, 413, "16384 bytes"},
		{"restart without credentials", request{body: "a=mid:0\r\n", header: match("*")}, 422, "needs new"},
		{"restart with the old ones", request{body: fragment, header: match("*")}, 422, "is in use"},
		{"new ones without a restart", request{body: restart, header: match(tag)}, 422, "If-Match: *"},
		{"unknown section", request{body: "a=mid:7\r\n", header: match(tag)}, 422, "no such section"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.t = t
			if c.method == "" {
				c.method = "PATCH"
			}
			if c.path == "" {
				c.path = url
			}
			c.token = tok
			s.refused(c.request, c.status, c.says)
		})
	}
	s.t = t
	s.rooms.let(func(signal.Outlet, room.Offer) {})
	s.refused(request{method: "PATCH", path: url, token: tok, body: restart, header: match("*")}, 503, "did not answer in time")
	if r := s.do(request{method: "DELETE", path: url, token: tok}); r.status != http.StatusOK {
		t.Errorf("after all refusals DELETE: got %d %q, want 200", r.status, r.body)
	}
}

func TestServer_boundsSessionsBodiesAndAttempts(t *testing.T) {
	s := newServer(t, func(c *whip.Config, g *signal.Config) {
		c.MaxSessions, c.ReadTimeout = 1, 50*time.Millisecond
		g.ConnectRate, g.ConnectBurst = 0.001, 2
	})
	tok := token(t, "ann", "r")
	// A body that never comes is given up, and its place with it.
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("POST /whip/r/ann HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\nAuthorization: Bearer " + tok + "\r\nContent-Length: 100\r\n\r\nv=0")); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusRequestTimeout {
		t.Errorf("a slow body: got %d, want 408", r.StatusCode)
	}
	s.opened("/whip/r/ann", tok, publishing)
	s.refused(request{method: "POST", path: "/whep/r/ann", token: tok, body: playing}, 503, "as many")
	// Only those who are refused have a limit: any number of players may share
	// an address and a token.
	for range 2 {
		s.refused(request{method: "POST", path: "/whep/r/ann", token: "abc", body: playing}, 401, "malformed")
	}
	s.refused(request{method: "POST", path: "/whep/r/ann", token: "abc", body: playing}, 429, "try again")
	s.refused(request{method: "POST", path: "/whep/r/ann", token: tok, body: playing}, 503, "as many")
}

func TestConfig_namesTheField(t *testing.T) {
	g, err := signal.New(signal.Config{Keys: map[string]signal.Key{"k": {Secret: "s"}}, Rooms: &rooms{}, Log: discard()})
	if err != nil {
		t.Fatal(err)
	}
	good := whip.Config{Gate: g, Rooms: &rooms{}, Log: discard()}
	for name, c := range map[string]struct {
		change func(*whip.Config)
		says   string
	}{
		"no rooms":      {func(c *whip.Config) { c.Rooms = nil }, "Rooms"},
		"negative":      {func(c *whip.Config) { c.MaxSessions = -1 }, "MaxSessions"},
		"no STUN":       {func(c *whip.Config) { c.ICEServers = []whip.ICEServer{{URL: "http://x"}} }, "ICEServers[0]: url"},
		"TURN, no user": {func(c *whip.Config) { c.ICEServers = []whip.ICEServer{{URL: "turn:x"}} }, "username"},
		"quoted user": {func(c *whip.Config) {
			c.ICEServers = []whip.ICEServer{{URL: "turn:x", Username: `a"b`, Credential: "c"}}
		}, "quotes"},
		"header in url":  {func(c *whip.Config) { c.ICEServers = []whip.ICEServer{{URL: "stun:x>\r\nA: b"}} }, "url"},
		"everything set": {func(*whip.Config) {}, ""},
	} {
		cfg := good
		c.change(&cfg)
		err := cfg.Validate()
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want an error that says %q", name, err, c.says)
		}
	}
}
