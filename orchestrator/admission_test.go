package orchestrator_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc/orchestrator"
)

// rawToken signs any grant.
func rawToken(t *testing.T, key, secret string, validFor time.Duration, identity string, g *auth.VideoGrant) string {
	t.Helper()
	tok, err := auth.NewAccessToken(key, secret).SetIdentity(identity).SetVideoGrant(g).SetValidFor(validFor).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// handmade signs any claims: the library can sign neither a token of long ago
// nor one of the future.
func handmade(claims string) string {
	b64 := base64.RawURLEncoding
	text := b64.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + b64.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, []byte(testSecret))
	mac.Write([]byte(text))
	return text + "." + b64.EncodeToString(mac.Sum(nil))
}

func unsigned(claims string) string {
	b64 := base64.RawURLEncoding
	return b64.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + b64.EncodeToString([]byte(claims)) + "."
}

func TestAdmission_refusesBadTokensAndNamesTheCause(t *testing.T) {
	n := newNetwork(t, 1, nil)
	join := &auth.VideoGrant{RoomJoin: true, Room: "r"}
	good := rawToken(t, testKey, testSecret, time.Hour, "ann", join)
	for _, c := range []struct {
		name   string
		token  string
		extra  string
		status int
		says   string
	}{
		{"none", "", "", 401, "no access token"},
		{"garbage", "abc", "", 401, "malformed"},
		{"wrong secret", rawToken(t, testKey, "another-another-another-another-xx", time.Hour, "ann", join), "", 401, "signature"},
		{"foreign key", rawToken(t, "APIother", testSecret, time.Hour, "ann", join), "", 401, "does not know"},
		{"expired", handmade(`{"iss":"APItest","sub":"ann","exp":1000000000,"video":{"roomJoin":true,"room":"r"}}`), "", 401, "expired"},
		{"not yet valid", handmade(`{"iss":"APItest","sub":"ann","nbf":4000000000,"exp":4100000000,"video":{"roomJoin":true,"room":"r"}}`), "", 401, "not valid yet"},
		{"never expires", handmade(`{"iss":"APItest","sub":"ann","video":{"roomJoin":true,"room":"r"}}`), "", 401, "no expiry"},
		{"no roomJoin", rawToken(t, testKey, testSecret, time.Hour, "ann", &auth.VideoGrant{Room: "r"}), "", 401, "roomJoin"},
		{"no room", rawToken(t, testKey, testSecret, time.Hour, "ann", &auth.VideoGrant{RoomJoin: true}), "", 400, "names no room"},
		{"no identity", rawToken(t, testKey, testSecret, time.Hour, "", join), "", 400, "no identity"},
		{"other room", good, "&room=elsewhere", 403, "another room"},
		{"other algorithm", unsigned(`{"iss":"APItest","sub":"ann","exp":4100000000,"video":{"roomJoin":true,"room":"r"}}`), "", 401, "signature"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, path := range []string{"/rtc/validate", "/rtc/v1/validate", "/rtc/v1", "/rtc", "/drtc/v1/session"} {
				q := "?access_token=" + url.QueryEscape(c.token) + c.extra
				if path == "/rtc" || path == "/rtc/v1" {
					q += "&join_request=" + url.QueryEscape(wrap(t, joinRequest("")))
				}
				status, body, header := n.get(path + q)
				if status != c.status || !strings.Contains(body, c.says) {
					t.Errorf("%s: got %d %q, want %d and %q", path, status, body, c.status, c.says)
				}
				if c.token != "" && c.token != "abc" && strings.Contains(body, c.token) {
					t.Errorf("%s: the body quotes the token", path)
				}
				if header.Get("Access-Control-Allow-Origin") != "*" {
					t.Errorf("%s: no CORS header, so the client can't read the cause", path)
				}
			}
		})
	}
	if status, body, _ := n.get("/rtc/v1/validate?access_token=" + good); status != 200 || body != "success" {
		t.Errorf("a good token: got %d %q, want 200 and success", status, body)
	}
	if got := n.nodes[0].sessionCount(); got != 0 {
		t.Errorf("refused clients have %d sessions, want none", got)
	}
}

func TestAdmission_dualConnectionModeIsNotFound(t *testing.T) {
	n := newNetwork(t, 1, nil)
	status, body, header := n.get("/rtc?access_token=" + token(t, "ann", "r"))
	if status != http.StatusNotFound || !strings.Contains(body, "not offered yet") || header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("got %d %q, want 404 that says the mode is not offered yet, readable by any page", status, body)
	}
}

func TestAdmission_refusesBadJoinRequests(t *testing.T) {
	n := newNetwork(t, 1, nil)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	if _, err := io.CopyN(z, zeros{}, 20<<20); err != nil {
		t.Fatal(err)
	}
	z.Close() //nolint:errcheck // to memory
	packed, _ := proto.Marshal(&livekit.WrappedJoinRequest{Compression: livekit.WrappedJoinRequest_GZIP, JoinRequest: bomb.Bytes()})
	old := joinRequest("")
	old.ClientInfo.Protocol = 8
	lost := joinRequest("")
	lost.Reconnect = true
	for _, c := range []struct{ name, request, says string }{
		{"not base64", "!!!", "base64"},
		{"not a message", base64.StdEncoding.EncodeToString([]byte("\xff\xff\xff")), "WrappedJoinRequest"},
		{"gzip bomb", base64.URLEncoding.EncodeToString(packed), "longer than"},
		{"old client", wrap(t, old), "too old"},
		{"reconnect of nobody", wrap(t, lost), "participant_sid"},
	} {
		q := url.Values{"access_token": {token(t, "ann", "r")}, "join_request": {c.request}}
		if status, body, _ := n.get("/rtc/v1?" + q.Encode()); status != http.StatusBadRequest || !strings.Contains(body, c.says) {
			t.Errorf("%s: got %d %q, want 400 and %q", c.name, status, body, c.says)
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestAdmission_garbageDoesNotEndACall(t *testing.T) {
	n := newNetwork(t, 1, nil)
	ann, _ := n.join("ann", "r")
	for _, frame := range [][]byte{nil, {0xff}, []byte("{"), bytes.Repeat([]byte{0x0a}, 1000)} {
		for _, kind := range []websocket.MessageType{websocket.MessageBinary} {
			if err := ann.ws.Write(context.Background(), kind, frame); err != nil {
				t.Fatal(err)
			}
		}
	}
	ann.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Offer{Offer: nil}})
	ann.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{Type: livekit.TrackType_DATA, Cid: "x"}}})
	if got := ann.expect("requestResponse").GetRequestResponse().GetReason(); got != livekit.RequestResponse_INVALID_REQUEST {
		t.Errorf("a data track is answered with %v, want INVALID_REQUEST", got)
	}
	ann.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Ping{Ping: 1}})
	ann.expect("pong")
}

func TestAdmission_hugeFramesCloseTheConnectionOnly(t *testing.T) {
	n := newNetwork(t, 1, nil)
	ann, _ := n.join("ann", "r")
	bob, _ := n.join("bob", "r")
	_ = ann.ws.Write(context.Background(), websocket.MessageBinary, make([]byte, 10<<20)) // fails when the other side closes
	ann.expectClosed(websocket.StatusMessageTooBig)
	bob.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Ping{Ping: 1}})
	bob.expect("pong")
}

func TestAdmission_jsonClientsGetJSON(t *testing.T) {
	n := newNetwork(t, 1, nil)
	ws, _, err := n.dial(token(t, "ann", "r"), joinRequest(""))
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow() //nolint:errcheck // the test is over
	if err := ws.Write(context.Background(), websocket.MessageText, []byte(`{"pingReq":{"timestamp":"5"},"unknown":1}`)); err != nil {
		t.Fatal(err)
	}
	for {
		kind, frame, err := ws.Read(context.Background())
		if err != nil {
			t.Fatalf("connection ended with %v before the JSON answer came", err)
		}
		if kind == websocket.MessageText && strings.Contains(string(frame), "pongResp") {
			return
		}
	}
}

func TestAdmission_boundsSocketsAndAttempts(t *testing.T) {
	n := newNetwork(t, 1, func(c *orchestrator.Config) { c.MaxSockets, c.ConnectRate, c.ConnectBurst = 1, 0.001, 4 })
	n.join("ann", "r")
	if _, resp, err := n.dial(token(t, "bob", "r"), joinRequest("")); err == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("second socket: got %v, want 503", resp)
	}
	var last int
	for range 4 {
		last, _, _ = n.get("/rtc/validate?access_token=" + token(t, "bob", "r"))
	}
	if last != http.StatusTooManyRequests {
		t.Errorf("after many attempts: got %d, want 429", last)
	}
}

func TestAdmission_applicationsDoNotShareRooms(t *testing.T) {
	n := newNetwork(t, 1, func(c *orchestrator.Config) {
		c.Keys = append(c.Keys,
			orchestrator.Key{Key: "APIother", Secret: testSecret},
			orchestrator.Key{Key: "APIspare", Secret: testSecret, Application: testKey})
	})
	ann, _ := n.join("ann", "r")
	grant := &auth.VideoGrant{RoomJoin: true, Room: "r"}
	for _, c := range []struct {
		key    string
		others int
	}{{"APIother", 0}, {"APIspare", 1}} {
		p := &person{t: t, n: n, name: c.key, token: rawToken(t, c.key, testSecret, time.Hour, c.key, grant)}
		p.connect(joinRequest(""))
		if got := len(p.expect("join").GetJoin().GetOtherParticipants()); got != c.others {
			t.Errorf("with key %s there are %d others in the room, want %d", c.key, got, c.others)
		}
	}
	ann.expectUpdate("APIspare", nil)
}

func TestAdmission_permissionsAreHeldAndSaid(t *testing.T) {
	n := newNetwork(t, 1, nil)
	ann, join := n.join("ann", "r", "!canPublish", "!canSubscribe")
	if p := join.GetParticipant().GetPermission(); p.GetCanPublish() || p.GetCanSubscribe() || p.GetCanPublishData() {
		t.Errorf("ann's permission is %v, want nothing", p)
	}
	ann.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{
		Cid: "audio-1", Type: livekit.TrackType_AUDIO, Source: livekit.TrackSource_MICROPHONE,
	}}})
	got := ann.expect("requestResponse").GetRequestResponse()
	if got.GetReason() != livekit.RequestResponse_NOT_ALLOWED || !strings.Contains(got.GetMessage(), "not allow publishing") || got.GetAddTrack().GetCid() != "audio-1" {
		t.Errorf("publishing without permission is answered with %v, want NOT_ALLOWED with the reason and the request", got)
	}
	ann.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_UpdateMetadata{UpdateMetadata: &livekit.UpdateParticipantMetadata{Metadata: "x", RequestId: 3}}})
	if got := ann.expect("requestResponse").GetRequestResponse(); got.GetReason() != livekit.RequestResponse_NOT_ALLOWED || got.GetRequestId() != 3 {
		t.Errorf("metadata without permission is answered with %v, want NOT_ALLOWED for request 3", got)
	}
	if want := "create ann publish=false subscribe=false"; !slices.Contains(n.nodes[0].called(), want) {
		t.Errorf("node was told %v, want %q", n.nodes[0].called(), want)
	}
	cam, _ := n.join("cam", "r", "source:camera")
	cam.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_AddTrack{AddTrack: &livekit.AddTrackRequest{
		Cid: "audio-1", Type: livekit.TrackType_AUDIO, Source: livekit.TrackSource_MICROPHONE,
	}}})
	if got := cam.expect("requestResponse").GetRequestResponse(); got.GetReason() != livekit.RequestResponse_NOT_ALLOWED {
		t.Errorf("a microphone with a camera-only token is answered with %v, want NOT_ALLOWED", got)
	}
}

func TestAdmission_hiddenPeopleAreInvisible(t *testing.T) {
	n := newNetwork(t, 1, nil)
	ann, _ := n.join("ann", "r")
	spy, join := n.join("spy", "r", "hidden")
	if got := len(join.GetOtherParticipants()); got != 1 {
		t.Errorf("the hidden participant sees %d others, want 1", got)
	}
	bob, join := n.join("bob", "r")
	if got := len(join.GetOtherParticipants()); got != 1 {
		t.Errorf("bob sees %d others, want ann only", got)
	}
	spy.expectUpdate("bob", nil)
	ann.expectUpdate("bob", nil)
	spy.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{}}})
	spy.expect("leave")
	bob.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{Leave: &livekit.LeaveRequest{}}})
	ann.expectUpdate("bob", inState(livekit.ParticipantInfo_DISCONNECTED))
	for _, m := range ann.seen {
		for _, p := range m.GetUpdate().GetParticipants() {
			if p.GetIdentity() == "spy" {
				t.Errorf("ann was told of the hidden participant: %v", p)
			}
		}
	}
}

func TestAdmission_subscriptionPermissionIsHeld(t *testing.T) {
	n := newNetwork(t, 1, nil)
	ann, _ := n.join("ann", "r")
	ann.expect("answer")
	video := ann.publish("video-1").GetSid()
	bob, _ := n.join("bob", "r")
	if !bob.expect("subscriptionPermissionUpdate").GetSubscriptionPermissionUpdate().GetAllowed() {
		t.Error("bob may not see ann's track at first, want allowed")
	}
	permit := func(identities ...string) {
		s := &livekit.SubscriptionPermission{}
		for _, i := range identities {
			s.TrackPermissions = append(s.TrackPermissions, &livekit.TrackPermission{ParticipantIdentity: i, AllTracks: true})
		}
		ann.send(&livekit.SignalRequest{Message: &livekit.SignalRequest_SubscriptionPermission{SubscriptionPermission: s}})
	}
	permit()
	if got := bob.expect("subscriptionPermissionUpdate").GetSubscriptionPermissionUpdate(); got.GetAllowed() || got.GetTrackSid() != video {
		t.Errorf("bob hears %v, want that he may not see the track any more", got)
	}
	eventually(t, "the node stops forwarding", func() bool { return slices.Contains(n.nodes[0].called(), "unsubscribe 1") })
	permit("bob")
	if !bob.expect("subscriptionPermissionUpdate").GetSubscriptionPermissionUpdate().GetAllowed() {
		t.Error("bob may not see the track after a grant")
	}
	bob.expect("mediaSectionsRequirement")
	bob.seeTrack(video)
}
