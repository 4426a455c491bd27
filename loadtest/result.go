package loadtest

import (
	"time"

	"github.com/drtc-network/drtc/loadtest/tally"
)

// Result is what a run found. Packets are those of the window unless it says
// otherwise.
type Result struct {
	Protocol    Protocol `json:"protocol"`
	Publishers  int      `json:"publishers"`
	Played      []string `json:"played,omitempty"` // who published already
	Subscribers int      `json:"subscribers"`
	// Features are what the first subscriber and the server agreed on, of NACK,
	// PLI, RTX and TWCC.
	Features []string `json:"features"`

	// Joined is how many subscribers had video of every publisher when the
	// window began; JoinErrors could not join at all, FirstError says why, and
	// Failed lost their connection.
	Joined     int    `json:"subscribers_joined"`
	JoinErrors int    `json:"join_errors"`
	FirstError string `json:"first_error,omitempty"`
	Failed     int    `json:"connections_failed"`

	WindowSeconds float64 `json:"window_seconds"`
	Sent          uint64  `json:"packets_sent"`
	// Expected is Sent times Joined; where others publish, what came and the gaps
	// between.
	Expected   uint64 `json:"packets_expected"`
	Delivered  uint64 `json:"packets_delivered"`
	Duplicates uint64 `json:"packets_duplicate"`
	// Ancient came more than 4096 packets late.
	Ancient uint64 `json:"packets_ancient"`
	// Foreign counts packets of the whole run that no publisher sent.
	Foreign     uint64  `json:"packets_foreign"`
	LossPercent float64 `json:"loss_percent"`
	// AudioLossPercent is of the audio packets between the first and the last
	// that came to each subscriber.
	AudioLossPercent float64 `json:"audio_loss_percent"`
	PacketsPerSecond float64 `json:"packets_per_second"`
	MbitPerSecond    float64 `json:"mbit_per_second"` // RTP packets
	KeyRequests      uint64  `json:"key_frame_requests"`

	// Join counts from the start of a subscriber's join to its first packet,
	// first video packet and first key frame.
	Join struct {
		FirstPacket   Spread `json:"first_packet_ms"`
		FirstVideo    Spread `json:"first_video_ms"`
		FirstKeyFrame Spread `json:"first_key_frame_ms"`
	} `json:"join"`
	// Delay is one way, from the publisher's write to the subscriber's read; 0
	// where others publish.
	Delay Spread `json:"delay_ms"`

	// Server is nil when no process was named, and Beside when none was named
	// that is to be shown apart.
	Server *Cost `json:"server,omitempty"`
	Beside *Cost `json:"beside,omitempty"`
	// ClientCPU is of this process, in parts of one core in percent.
	ClientCPU float64 `json:"clients_cpu_percent"`
}

// Spread is a distribution in milliseconds.
type Spread struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

// Cost is what the server's processes used, together.
type Cost struct {
	PIDs []int `json:"pids"`
	// User and System are CPU milliseconds of the window.
	User       float64 `json:"cpu_user_ms"`
	System     float64 `json:"cpu_system_ms"`
	CPUPercent float64 `json:"cpu_percent"` // of one core
	// PerPacket is CPU microseconds for each delivered packet.
	PerPacket struct {
		User   float64 `json:"user"`
		System float64 `json:"system"`
		Total  float64 `json:"total"`
	} `json:"cpu_us_per_packet"`
	// PerJoin is CPU milliseconds from the first join to the last first video,
	// for each subscriber. PerJoinAlone is without the packets forwarded in
	// that time, each at the window's price.
	PerJoin      float64 `json:"cpu_ms_per_join"`
	PerJoinAlone float64 `json:"cpu_ms_per_join_without_forwarding"`
	// Memory in MiB: resident before the joins, at the end of the window, and
	// the difference for each subscriber.
	MemoryBefore  float64 `json:"memory_mib_before"`
	MemoryEnd     float64 `json:"memory_mib_end"`
	PerSubscriber float64 `json:"memory_mib_per_subscriber"`
	Threads       int     `json:"threads"`
}

func (r *run) result(m measurement) *Result {
	all, whole, delay := r.delivered(m.complete)
	seconds := m.window.Seconds()
	out := &Result{
		Protocol: r.cfg.Protocol, Publishers: r.cfg.Publishers, Played: r.cfg.Play, Subscribers: r.cfg.Subscribers, Features: r.features(),
		WindowSeconds: seconds, Sent: m.sent, Expected: m.expected(),
		Delivered: all.Unique, Duplicates: all.Duplicates, Ancient: all.Ancient, KeyRequests: m.keyRequests,
		PacketsPerSecond: float64(all.Unique) / seconds, MbitPerSecond: float64(all.Bytes) * 8 / 1e6 / seconds,
		ClientCPU: percent(m.clients.at[windowEnd].CPU()-m.clients.at[windowBegin].CPU(), m.window),
	}
	if len(r.cfg.Play) > 0 {
		out.Expected = whole.Span
	}
	if out.Expected > 0 {
		out.LossPercent = 100 * (1 - float64(whole.Unique)/float64(out.Expected))
	}
	if heard := r.heard(m.complete); heard.Span > 0 {
		out.AudioLossPercent = 100 * (1 - float64(heard.Unique)/float64(heard.Span))
	}
	out.Delay = Spread{milliseconds(delay.Quantile(.5)), milliseconds(delay.Quantile(.95)), milliseconds(delay.Quantile(.99))}
	r.addJoins(out, m)
	out.Server, out.Beside = m.cost(&m.server, r.cfg.Subscribers, all), m.cost(&m.beside, r.cfg.Subscribers, all)
	return out
}

func (r *run) features() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.sessions) == 0 {
		return nil
	}
	return r.sessions[0].Agreed()
}

func (r *run) addJoins(out *Result, m measurement) {
	var packet, video, key []time.Duration
	for i, s := range r.subscribers {
		if m.complete[i] {
			out.Joined++
		}
		if s.failed.Load() {
			out.Failed++
		}
		out.Foreign += s.foreign.Load()
		for _, f := range []struct {
			to    *[]time.Duration
			after int64
		}{{&packet, s.firstPacket.Load()}, {&video, s.firstVideo.Load()}, {&key, s.firstKey.Load()}} {
			if f.after > 0 {
				*f.to = append(*f.to, time.Duration(f.after))
			}
		}
	}
	out.Join.FirstPacket, out.Join.FirstVideo, out.Join.FirstKeyFrame = spread(packet), spread(video), spread(key)
	r.mu.Lock()
	defer r.mu.Unlock()
	if out.JoinErrors = len(r.joinErrors); out.JoinErrors > 0 {
		out.FirstError = r.joinErrors[0].Error()
	}
}

// cost is what the window and the joins cost some processes, nil for none.
func (m *measurement) cost(u *usage, subscribers int, delivered tally.Counts) *Cost {
	if len(u.pids) == 0 {
		return nil
	}
	begin, end := u.at[windowBegin], u.at[windowEnd]
	c := &Cost{
		PIDs: u.pids, User: milliseconds(end.User - begin.User), System: milliseconds(end.System - begin.System),
		CPUPercent: percent(end.CPU()-begin.CPU(), m.window), Threads: end.Threads,
		MemoryBefore: mebibytes(u.at[beforeJoins].Resident), MemoryEnd: mebibytes(end.Resident),
	}
	n := float64(subscribers)
	c.PerSubscriber = (c.MemoryEnd - c.MemoryBefore) / n
	if delivered.Unique > 0 {
		c.PerPacket.User = 1000 * c.User / float64(delivered.Unique)
		c.PerPacket.System = 1000 * c.System / float64(delivered.Unique)
		c.PerPacket.Total = c.PerPacket.User + c.PerPacket.System
	}
	joins := milliseconds(u.at[afterJoins].CPU() - u.at[beforeJoins].CPU())
	c.PerJoin = joins / n
	c.PerJoinAlone = max(0, joins-c.PerPacket.Total*float64(m.receivedJoining)/1000) / n
	return c
}

func spread(values []time.Duration) Spread {
	return Spread{
		milliseconds(tally.Percentile(values, .5)), milliseconds(tally.Percentile(values, .95)), milliseconds(tally.Percentile(values, .99)),
	}
}

func milliseconds(d time.Duration) float64   { return float64(d) / float64(time.Millisecond) }
func mebibytes(bytes uint64) float64         { return float64(bytes) / (1 << 20) }
func percent(part, of time.Duration) float64 { return 100 * float64(part) / float64(of) }
