package policy

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/orchestrator/plan"
	"github.com/drtc-network/drtc/orchestrator/room"
)

// Names of policies in a configuration.
const (
	kindOpen     = "open"
	kindHost     = "host"
	kindAudio    = "audio"
	kindLive     = "live"
	kindAdaptive = "adaptive"
	kindWebhook  = "webhook"
)

// Application is the policy of one application, as a configuration file has it.
// Only the table of its Policy counts.
type Application struct {
	// Name is the application of its API keys, or * for all that have no policy
	// of their own.
	Name string `toml:"name"`
	// Policy is open, host, audio, live, adaptive or webhook.
	Policy string `toml:"policy"`
	// Plan is how its rooms spread over nodes.
	Plan     Spread           `toml:"plan"`
	Host     HostSettings     `toml:"host"`
	Audio    AudioSettings    `toml:"audio"`
	Live     LiveSettings     `toml:"live"`
	Adaptive AdaptiveSettings `toml:"adaptive"`
	Webhook  WebhookSettings  `toml:"webhook"`
}

// Settings of the shipped policies; zero values have the defaults that are named.
type (
	// HostSettings are those of Host.
	HostSettings struct {
		Hosts    Hosts           `toml:"hosts"` // order, role or name; order
		StandIns []string        `toml:"stand_ins"`
		Named    []drtc.Identity `toml:"named"`
		Lobby    bool            `toml:"lobby"`
		Trusted  []string        `toml:"trusted"`
	}
	// AudioSettings are those of AudioOnly.
	AudioSettings struct {
		DefaultRole string  `toml:"default_role"` // speaker
		NeedMbps    float64 `toml:"need_mbps"`    // 0.15: three voices
	}
	// LiveSettings are those of LiveStream.
	LiveSettings struct {
		Publishers []string `toml:"publishers"` // host and speaker
		Chat       *bool    `toml:"chat"`       // true
		Popular    int      `toml:"popular"`    // 20 members
		Viral      int      `toml:"viral"`      // 1000 members
	}
	// AdaptiveSettings are those of AdaptiveRooms.
	AdaptiveSettings struct {
		Crowd      int `toml:"crowd"`       // 12 members
		AudioLimit int `toml:"audio_limit"` // 6 voices
	}
	// WebhookSettings are those of Webhook.
	WebhookSettings struct {
		URL string `toml:"url"`
		// Secret signs requests, at least 32 characters.
		Secret string `toml:"secret"`
		// OnFailure is what happens when there is no answer: refuse or admit.
		// There is no default.
		OnFailure string        `toml:"on_failure"`
		Deadline  time.Duration `toml:"deadline"` // 800ms, at most 2s
		// Events has it told what happens in rooms.
		Events    bool `toml:"events"`
		MaxAtOnce int  `toml:"max_at_once"` // questions; 64
	}
)

// What happens when a webhook gives no answer.
const (
	OnFailureRefuse = "refuse"
	OnFailureAdmit  = "admit"
)

// Validate names the field that is out of range.
func (a Application) Validate() error {
	kinds := []string{kindOpen, kindHost, kindAudio, kindLive, kindAdaptive, kindWebhook}
	switch {
	case a.Name == "" || len(a.Name) > 64:
		return fmt.Errorf("name: want the application of an API key, 1 to 64 characters, got %d", len(a.Name))
	case !slices.Contains(kinds, a.Policy):
		return fmt.Errorf("policy: want one of %v, got %.40q", kinds, a.Policy)
	}
	var err error
	switch a.Policy {
	case kindHost:
		err = a.Host.validate()
	case kindAudio:
		if !(a.Audio.NeedMbps >= 0) || a.Audio.NeedMbps > 1000 {
			err = fmt.Errorf("audio.need_mbps: want 0 to 1000, got %v", a.Audio.NeedMbps)
		}
		err = errors.Join(err, roles("audio.default_role", []string{a.Audio.DefaultRole}))
	case kindLive:
		if a.Live.Popular < 0 || a.Live.Viral < 0 || a.Live.Viral > 0 && a.Live.Viral <= a.Live.Popular {
			err = fmt.Errorf("live.popular, live.viral: want 0 or more and viral above popular, got %d and %d", a.Live.Popular, a.Live.Viral)
		}
		err = errors.Join(err, roles("live.publishers", a.Live.Publishers))
	case kindAdaptive:
		if a.Adaptive.Crowd < 0 || a.Adaptive.AudioLimit < 0 {
			err = fmt.Errorf("adaptive.crowd, adaptive.audio_limit: want 0 or more, got %d and %d", a.Adaptive.Crowd, a.Adaptive.AudioLimit)
		}
	case kindWebhook:
		err = a.Webhook.validate()
	}
	return err
}

func (h HostSettings) validate() error {
	switch {
	case !slices.Contains([]Hosts{"", ByOrder, ByRole, ByName}, h.Hosts):
		return fmt.Errorf("host.hosts: want order, role or name, got %.40q", h.Hosts)
	case len(h.StandIns) > 0 && h.Hosts != ByRole:
		return errors.New(`host.stand_ins: only with hosts = "role"`)
	case len(h.Named) > 0 && h.Hosts != ByName:
		return errors.New(`host.named: only with hosts = "name"`)
	}
	return errors.Join(roles("host.stand_ins", h.StandIns), roles("host.trusted", h.Trusted))
}

// roles checks words for roles.
func roles(field string, list []string) error {
	for _, r := range list {
		if len(r) > 64 {
			return fmt.Errorf("%s: want words of at most 64 bytes, got %d", field, len(r))
		}
	}
	return nil
}

func (w WebhookSettings) validate() error {
	u, err := url.Parse(w.URL)
	switch {
	case err != nil:
		return errors.New("webhook.url: can't be read") // the error would quote it
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return errors.New("webhook.url: want http:// or https:// and a host")
	case u.User != nil:
		return errors.New("webhook.url: must hold no user and password: the signature says who asks")
	case len(w.Secret) < 32:
		return fmt.Errorf("webhook.secret: want at least 32 characters, got %d", len(w.Secret))
	case w.OnFailure != OnFailureRefuse && w.OnFailure != OnFailureAdmit:
		return fmt.Errorf("webhook.on_failure: say what happens without an answer: want refuse or admit, got %.40q", w.OnFailure)
	case w.Deadline < 0 || w.Deadline > timeout:
		return fmt.Errorf("webhook.deadline: want at most %v, got %v", timeout, w.Deadline)
	case w.MaxAtOnce < 0:
		return fmt.Errorf("webhook.max_at_once: want 0 or more, got %d", w.MaxAtOnce)
	}
	return nil
}

func or[T comparable](v, usual T) T {
	var zero T
	if v == zero {
		return usual
	}
	return v
}

// policy makes the application's policy.
func (a Application) policy(c Config) (Policy, error) {
	base := a.Plan.over(c.Plan)
	switch a.Policy {
	case kindHost:
		h := a.Host
		return Host{Hosts: or(h.Hosts, ByOrder), StandIns: h.StandIns, Named: h.Named, Lobby: h.Lobby, Trusted: h.Trusted, Plan: base}, nil
	case kindAudio:
		base.AudioLimit = or(a.Plan.AudioLimit, 3)
		return AudioOnly{DefaultRole: or(a.Audio.DefaultRole, room.RoleSpeaker), NeedMbps: or(a.Audio.NeedMbps, 0.15), Plan: base}, nil
	case kindLive:
		return a.live(c.Plan), nil
	case kindAdaptive:
		return AdaptiveRooms{
			Crowd: or(a.Adaptive.Crowd, 12), AudioLimit: or(a.Adaptive.AudioLimit, 6), Plan: a.Plan.strategy(c.Plan, plan.Adaptive),
		}, nil
	case kindWebhook:
		return newWebhook(a.Webhook, c.Plan, a.Plan, c.Now)
	}
	return Open{}, nil
}

// live makes a LiveStream: while few watch the room spreads as any other, an
// audience gets a tree with nodes near its places, and a large one gets nodes
// that spare it less each and are filled less.
func (a Application) live(base plan.Policy) LiveStream {
	l := LiveStream{
		Publishers: a.Live.Publishers, Chat: a.Live.Chat == nil || *a.Live.Chat,
		Popular: or(a.Live.Popular, 20), Quiet: a.Plan.over(base), Wide: a.Plan.strategy(base, plan.FanOut),
	}
	if len(l.Publishers) == 0 {
		l.Publishers = []string{room.RoleSpeaker}
	}
	l.Viral = or(a.Live.Viral, max(1000, 10*l.Popular))
	l.Widest = l.Wide
	l.Widest.Gain /= 2
	l.Widest.Fill *= 0.8
	return l
}
