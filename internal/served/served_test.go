package served_test

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/loadtest/client"
	"github.com/drtc-network/drtc/loadtest/traffic"
	"github.com/drtc-network/drtc/medianode"
	"github.com/drtc-network/drtc/medianode/control"
	"github.com/drtc-network/drtc/orchestrator"
	"github.com/drtc-network/drtc/orchestrator/signal"
	"github.com/drtc-network/drtc/receipt"
	"github.com/drtc-network/drtc/registry"
)

const (
	apiKey = "served"
	secret = "secret-secret-secret-secret-secret"
	room   = "stage"
)

var (
	shop      = drtc.NodeID{19: 7} // the application's account
	berlin    = drtc.Place{Lat: 52.5, Lon: 13.4}
	singapore = drtc.Place{Lat: 1.35, Lon: 103.82}
)

// role is a running one.
type role interface{ Run(context.Context) error }

func run(t *testing.T, r role) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%T ended with %v", r, err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// bed is a network in this process.
type bed struct {
	t        *testing.T
	dir      string
	network  receipt.Network
	registry *registry.Registry
	nodes    []*medianode.Node
	o        *orchestrator.Orchestrator
	stopO    func()
}

func newBed(t *testing.T, places []drtc.Place, nodes func(*medianode.Config), orchestrators func(*orchestrator.Config)) *bed {
	t.Helper()
	b := &bed{t: t, dir: t.TempDir(), network: receipt.Network{
		ChainID: 72010, Contract: drtc.NodeID{19: 9}, Genesis: time.Now().Add(-time.Second).Truncate(time.Second), EpochLength: 10 * time.Second,
	}}
	quiet := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	rc := registry.DefaultConfig()
	rc.Listen, rc.GossipListen, rc.Dir, rc.Network = "127.0.0.1:0", "127.0.0.1:0", filepath.Join(b.dir, "registry"), "served"
	rc.AllowPrivateTargets, rc.Receipts = true, b.network
	var err error
	if b.registry, err = registry.New(rc, quiet); err != nil {
		t.Fatal(err)
	}
	run(t, b.registry)
	for i, place := range places {
		c := medianode.DefaultConfig()
		c.Network, c.KeyFile = "served", filepath.Join(b.dir, fmt.Sprint("node", i), "key")
		c.Listen, c.MetricsListen, c.MediaListen = "127.0.0.1:0", "127.0.0.1:0", []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}
		c.Registries, c.Place, c.Region = []string{b.registry.URL()}, place, map[int]drtc.Region{0: drtc.Europe, 1: drtc.Asia}[i]
		c.Admission = control.Admission{Mode: control.AdmitAnyone}
		c.Receipts.Network = b.network
		if nodes != nil {
			nodes(&c)
		}
		n, err := medianode.New(c, quiet)
		if err != nil {
			t.Fatal(err)
		}
		run(t, n)
		b.nodes = append(b.nodes, n)
	}
	b.startOrchestrator(orchestrators, quiet)
	return b
}

func (b *bed) startOrchestrator(change func(*orchestrator.Config), log *slog.Logger) {
	b.t.Helper()
	c := orchestrator.DefaultConfig()
	c.Listen, c.Dir, c.Network, c.Registries = "127.0.0.1:0", filepath.Join(b.dir, "orchestrator"), "served", []string{b.registry.URL()}
	c.Keys = []orchestrator.Key{{Key: apiKey, Secret: secret, Account: shop}}
	c.ConnectRate, c.Region, c.NeedMbps = -1, drtc.Europe, 0.3
	c.Receipts.Network, c.Receipts.Interval = b.network, 500*time.Millisecond
	if change != nil {
		change(&c)
	}
	o, err := orchestrator.New(c, orchestrator.Parts{}, log)
	if err != nil {
		b.t.Fatal(err)
	}
	b.o, b.stopO = o, run(b.t, o)
	b.until("the Orchestrator commands every node", func() bool {
		var health struct {
			Up int `json:"nodes_up"`
		}
		return json.Unmarshal(b.get("/healthz", nil), &health) == nil && health.Up == len(b.nodes)
	})
}

// patience is for what must happen; never waited out when tests pass.
const patience = 60 * time.Second

func (b *bed) until(what string, is func() bool) {
	b.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			b.t.Fatalf("waited in vain until %s", what)
		}
	}
}

func fetch(t *testing.T, address string) []byte {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func (b *bed) get(path string, query url.Values) []byte {
	b.t.Helper()
	return fetch(b.t, b.o.URL()+path+"?"+query.Encode())
}

func (b *bed) token(identity string, grants ...string) string {
	b.t.Helper()
	token, err := signal.Token(apiKey, secret, signal.Grants{Identity: identity, Room: room, Names: grants}, time.Hour)
	if err != nil {
		b.t.Fatal(err)
	}
	return token
}

// knock asks for a WebSocket as a client does, and returns the refusal.
func (b *bed) knock(identity string) (status int, reason string) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.o.URL()+"/rtc/v1?join_request=EgQKAhgQ&access_token="+b.token(identity), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="} {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// paid is the Set of what the Registry holds of all nodes since genesis, each
// record verified.
func (b *bed) paid() *receipt.Set {
	b.t.Helper()
	set := receipt.NewSet(b.network.Domain())
	var ids []string
	for _, n := range b.nodes {
		ids = append(ids, n.ID().String())
	}
	for e := range b.network.Clock().At(time.Now()) + 1 {
		var answer struct {
			Records []struct {
				Record []byte `json:"record"`
			} `json:"records"`
		}
		query := url.Values{"ids": {strings.Join(ids, ",")}, "epoch": {strconv.FormatUint(e, 10)}}
		if err := json.Unmarshal(fetch(b.t, b.registry.URL()+"/receipts?"+query.Encode()), &answer); err != nil {
			b.t.Fatal(err)
		}
		for _, r := range answer.Records {
			record, err := envelope.Parse(r.Record)
			if err == nil {
				err = record.Verify()
			}
			if err != nil {
				b.t.Fatal(err)
			}
			page, err := receipt.ParsePage(record.Body)
			if err == nil {
				err = set.AddPage(page)
			}
			if err != nil {
				b.t.Fatal(err)
			}
		}
	}
	return set
}

func total(s *receipt.Set) (sum receipt.Counters) {
	for _, r := range s.Receipts() {
		sum.Client, sum.Relay = sum.Client+r.Client, sum.Relay+r.Relay
	}
	return sum
}

// viewer counts what a stock client receives: header and payload bytes of packets
// that come for the first time.
type viewer struct {
	mu    sync.Mutex // guards bytes
	bytes uint64
}

func (v *viewer) play(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
	go func() {
		seen := map[uint16]bool{}
		for buffer := make([]byte, 1700); ; {
			n, _, err := track.Read(buffer)
			if err != nil {
				return
			}
			var p rtp.Packet
			if p.Unmarshal(buffer[:n]) != nil || seen[p.SequenceNumber] {
				continue
			}
			seen[p.SequenceNumber] = true
			delete(seen, p.SequenceNumber-1<<15)
			v.mu.Lock()
			v.bytes += uint64(p.Header.MarshalSize() + len(p.Payload))
			v.mu.Unlock()
		}
	}()
}

func (v *viewer) sum() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.bytes
}

// people joins clients to the room of a bed.
type people struct {
	b    *bed
	ctx  context.Context
	door *client.Signal
}

func (b *bed) people() *people {
	b.t.Helper()
	api, err := client.NewAPI(client.Options{NACK: true, TWCC: true, Interfaces: client.LoopbackInterfaces("127.0.0.1")})
	if err != nil {
		b.t.Fatal(err)
	}
	base, err := url.Parse(b.o.URL())
	if err != nil {
		b.t.Fatal(err)
	}
	return &people{b, b.t.Context(), &client.Signal{API: api, Base: base, Room: room, Sign: func(identity string, _ bool) (string, error) {
		return b.token(identity), nil
	}}}
}

func (p *people) join(who client.Participant, place drtc.Place) {
	p.b.t.Helper()
	who.Place = fmt.Sprintf("%v,%v", place.Lat, place.Lon)
	session, err := p.door.Join(p.ctx, who)
	if err != nil {
		p.b.t.Fatal(err)
	}
	p.b.t.Cleanup(func() { _ = session.Close() })
}

// talk publishes camera and microphone until stop is called.
func (p *people) talk(place drtc.Place) (stop func()) {
	p.b.t.Helper()
	mix := traffic.DefaultMix()
	camera, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}, "cam", "ann")
	if err != nil {
		p.b.t.Fatal(err)
	}
	mic, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, "mic", "ann")
	if err != nil {
		p.b.t.Fatal(err)
	}
	var wanted atomic.Bool // a key frame
	p.join(client.Participant{Name: "ann", Publish: &client.Publisher{
		Name: "ann", Audio: mic, Video: camera, KeyFrame: func() { wanted.Store(true) },
	}}, place)
	ctx, cancel := context.WithCancel(p.ctx)
	var sending sync.WaitGroup
	frames, sounds := traffic.NewCamera(mix, 1), traffic.NewMicrophone(mix, 2)
	pace := func(due func() time.Duration, turn func()) {
		start, timer := time.Now(), time.NewTimer(0)
		defer timer.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-timer.C:
				turn()
				timer.Reset(time.Until(start.Add(due())))
			}
		}
	}
	sending.Go(func() {
		pace(frames.Due, func() {
			if wanted.Swap(false) {
				frames.WantKeyFrame()
			}
			for _, packet := range frames.Frame(time.Now()) {
				_ = camera.WriteRTP(&packet.Packet)
			}
		})
	})
	sending.Go(func() { pace(sounds.Due, func() { _ = mic.WriteRTP(&sounds.Packet().Packet) }) })
	stop = func() { cancel(); sending.Wait() }
	p.b.t.Cleanup(stop)
	return stop
}

// off is by how much two numbers differ, in parts of the second.
func off(got, want uint64) float64 {
	return (float64(got) - float64(want)) / float64(max(want, 1))
}

// Over two nodes and several epochs: the receipts that the Registry holds are what
// the clients received, within 0.5 % after their last reports, and what nodes sent
// each other besides; and the application's bill says the same.
func TestServed_isWhatIsSigned(t *testing.T) {
	b := newBed(t, []drtc.Place{berlin, singapore}, nil, nil)
	p := b.people()
	stop := p.talk(berlin)
	viewers := []*viewer{{}, {}, {}}
	for i, v := range viewers {
		p.join(client.Participant{Name: fmt.Sprint("viewer", i), Play: &client.Subscriber{Track: v.play}}, []drtc.Place{berlin, berlin, singapore}[i])
	}
	var far uint64
	b.until("each viewer has two megabytes, in the second epoch", func() bool {
		for _, v := range viewers {
			if v.sum() < 2e6 {
				return false
			}
		}
		return b.network.Clock().At(time.Now()) >= 1
	})
	stop()
	received := func() (sum uint64) {
		for _, v := range viewers {
			sum += v.sum()
		}
		far = viewers[2].sum()
		return sum
	}
	var got receipt.Counters
	b.until("the receipts are what was received", func() bool {
		got = total(b.paid())
		return off(got.Client, received()) > -0.005
	})
	t.Logf("receipts of %d client and %d relay bytes, clients received %d: off by %.4f %%; one of them %d over a relay",
		got.Client, got.Relay, received(), 100*off(got.Client, received()), far)
	if o := off(got.Client, received()); o > 0.005 {
		t.Errorf("receipts of %d client bytes, clients received %d", got.Client, received())
	}
	b.until("what was relayed is signed for", func() bool { return off(total(b.paid()).Relay, far) > -0.01 })
	set := b.paid()
	if o := off(total(set).Relay, far); o > 0.05 { // layers and reports of their own
		t.Errorf("receipts of %d relay bytes, the client behind received %d", total(set).Relay, far)
	}
	epochs := map[uint64]bool{}
	for _, r := range set.Receipts() {
		epochs[r.Epoch] = true
		if r.Application != receipt.Application(shop) || r.Orchestrator != b.o.ID() {
			t.Errorf("receipt of %x and %s, want the application and the Orchestrator", r.Application, r.Orchestrator)
		}
	}
	if len(epochs) < 2 {
		t.Errorf("receipts of %d epochs, want several", len(epochs))
	}
	if set.Served(b.nodes[0].ID(), 0).Relay+set.Served(b.nodes[0].ID(), 1).Relay == 0 {
		t.Error("the publisher's node has no relay bytes")
	}

	// The bill.
	var bill struct {
		Client uint64        `json:"client_bytes"`
		Relay  uint64        `json:"relay_bytes"`
		Rows   []receipt.Row `json:"rows"`
	}
	query := url.Values{"access_token": {b.token("server", "roomList")}, "from": {"2026-01-01"}, "by": {"room,key"}}
	b.until("the bill says what the receipts say", func() bool {
		if err := json.Unmarshal(b.get("/drtc/v1/usage", query), &bill); err != nil {
			t.Fatal(err)
		}
		got = total(b.paid())
		return off(bill.Client, got.Client) > -0.005 && off(bill.Relay, got.Relay) > -0.005
	})
	if off(bill.Client, got.Client) > 0.005 || off(bill.Relay, got.Relay) > 0.005 {
		t.Errorf("the bill says %d client and %d relay bytes, the receipts %+v", bill.Client, bill.Relay, got)
	}
	if len(bill.Rows) != 2 || bill.Rows[1].Room != room || bill.Rows[1].Key != apiKey || bill.Rows[0].Key != "" || bill.Rows[0].Relay == 0 {
		t.Errorf("rows are %+v, want one of links and one of the key, both of the room", bill.Rows)
	}
	query.Set("format", "csv")
	rows, err := csv.NewReader(strings.NewReader(string(b.get("/drtc/v1/usage", query)))).ReadAll()
	if err != nil || len(rows) != 3 || rows[0][4] != "client_bytes" || rows[2][4] != strconv.FormatUint(bill.Rows[1].Client, 10) {
		t.Errorf("CSV is %v (%v), want the same", rows, err)
	}

	// A restart of the Orchestrator goes on where it was: nothing is paid again.
	before := total(b.paid())
	b.stopO()
	b.startOrchestrator(nil, slog.New(slog.DiscardHandler))
	at := b.network.Clock().At(time.Now())
	b.until("an epoch has passed", func() bool { return b.network.Clock().At(time.Now()) > at })
	if after := total(b.paid()); off(after.Client, before.Client) > 0.01 || after.Client < before.Client {
		t.Errorf("%d client bytes are paid after the restart, %d before", after.Client, before.Client)
	}
}

// An Orchestrator that never signs is cut off when its credit is used up, and told
// why; it gets nothing new.
func TestServed_neverSigningIsCutOff(t *testing.T) {
	const credit = 600_000
	b := newBed(t, []drtc.Place{berlin}, func(c *medianode.Config) {
		c.Receipts.CreditMB, c.Receipts.CreditTime = credit/1e6, time.Hour
	}, func(c *orchestrator.Config) { c.Receipts.Network = receipt.Network{} })
	p := b.people()
	p.talk(berlin)
	v := &viewer{}
	p.join(client.Participant{Name: "viewer", Play: &client.Subscriber{Track: v.play}}, berlin)
	metric := func(name string) (sum float64) {
		for line := range strings.Lines(string(fetch(t, b.nodes[0].MetricsURL()+"/metrics"))) {
			if strings.HasPrefix(line, name) {
				n, _ := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
				sum += n
			}
		}
		return sum
	}
	b.until("the node stops", func() bool { return metric(`drtc_medianode_receipt_decisions_total{decision="stop"}`) > 0 })
	b.until("its sessions have ended", func() bool { return metric("drtc_medianode_sessions_count") == 0 })
	mix := traffic.DefaultMix()
	second := float64(mix.VideoPackets*(mix.VideoBytes+20) + mix.AudioPackets*(mix.AudioBytes+20))
	if got := v.sum(); float64(got) > credit+(256<<10)+4*second {
		t.Errorf("the client got %d bytes on a credit of %d", got, credit)
	}
	status, reason := b.knock("late")
	if status != http.StatusServiceUnavailable || !strings.Contains(reason, "receipts lag") {
		t.Errorf("who comes later is told %d %q, want that receipts lag", status, reason)
	}
	if got := total(b.paid()); got != (receipt.Counters{}) {
		t.Errorf("%+v is paid", got)
	}
	files, err := filepath.Glob(filepath.Join(b.dir, "node0", "*.receipts"))
	if err != nil || len(files) != 1 {
		t.Fatalf("accounts are in %v (%v)", files, err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Size() == 0 {
		t.Errorf("the node's accounts: %v", err)
	}
}

// A room that is over its budget ends, and who comes back is told why; other rooms
// are not concerned.
func TestServed_aBudgetEndsARoom(t *testing.T) {
	b := newBed(t, []drtc.Place{berlin}, nil, func(c *orchestrator.Config) {
		c.Budgets = []receipt.Budget{{Application: apiKey, Room: receipt.EachRoom, Gigabytes: 0.001, Per: receipt.PerDay, End: true}}
	})
	p := b.people()
	p.talk(berlin)
	v := &viewer{}
	ended := make(chan error, 1)
	p.join(client.Participant{Name: "viewer", Play: &client.Subscriber{Track: v.play}, Ended: func(err error) { ended <- err }}, berlin)
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("the room goes on")
	}
	if got := v.sum(); got < 1e6 {
		t.Errorf("the room ended after %d bytes, want the budget of a megabyte", got)
	}
	status, reason := b.knock("viewer")
	if status != http.StatusTooManyRequests || !strings.Contains(reason, `the budget of room "stage" is used up`) {
		t.Errorf("who comes back is told %d %q", status, reason)
	}
	if e, err := http.Get(b.o.URL() + "/drtc/v1/usage?access_token=" + b.token("ann")); err != nil || e.StatusCode != http.StatusForbidden {
		t.Errorf("a participant asks for the bill: got %v, %v, want that it is refused", e, err)
	} else {
		e.Body.Close()
	}
	for _, query := range []string{"from=yesterday", "by=colour", "format=xml"} {
		e, err := http.Get(b.o.URL() + "/drtc/v1/usage?" + query + "&access_token=" + b.token("server", "roomList"))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(e.Body)
		e.Body.Close()
		if name, _, _ := strings.Cut(query, "="); e.StatusCode != http.StatusBadRequest || !strings.HasPrefix(string(text), name+":") {
			t.Errorf("%s: got %d %q, want that it names the parameter", query, e.StatusCode, text)
		}
	}
}
