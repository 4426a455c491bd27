package policy

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/plan"
	"github.com/drtc-network/drtc/orchestrator/room"
)

const secret = "a secret that is long enough for a test"

// read makes the policies of a configuration file.
func read(t *testing.T, text string, change func(*Config)) *Policies {
	t.Helper()
	var file struct {
		Applications []Application `toml:"applications"`
	}
	meta, err := toml.Decode(text, &file)
	if err != nil {
		t.Fatal(err)
	}
	if left := meta.Undecoded(); len(left) > 0 {
		t.Fatalf("unknown keys %v", left)
	}
	c := Config{Applications: file.Applications, Plan: plan.DefaultPolicy(), Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&c)
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// join is that of somebody whose token allows everything.
func join(identity, role string, change ...func(*room.Join)) room.Join {
	j := room.Join{
		Identity: drtc.Identity(identity), Permission: room.Permission{Subscribe: true, Publish: true, PublishData: true},
		Attributes: map[string]string{},
	}
	if role != "" {
		j.Attributes[room.AttributeRole] = role
	}
	for _, c := range change {
		c(&j)
	}
	return j
}

func whip(j *room.Join)  { j.Client.Kind = room.KindIngress }
func whep(j *room.Join)  { j.Watch = &room.Watch{} }
func video(j *room.Join) { j.Tracks = []room.AddTrack{{Track: room.Track{Kind: room.Video}}} }

const shipped = `
[[applications]]
name = "meeting"
policy = "host"
[applications.host]
lobby = true
trusted = ["staff"]

[[applications]]
name = "class"
policy = "host"
[applications.plan]
regions = ["EU"]
strategy = "regional"
[applications.host]
hosts = "role"
stand_ins = ["assistant"]

[[applications]]
name = "board"
policy = "host"
[applications.host]
hosts = "name"
named = ["ann"]
lobby = true

[[applications]]
name = "space"
policy = "audio"
[applications.audio]
default_role = "viewer"

[[applications]]
name = "stream"
policy = "live"
[applications.plan]
gain = "40ms"
[applications.live]
popular = 5
chat = false

[[applications]]
name = "crowd"
policy = "adaptive"
[applications.adaptive]
crowd = 4
audio_limit = 2
`

func TestPolicies_whoComesInAndAsWhat(t *testing.T) {
	p := read(t, shipped, nil)
	for _, c := range []struct {
		application string
		join        room.Join
		role        string
		lobby       bool
		refused     string
	}{
		{"other", join("ann", ""), "", false, ""},
		{"other", join("ann", "host"), "host", false, ""},
		{"meeting", join("ann", ""), "", true, ""}, // the room makes the first one host
		{"meeting", join("ann", "host"), "host", false, ""},
		{"meeting", join("ann", "staff"), "staff", false, ""},
		{"meeting", join("bot", "", func(j *room.Join) { j.Permission.Hidden = true }), "", false, ""},
		{"meeting", join("cam", "", whip), "", false, "lobby"},
		{"meeting", join("cam", "staff", whip), "staff", false, ""},
		{"meeting", join("tv", "", whep), "", false, "lobby"},
		{"class", join("ann", "assistant"), "assistant", false, ""},
		{"board", join("ann", ""), "host", false, ""},
		{"board", join("ann", "", whip), "", false, "lobby"},
		{"board", join("bob", "host"), "", true, ""},
		{"space", join("ann", ""), "viewer", false, ""},
		{"space", join("ann", "speaker", whip), "speaker", false, ""},
		{"space", join("ann", "speaker", whip, video), "", false, "audio only"},
		{"space", join("ann", "speaker", video), "speaker", false, ""}, // its room refuses that track alone
		{"stream", join("ann", "host"), "host", false, ""},
		{"stream", join("ann", "speaker"), "speaker", false, ""},
		{"stream", join("ann", "guest"), "viewer", false, ""},
		{"stream", join("cam", "", whip), "", false, "only publishers"},
		{"stream", join("tv", "", whep), "viewer", false, ""},
		{"crowd", join("ann", "x"), "x", false, ""},
	} {
		got, err := p.Admit(t.Context(), c.application, "r", c.join)
		var refusal *Refusal
		switch {
		case errors.As(err, &refusal):
			if c.refused == "" || !strings.Contains(refusal.Reason, c.refused) {
				t.Errorf("%s %s: refused: %s", c.application, c.join.Identity, refusal.Reason)
			}
		case err != nil || c.refused != "":
			t.Errorf("%s %s: got %v, want a refusal with %q", c.application, c.join.Identity, err, c.refused)
		case got.Role != c.role || got.Lobby != c.lobby || got.Rules == nil:
			t.Errorf("%s %s: got role %q, lobby %v, rules %v; want %q, %v and rules", c.application, c.join.Identity, got.Role, got.Lobby, got.Rules, c.role, c.lobby)
		}
	}
}

func TestPolicies_rulesOfRooms(t *testing.T) {
	p := read(t, shipped, nil)
	rules := func(application string) room.Rules {
		j, err := p.Admit(t.Context(), application, "r", join("ann", "host"))
		if err != nil {
			t.Fatal(err)
		}
		return *j.Rules
	}
	base := plan.DefaultPolicy()
	if r := rules("meeting"); !r.Succession.On || len(r.Succession.Roles) != 0 || !reflect.DeepEqual(r.Plans, []room.Stage{{Policy: base}}) {
		t.Errorf("meeting: got %+v", r)
	}
	if r := rules("class"); !reflect.DeepEqual(r.Succession, room.Succession{On: true, Roles: []string{"assistant"}}) ||
		r.Plans[0].Policy.Strategy != plan.Regional || r.Plans[0].Policy.Regions[0] != "EU" || r.Plans[0].Policy.Degree != base.Degree {
		t.Errorf("class: got %+v", r)
	}
	if r := rules("board"); r.Succession.On {
		t.Errorf("board: got %+v, want no host for want of another", r.Succession)
	}
	if r := rules("space"); !r.AudioOnly || r.NeedMbps != 0.15 || r.Limits["viewer"].Publish || !r.Limits["viewer"].Subscribe || r.Plans[0].Policy.AudioLimit != 3 {
		t.Errorf("space: got %+v", r)
	}
	r := rules("stream")
	if r.Limits["viewer"].Publish || r.Limits["viewer"].PublishData || len(r.Plans) != 3 {
		t.Fatalf("stream: got %+v", r)
	}
	for i, want := range []struct {
		members  int
		strategy plan.Strategy
		gain     time.Duration
	}{{0, plan.Adaptive, 40 * time.Millisecond}, {5, plan.FanOut, 40 * time.Millisecond}, {1000, plan.FanOut, 20 * time.Millisecond}} {
		if s := r.Plans[i]; s.Members != want.members || s.Policy.Strategy != want.strategy || s.Policy.Gain != want.gain {
			t.Errorf("stream: stage %d is from %d, %v, %v; want %+v", i, s.Members, s.Policy.Strategy, s.Policy.Gain, want)
		}
		if err := r.Plans[i].Policy.Validate(); err != nil {
			t.Error(err)
		}
	}
	if r := rules("crowd"); r.Plans[0].Policy.AudioLimit != 0 || r.Plans[1].Members != 4 || r.Plans[1].Policy.AudioLimit != 2 {
		t.Errorf("crowd: got %+v", r.Plans)
	}
	saved, err := json.Marshal(rules("stream")) // rooms keep their rules
	var back room.Rules
	if err != nil || json.Unmarshal(saved, &back) != nil || !reflect.DeepEqual(back, rules("stream")) {
		t.Errorf("rules came back as %+v (%v)", back, err)
	}
}

func TestApplication_namesTheField(t *testing.T) {
	hook := func(change func(*WebhookSettings)) Application {
		w := WebhookSettings{URL: "http://localhost", Secret: secret, OnFailure: OnFailureRefuse}
		change(&w)
		return Application{Name: "a", Policy: "webhook", Webhook: w}
	}
	for _, c := range []struct {
		a    Application
		want string
	}{
		{Application{Policy: "open"}, "name"},
		{Application{Name: "a", Policy: "x"}, "policy: want one of"},
		{Application{Name: "a", Policy: "host", Host: HostSettings{Hosts: "x"}}, "host.hosts"},
		{Application{Name: "a", Policy: "host", Host: HostSettings{StandIns: []string{"x"}}}, "host.stand_ins"},
		{Application{Name: "a", Policy: "host", Host: HostSettings{Named: []drtc.Identity{"x"}}}, "host.named"},
		{Application{Name: "a", Policy: "host", Host: HostSettings{Trusted: []string{strings.Repeat("x", 65)}}}, "host.trusted"},
		{Application{Name: "a", Policy: "audio", Audio: AudioSettings{NeedMbps: -1}}, "audio.need_mbps"},
		{Application{Name: "a", Policy: "live", Live: LiveSettings{Popular: 5, Viral: 5}}, "live.popular"},
		{Application{Name: "a", Policy: "adaptive", Adaptive: AdaptiveSettings{Crowd: -1}}, "adaptive.crowd"},
		{hook(func(w *WebhookSettings) { w.URL = "ftp://x" }), "webhook.url"},
		{hook(func(w *WebhookSettings) { w.URL = "http://a:b@x" }), "webhook.url"},
		{hook(func(w *WebhookSettings) { w.Secret = "short" }), "webhook.secret"},
		{hook(func(w *WebhookSettings) { w.OnFailure = "" }), "webhook.on_failure"},
		{hook(func(w *WebhookSettings) { w.Deadline = time.Minute }), "webhook.deadline"},
		{Application{Name: "a", Policy: "open", Plan: Spread{Degree: 1}}, "plan: plan: policy: Degree"},
	} {
		_, err := New(Config{Applications: []Application{c.a}, Plan: plan.DefaultPolicy(), Log: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	twice := []Application{{Name: "a", Policy: "open"}, {Name: "a", Policy: "open"}}
	if _, err := New(Config{Applications: twice, Plan: plan.DefaultPolicy(), Log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("two policies of one application were taken")
	}
}

// server is a policy server.
type server struct {
	t   *testing.T
	url string

	mu        sync.Mutex // guards what follows
	questions []map[string]any
	answer    func(w http.ResponseWriter, question map[string]any)
}

func serve(t *testing.T, answer string) *server {
	s := &server{t: t}
	s.says(answer)
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	s.url = h.URL
	return s
}

func (s *server) says(answer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = func(w http.ResponseWriter, _ map[string]any) { _, _ = io.WriteString(w, answer) }
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var q map[string]any
	if err := json.Unmarshal(body, &q); err != nil {
		s.t.Errorf("the question is no JSON: %q", body)
	}
	// As any server would verify it.
	seconds, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get(SignatureHeader), "t="), ",")
	at, err := time.ParseDuration(seconds + "s")
	if err != nil || r.Header.Get(SignatureHeader) != Sign(secret, time.Unix(int64(at.Seconds()), 0), body) || time.Since(time.Unix(int64(at.Seconds()), 0)) > time.Minute {
		s.t.Errorf("the signature is %q", r.Header.Get(SignatureHeader))
	}
	s.mu.Lock()
	s.questions = append(s.questions, q)
	answer := s.answer
	s.mu.Unlock()
	answer(w, q)
}

func (s *server) config(onFailure, more string) string {
	return `
[[applications]]
name = "own"
policy = "webhook"
[applications.webhook]
url = "` + s.url + `"
secret = "` + secret + `"
on_failure = "` + onFailure + `"
` + more
}

func TestWebhook_decides(t *testing.T) {
	s := serve(t, `{"admit":true,"role":"speaker","lobby":true,"permission":{"subscribe":true,"publish":true,"sources":["microphone"]},
		"succession":{"on":true,"roles":["speaker"]},"limits":{"viewer":{"subscribe":true}},"audio_only":true,"need_mbps":0.2,
		"plan":{"strategy":"fanout","regions":["EU"],"gain_ms":35,"standby":false}}`)
	p := read(t, s.config("refuse", ""), nil)
	got, err := p.Admit(t.Context(), "own", "r", join("ann", "", func(j *room.Join) {
		j.Name, j.Metadata, j.Place = "Ann", "m", &drtc.Place{Lat: 1, Lon: 2}
		j.Attributes["team"] = "red"
	}, video))
	if err != nil {
		t.Fatal(err)
	}
	q := s.questions[0]
	if q["type"] != "admit" || q["room"] != "r" || q["identity"] != "ann" || q["name"] != "Ann" || q["via"] != "client" ||
		q["attributes"].(map[string]any)["team"] != "red" || q["permission"].(map[string]any)["publish"] != true || q["place"] == nil || q["tracks"] == nil {
		t.Errorf("the server was asked %v", q)
	}
	want := room.Permission{Subscribe: true, Publish: true, Sources: []room.Source{room.Microphone}}
	spread := plan.DefaultPolicy()
	spread.Strategy, spread.Regions, spread.Gain, spread.Standby = plan.FanOut, []drtc.Region{"EU"}, 35*time.Millisecond, false
	rules := room.Rules{
		Succession: room.Succession{On: true, Roles: []string{"speaker"}}, AudioOnly: true, NeedMbps: 0.2,
		Limits: map[string]room.Permission{"viewer": {Subscribe: true, SubscribeMetrics: true}},
		Plans:  []room.Stage{{Policy: spread}},
	}
	if got.Role != "speaker" || !got.Lobby || !reflect.DeepEqual(got.Permission, want) || !reflect.DeepEqual(*got.Rules, rules) {
		t.Errorf("got %+v with rules %+v", got, *got.Rules)
	}
	s.says(`{"admit":false,"reason":"not today"}`)
	var refusal *Refusal
	if _, err := p.Admit(t.Context(), "own", "r", join("ann", "")); !errors.As(err, &refusal) || refusal.Reason != "not today" {
		t.Errorf("got %v, want the server's refusal", err)
	}
}

func TestWebhook_withoutAnAnswerDoesWhatIsStated(t *testing.T) {
	for name, answer := range map[string]string{
		"no JSON": `<html>`, "empty": ``, "too long": `{"reason":"` + strings.Repeat("x", maxAnswer) + `"}`,
		"wrong kind": `{"admit":"yes"}`, "no such source": `{"admit":true,"permission":{"sources":["nose"]}}`,
		"bad plan": `{"admit":true,"plan":{"degree":1}}`, "bad need": `{"admit":true,"need_mbps":-1}`,
		"long role": `{"admit":true,"role":"` + strings.Repeat("x", 65) + `"}`,
	} {
		s := serve(t, answer)
		admitted, err := read(t, s.config("admit", ""), nil).Admit(t.Context(), "own", "r", join("ann", "speaker"))
		if err != nil || admitted.Role != "speaker" || admitted.Lobby || admitted.Rules != nil {
			t.Errorf("%s: got %+v, %v, want that ann comes in by her token alone", name, admitted, err)
		}
		var refusal *Refusal
		if _, err := read(t, s.config("refuse", ""), nil).Admit(t.Context(), "own", "r", join("ann", "")); !errors.As(err, &refusal) {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
}

func TestWebhook_failures(t *testing.T) {
	s := serve(t, "")
	hold := make(chan struct{})
	defer close(hold)
	for name, answer := range map[string]func(http.ResponseWriter, map[string]any){
		"error": func(w http.ResponseWriter, _ map[string]any) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"admit":true}`)
		},
		"redirect": func(w http.ResponseWriter, _ map[string]any) {
			w.Header().Set("Location", "/x")
			w.WriteHeader(http.StatusFound)
		},
		"silence": func(http.ResponseWriter, map[string]any) { <-hold },
		"half": func(w http.ResponseWriter, _ map[string]any) {
			_, _ = io.WriteString(w, `{"admit":`)
			_ = http.NewResponseController(w).Flush()
			<-hold
		},
	} {
		s.mu.Lock()
		s.answer = answer
		s.mu.Unlock()
		p := read(t, s.config("refuse", `deadline = "50ms"`), nil)
		began := time.Now()
		var refusal *Refusal
		if _, err := p.Admit(t.Context(), "own", "r", join("ann", "")); !errors.As(err, &refusal) {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
		if d := time.Since(began); d > timeout {
			t.Errorf("%s: it took %v", name, d)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := read(t, s.config("admit", ""), nil).Admit(gone, "own", "r", join("ann", "")); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that has gone: got %v, want its error", err)
	}
}

func TestWebhook_boundsOpenQuestions(t *testing.T) {
	s := serve(t, "")
	hold, asked := make(chan struct{}), make(chan struct{}, 10)
	s.mu.Lock()
	s.answer = func(w http.ResponseWriter, _ map[string]any) {
		asked <- struct{}{}
		<-hold
		_, _ = io.WriteString(w, `{"admit":true}`)
	}
	s.mu.Unlock()
	p := read(t, s.config("refuse", "max_at_once = 1\ndeadline = \"2s\""), nil)
	var first sync.WaitGroup
	first.Go(func() {
		if _, err := p.Admit(t.Context(), "own", "r", join("ann", "")); err != nil {
			t.Errorf("the first: %v", err)
		}
	})
	<-asked
	if _, err := p.Admit(t.Context(), "own", "r", join("bob", "")); err == nil {
		t.Error("a second question was asked at once")
	}
	close(hold)
	first.Wait()
}

// What happens in a room is told, and the server's orders reach the room.
func TestWebhook_changesBringOrders(t *testing.T) {
	s := serve(t, `{"orders":[{"do":"host","identity":"bob","in_place_of":"ann"},{"do":"accept","identity":"c"},{"do":"deny","identity":"d","may_return":true},
		{"do":"role","identity":"e","role":"viewer"},{"do":"mute","identity":"f"}]}`)
	type given struct {
		application, room string
		orders            []room.Order
	}
	orders := make(chan given, 10)
	p := read(t, s.config("refuse", "events = true"), func(c *Config) {
		c.Order = func(_ context.Context, application, name string, list []room.Order) error {
			orders <- given{application, name, list}
			return nil
		}
	})
	if !p.Wants("own") || p.Wants("other") {
		t.Error("want that the application's policy alone is told")
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = p.Run(ctx) })
	defer running.Wait()
	defer cancel()
	p.Notify("other", "r", room.Event{Kind: room.EventRoomStarted})
	p.Notify("own", "r", room.Event{
		Kind: room.EventTrackPublished, At: time.Unix(5, 0), Track: room.Track{ID: "TR_1", Kind: room.Video, Source: room.Camera},
		Participant: room.Participant{Identity: "ann", Attributes: map[string]string{room.AttributeRole: "host"}},
	})
	got := <-orders
	want := given{"own", "r", []room.Order{
		room.Appoint{Identity: "bob", InPlaceOf: "ann"}, room.Accept{Identity: "c"}, room.Deny{Identity: "d"},
		room.SetRole{Identity: "e", Role: "viewer"}, room.Silence{Identity: "f"},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got the orders %+v", got)
	}
	q := s.questions[0]
	if len(s.questions) != 1 || q["type"] != "track_published" || q["identity"] != "ann" || q["role"] != "host" || q["track"].(map[string]any)["source"] != "camera" {
		t.Errorf("the server was told %v", s.questions)
	}
}

func TestNotify_leavesOutTheOldest(t *testing.T) {
	dropped := 0
	p := read(t, serve(t, "").config("refuse", "events = true"), func(c *Config) {
		c.Order = func(context.Context, string, string, []room.Order) error { return nil }
		c.Report = func(_, outcome string) {
			if outcome == "dropped" {
				dropped++
			}
		}
	})
	for i := range maxChanges + 3 {
		p.Notify("own", "r", room.Event{At: time.Unix(int64(i), 0)})
	}
	if first := <-p.queues["own"]; dropped != 3 || first.Event.At.Unix() != 3 {
		t.Errorf("%d were left out and %v is first, want 3 and the fourth", dropped, first.Event.At.Unix())
	}
}

// slow is a policy that a program brings along.
type slow struct{ err error }

func (s slow) Admit(ctx context.Context, _ Request) (Verdict, error) {
	if s.err == nil {
		<-ctx.Done()
		return Verdict{}, ctx.Err()
	}
	return Verdict{}, s.err
}

func TestPolicies_customOnesThatFailRefuse(t *testing.T) {
	for _, custom := range []Policy{slow{}, slow{errors.New("x")}} {
		p := read(t, "", func(c *Config) { c.Custom = map[string]Policy{"own": custom} })
		p.timeout = time.Millisecond
		var refusal *Refusal
		if _, err := p.Admit(t.Context(), "own", "r", join("ann", "")); !errors.As(err, &refusal) {
			t.Errorf("got %v, want a refusal", err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"admit":true}`, `{"admit":false,"reason":"x"}`, `{"admit":true,"plan":{"strategy":"fanout","gain_ms":-5}}`,
		`{"admit":true,"limits":{"viewer":{"sources":["camera"]}},"need_mbps":1e308}`, `{"orders":[{"do":"host","identity":"a"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var a answer
		if json.Unmarshal(text, &a) == nil {
			v, err := a.verdict(Request{}, plan.DefaultPolicy(), Spread{})
			if err == nil && v.Refuse == "" {
				if len(v.Role) > 64 || len(v.Rules.Plans) != 1 || v.Rules.Plans[0].Policy.Validate() != nil {
					t.Fatalf("accepted: %+v", v)
				}
			}
		}
		var r reaction
		if json.Unmarshal(text, &r) == nil {
			if orders, err := r.orders(time.Unix(0, 0)); err == nil && len(orders) != len(r.Orders) {
				t.Fatalf("%d orders of %d", len(orders), len(r.Orders))
			}
		}
	})
}

func TestPolicies_ofEverybody(t *testing.T) {
	p := read(t, "[[applications]]\nname = \"*\"\npolicy = \"audio\"\n\n[[applications]]\nname = \"own\"\npolicy = \"open\"\n", nil)
	for application, audio := range map[string]bool{"any": true, "own": false} {
		j, err := p.Admit(t.Context(), application, "r", join("ann", ""))
		if err != nil || j.Rules.AudioOnly != audio {
			t.Errorf("%s: got %+v, %v, want audio only: %v", application, j.Rules, err, audio)
		}
	}
}
