package signal

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"

	"github.com/drtc-network/drtc/orchestrator/room"
	"github.com/drtc-network/drtc/orchestrator/wire"
)

// Key is one API key. Its secret signs the tokens of one application's clients.
type Key struct {
	Secret string
	// Application is who pays, and whose rooms the tokens open. Keys of the same
	// application share its rooms. Empty means the API key itself.
	Application string
}

// tokenLeeway is by how much the clocks of the token's maker and ours may
// differ. The token library uses the same.
const tokenLeeway = time.Minute

// refreshedLife is how long a token lives that was signed for a reconnect.
const refreshedLife = 10 * time.Minute

// Grants says what a token lets its holder do.
type Grants struct {
	Identity   string
	Name       string
	Room       string
	Metadata   string
	Attributes map[string]string
	// Names of grants, such as canPublish, !canSubscribe, hidden. A can-grant
	// that is not named keeps the protocol's default, which is to allow, except
	// for canUpdateOwnMetadata. roomJoin is always granted.
	Names []string
}

// grantNames are the names that Token knows, with what each does.
func grantNames() map[string]func(*auth.VideoGrant, bool) {
	return map[string]func(*auth.VideoGrant, bool){
		"roomJoin":             func(g *auth.VideoGrant, on bool) { g.RoomJoin = on },
		"roomCreate":           func(g *auth.VideoGrant, on bool) { g.RoomCreate = on },
		"roomList":             func(g *auth.VideoGrant, on bool) { g.RoomList = on },
		"roomAdmin":            func(g *auth.VideoGrant, on bool) { g.RoomAdmin = on },
		"roomRecord":           func(g *auth.VideoGrant, on bool) { g.RoomRecord = on },
		"canPublish":           func(g *auth.VideoGrant, on bool) { g.CanPublish = &on },
		"canSubscribe":         func(g *auth.VideoGrant, on bool) { g.CanSubscribe = &on },
		"canPublishData":       func(g *auth.VideoGrant, on bool) { g.CanPublishData = &on },
		"canUpdateOwnMetadata": func(g *auth.VideoGrant, on bool) { g.CanUpdateOwnMetadata = &on },
		"canSubscribeMetrics":  func(g *auth.VideoGrant, on bool) { g.CanSubscribeMetrics = &on },
		"hidden":               func(g *auth.VideoGrant, on bool) { g.Hidden = on },
		"recorder":             func(g *auth.VideoGrant, on bool) { g.Recorder = on },
		"agent":                func(g *auth.VideoGrant, on bool) { g.Agent = on },
	}
}

// ErrGrant is returned by Token for a grant it does not know.
var ErrGrant = errors.New("signal: unknown grant")

// Token signs a token with an API key's secret, valid for ttl (at least a
// second) from now. A grant's name with ! in front denies it; source:camera,
// source:microphone, source:screen_share and source:screen_share_audio limit
// what may be published; destination:ROOM names the room to which participants
// may be moved.
func Token(apiKey, secret string, g Grants, ttl time.Duration) (string, error) {
	switch {
	case apiKey == "":
		return "", errors.New("signal: token: api key: want one, got none")
	case secret == "":
		return "", errors.New("signal: token: api secret: want one, got none")
	case g.Identity == "":
		return "", errors.New("signal: token: identity: want the participant's name in the room, got none")
	case g.Room == "":
		return "", errors.New("signal: token: room: want the room's name, got none")
	case ttl < time.Second:
		return "", fmt.Errorf("signal: token: ttl: want at least 1s, got %v", ttl)
	}
	video := &auth.VideoGrant{RoomJoin: true, Room: g.Room}
	known := grantNames()
	for _, name := range g.Names {
		if source, ok := strings.CutPrefix(name, "source:"); ok {
			if !slices.Contains([]string{"camera", "microphone", "screen_share", "screen_share_audio"}, source) {
				return "", fmt.Errorf("%w %q: want source:camera, source:microphone, source:screen_share or source:screen_share_audio", ErrGrant, name)
			}
			video.CanPublishSources = append(video.CanPublishSources, source)
			continue
		}
		if other, ok := strings.CutPrefix(name, "destination:"); ok {
			video.DestinationRoom = other
			continue
		}
		bare, denied := strings.CutPrefix(name, "!")
		set := known[bare]
		if set == nil {
			var names []string
			for n := range known {
				names = append(names, n)
			}
			slices.Sort(names)
			return "", fmt.Errorf("%w %q: want one of %s or source:…, with ! in front to deny", ErrGrant, name, strings.Join(names, ", "))
		}
		set(video, !denied)
	}
	t := auth.NewAccessToken(apiKey, secret).SetIdentity(g.Identity).SetName(g.Name).
		SetMetadata(g.Metadata).SetAttributes(g.Attributes).SetVideoGrant(video).SetValidFor(ttl)
	signed, err := t.ToJWT()
	if err != nil {
		return "", fmt.Errorf("signal: signing a token: %w", err)
	}
	return signed, nil
}

// Caller is who a token says it is.
type Caller struct {
	APIKey      string
	Application string
	Identity    string
	Room        string
	validFrom   time.Time
	grants      *auth.ClaimGrants
	secret      string
}

// refusal is an HTTP status and its cause.
type refusal struct {
	status int
	cause  string
}

func (r *refusal) Error() string { return r.cause }

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// Forbid is the error of Rooms.Enter for one whom the application does not let
// in, with a cause for its user.
func Forbid(cause string) error { return refuse(http.StatusForbidden, "%s", cause) }

// Exhausted is the error of Rooms.Enter for one for whom nothing is left of a
// budget, with a cause for its user.
func Exhausted(cause string) error { return refuse(http.StatusTooManyRequests, "%s", cause) }

// Admin reports whether the token may act for others in its room.
func (c Caller) Admin() bool { return c.grants.Video.RoomAdmin }

// Join begins a Join with what the token says of its holder.
func (c Caller) Join() room.Join {
	j := joinFrom(c, nil)
	j.Client.Kind = int32(livekit.ParticipantInfo_INGRESS)
	return j
}

// Claims is what a token says, whoever its holder is: a participant, or a server
// of an application.
type Claims struct {
	APIKey      string
	Application string // whose rooms the token opens
	// ValidFrom is when the token begins to count; zero when it does not say.
	ValidFrom time.Time
	Grants    *auth.ClaimGrants
	secret    string
}

// ReadToken verifies the token of a request, which stands in access_token or in
// the header Authorization after Bearer. The error holds a status for Refuse.
func ReadToken(r *http.Request, keys map[string]Key, now time.Time) (Claims, error) {
	raw := r.URL.Query().Get("access_token")
	if h := r.Header.Get("Authorization"); h != "" {
		bearer, ok := strings.CutPrefix(h, "Bearer ")
		if !ok {
			return Claims{}, refuse(http.StatusUnauthorized, "the Authorization header must be: Bearer and the token")
		}
		raw = bearer
	}
	if raw == "" {
		return Claims{}, refuse(http.StatusUnauthorized, "no access token: pass access_token or an Authorization header")
	}
	unverified, err := auth.ParseAPIToken(raw)
	if err != nil {
		return Claims{}, refuse(http.StatusUnauthorized, "the access token is malformed")
	}
	key, known := keys[unverified.APIKey()]
	secret := key.Secret
	if !known {
		secret = "no such key" // as much work as with one
	}
	registered, grants, err := unverified.Verify(secret)
	switch {
	case !known:
		return Claims{}, refuse(http.StatusUnauthorized, "the access token was made with an API key that this Orchestrator does not know")
	case err != nil:
		return Claims{}, refuse(http.StatusUnauthorized, "%s", tokenFault(raw, secret, now))
	}
	c := Claims{
		APIKey: unverified.APIKey(), Application: cmp.Or(key.Application, unverified.APIKey()), Grants: grants, secret: secret,
	}
	if grants.Video == nil {
		grants.Video = &auth.VideoGrant{}
	}
	if registered.NotBefore != nil {
		c.ValidFrom = registered.NotBefore.Time
	}
	return c, nil
}

// Authenticate reads the token of a request and says who sent it. The error
// holds a status for Refuse.
func (s *Server) Authenticate(r *http.Request) (Caller, error) {
	claims, err := ReadToken(r, s.config.Keys, s.config.Now())
	if err != nil {
		return Caller{}, err
	}
	grants := claims.Grants
	switch {
	case !grants.Video.RoomJoin:
		return Caller{}, refuse(http.StatusUnauthorized, "the access token does not grant roomJoin")
	case grants.Identity == "":
		return Caller{}, refuse(http.StatusBadRequest, "the access token has no identity (claim sub)")
	case len(grants.Identity) > maxIdentity:
		return Caller{}, refuse(http.StatusBadRequest, "the identity in the access token is longer than %d bytes", maxIdentity)
	case grants.Video.Room == "":
		return Caller{}, refuse(http.StatusBadRequest, "the access token names no room (video.room)")
	case len(grants.Video.Room) > maxIdentity:
		return Caller{}, refuse(http.StatusBadRequest, "the room's name in the access token is longer than %d bytes", maxIdentity)
	}
	if asked := r.URL.Query().Get("room"); asked != "" && asked != grants.Video.Room {
		return Caller{}, refuse(http.StatusForbidden, "the access token is for another room")
	}
	return Caller{
		APIKey: claims.APIKey, Application: claims.Application, Identity: grants.Identity, Room: grants.Video.Room,
		validFrom: claims.ValidFrom, grants: grants, secret: claims.secret,
	}, nil
}

const maxIdentity = 512

// tokenFault names the cause why a token was refused.
func tokenFault(raw, secret string, now time.Time) string {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return "the access token is malformed"
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(parts[0] + "." + parts[1]))
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !hmac.Equal(signature, mac.Sum(nil)) {
		return "the access token's signature does not match its API key's secret"
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	var times struct {
		Exp *float64 `json:"exp"`
		Nbf *float64 `json:"nbf"`
	}
	if err != nil || json.Unmarshal(claims, &times) != nil {
		return "the access token is malformed"
	}
	at := func(v float64) time.Time { return time.Unix(int64(v), 0) }
	switch {
	case times.Exp == nil:
		return "the access token has no expiry (claim exp)"
	case now.After(at(*times.Exp).Add(tokenLeeway)):
		return "the access token has expired"
	case times.Nbf != nil && now.Before(at(*times.Nbf).Add(-tokenLeeway)):
		return "the access token is not valid yet (claim nbf)"
	}
	return "the access token is not valid"
}

// refresh signs a token for the caller's next connection, to a room that may be
// another one, with what its participant may do by now.
func (c Caller) refresh(roomName, name, metadata string, attributes map[string]string, p room.Permission) (string, error) {
	g := c.grants.Clone()
	g.Video.Room = roomName
	sessions := g.Video.CanManageAgentSession // which is none of ours
	g.Video.UpdateFromPermission(wire.Permission(p))
	g.Video.CanManageAgentSession = sessions
	t := auth.NewAccessToken(c.APIKey, c.secret).SetIdentity(c.Identity).SetName(name).SetMetadata(metadata).
		SetAttributes(attributes).SetVideoGrant(g.Video).SetKind(g.GetParticipantKind()).
		SetKindDetail(g.GetKindDetails()...).SetRoomConfig(g.GetRoomConfiguration()).SetValidFor(refreshedLife)
	signed, err := t.ToJWT()
	if err != nil {
		return "", fmt.Errorf("signal: signing a refreshed token: %w", err)
	}
	return signed, nil
}
