package registry_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry"
	"github.com/drtc-network/drtc/registry/reconcile"
	"github.com/drtc-network/drtc/registry/record"
	"github.com/drtc-network/drtc/registry/wire"
)

// roster is the list of who takes part, in a file that Registries follow.
type roster struct {
	path          string
	serial        uint64
	nodes         map[drtc.NodeID]bool
	registries    map[drtc.NodeID]bool
	minGeneration map[string]uint64
}

func newRoster(t *testing.T) *roster {
	return &roster{
		path:  filepath.Join(t.TempDir(), "bonding.json"),
		nodes: map[drtc.NodeID]bool{}, registries: map[drtc.NodeID]bool{}, minGeneration: map[string]uint64{},
	}
}

// write puts the list in place at once, so that nobody reads half of it.
func (r *roster) write(t *testing.T) {
	t.Helper()
	r.serial++
	ids := func(of map[drtc.NodeID]bool) []string {
		all := []string{}
		for id := range of {
			all = append(all, id.String())
		}
		return all
	}
	text, err := json.Marshal(map[string]any{
		"serial": r.serial, "any_orchestrator": true, "min_generation": r.minGeneration,
		"nodes": ids(r.nodes), "registries": ids(r.registries),
	})
	if err == nil {
		err = os.WriteFile(r.path+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(r.path+".new", r.path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// node is a Media Node that takes part.
func (r *roster) node(t *testing.T) *mediaNode {
	n := newNode(t)
	r.nodes[n.ID()] = true
	return n
}

// registry is the key of a Registry that takes part.
func (r *roster) registry(t *testing.T) *identity.Key {
	k := newNode(t).Key
	r.registries[k.ID()] = true
	return k
}

// startBonded starts Registries under a list.
func startBonded(t *testing.T, size int, r *roster, change func(*registry.Config)) []*process {
	t.Helper()
	var files []string
	for range size {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, []byte(r.registry(t).Hex()), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	r.write(t)
	next := 0
	return startNetwork(t, size, func(c *registry.Config) {
		c.BondingFile, c.KeyFile, c.Probing = r.path, files[next], false
		c.RequestsPerSecond, c.RequestBurst = 1e4, 1e4
		next++
		if change != nil {
			change(c)
		}
	})
}

// metric reads one series, with its labels in order of their names.
func (p *process) metric(series string) float64 {
	p.t.Helper()
	a, err := http.Get(p.URL() + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer a.Body.Close()
	lines := bufio.NewScanner(a.Body)
	sum := 0.
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), series); ok && (rest[0] == ' ' || rest[0] == '{') {
			value, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
			if err != nil {
				p.t.Fatal(err)
			}
			sum += value // of all labels, if series has none
		}
	}
	if err := lines.Err(); err != nil {
		p.t.Fatal(err)
	}
	return sum
}

// held returns what is held about a subject, shown or not.
func (p *process) held(kind string, subject drtc.NodeID) []envelope.Envelope {
	p.t.Helper()
	all, err := heldAt(p.URL(), kind, subject)
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

func heldAt(url, kind string, subject drtc.NodeID) ([]envelope.Envelope, error) {
	a, err := http.Get(url + "/records?kind=" + kind + "&ids=" + subject.String())
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	var answer struct{ Records []struct{ Record []byte } }
	if err := json.NewDecoder(a.Body).Decode(&answer); err != nil || a.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %w", url, a.Status, err)
	}
	var all []envelope.Envelope
	for _, r := range answer.Records {
		e, err := envelope.Parse(r.Record)
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

func (n *mediaNode) envelope(t testing.TB, change func(*envelope.Envelope, *registryv1.NodeBody)) envelope.Envelope {
	t.Helper()
	e, err := wire.FromProto(n.record(t, change))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// adversary is a host that speaks the protocols of Registries as it likes.
type adversary struct {
	host.Host
	t       testing.TB
	streams map[*process]network.Stream // of gossip
}

func newHost(key *identity.Key) (host.Host, error) {
	raw, err := hex.DecodeString(strings.TrimPrefix(key.Hex(), "0x"))
	if err != nil {
		return nil, err
	}
	secret, err := crypto.UnmarshalSecp256k1PrivateKey(raw)
	if err != nil {
		return nil, err
	}
	return libp2p.New(libp2p.Identity(secret), libp2p.NoListenAddrs, libp2p.DisableRelay(), libp2p.DisableMetrics())
}

func newAdversary(t testing.TB, key *identity.Key) *adversary {
	t.Helper()
	h, err := newHost(key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return &adversary{Host: h, t: t, streams: map[*process]network.Stream{}}
}

// address is where a Registry listens for others.
func (p *process) address() peer.AddrInfo {
	p.t.Helper()
	var answer struct{ Addresses []string }
	p.get("/peers", &answer)
	if len(answer.Addresses) == 0 {
		p.t.Fatal("a Registry has no address for others")
	}
	info, err := peer.AddrInfoFromString(answer.Addresses[0])
	if err != nil {
		p.t.Fatal(err)
	}
	return *info
}

func (a *adversary) connect(p *process) error {
	ctx, cancel := context.WithTimeout(a.t.Context(), 5*time.Second)
	defer cancel()
	info := p.address()
	if err := a.Connect(ctx, info); err != nil {
		return err
	}
	var err error
	a.streams[p], err = a.NewStream(ctx, info.ID, "/meshsub/1.1.0")
	return err
}

func (a *adversary) mustConnect(p *process) {
	a.t.Helper()
	if err := a.connect(p); err != nil {
		a.t.Fatal(err)
	}
}

// say gossips one message to one Registry.
func (a *adversary) say(p *process, topic string, message []byte) {
	a.t.Helper()
	if _, err := a.streams[p].Write(gossipFrame("devnet", topic, message)); err != nil {
		a.t.Fatal(err)
	}
}

func gossipFrame(net, topic string, message []byte) []byte {
	name := "/drtc/" + net + "/v1/" + topic
	rpc, err := proto.Marshal(&pubsub_pb.RPC{Publish: []*pubsub_pb.Message{{Data: message, Topic: &name}}})
	if err != nil {
		panic(err) // it is made here
	}
	return append(binary.AppendUvarint(nil, uint64(len(rpc))), rpc...)
}

// message is records as they are gossiped.
func message(records ...envelope.Envelope) (m []byte) {
	for i := range records {
		b := records[i].Bytes()
		m = append(binary.AppendUvarint(m, uint64(len(b))), b...)
	}
	return m
}

// Frames of a conversation (spec REG-24) that are made or read here.
const (
	frameRecords = 6
	frameWant    = 8
)

// converse compares src with what a Registry holds. It returns when the
// conversation is over, in whatever way.
func (a *adversary) converse(p *process, src reconcile.Source, extra ...envelope.Envelope) {
	a.t.Helper()
	stream, err := a.NewStream(a.t.Context(), p.address().ID, syncProtocol)
	if err != nil {
		a.t.Fatal(err)
	}
	if err := converse(stream, src, extra...); err != nil {
		a.t.Errorf("the Registry broke the protocol: %v", err)
	}
}

const syncProtocol = "/drtc/devnet/sync/1"

// converse is one conversation, opened here. When the other side asks for records
// it is given extra as well. Only what the other side says wrong is an error.
func converse(stream network.Stream, src reconcile.Source, extra ...envelope.Envelope) error {
	defer stream.Reset() //nolint:errcheck // it may have ended in order
	session, frames := reconcile.Begin(src, reconcile.DefaultLimits())
	for done := false; ; {
		var out []byte
		for _, f := range frames {
			out = append(binary.BigEndian.AppendUint32(out, uint32(len(f))), f...)
		}
		if _, err := stream.Write(out); err != nil {
			return nil
		}
		if done {
			stream.CloseWrite()         //nolint:errcheck // as below
			io.Copy(io.Discard, stream) //nolint:errcheck // the other side may reset it
			return nil
		}
		var size [4]byte
		if _, err := io.ReadFull(stream, size[:]); err != nil {
			return nil
		}
		frame := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(stream, frame); err != nil {
			return nil
		}
		step, err := session.Handle(frame)
		if err != nil {
			return err
		}
		frames, done = step.Send, step.Done
		if frame[0] == frameWant && len(frame) > 1 && len(extra) > 0 {
			frames = append([][]byte{append([]byte{frameRecords}, message(extra...)...)}, frames...)
		}
	}
}

// newShelf is a Set that admits anything.
func newShelf(t testing.TB, records ...envelope.Envelope) *record.Set {
	t.Helper()
	set, err := shelve(records)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func shelve(records []envelope.Envelope) (*record.Set, error) {
	rules := record.DefaultRules("devnet")
	if len(records) > 0 {
		rules.Network = records[0].Network
	}
	for _, name := range []string{record.KindNode, record.KindRegistry, record.KindLiveness, record.KindEquivocation, record.KindAdmission} {
		rules.Kinds = append(rules.Kinds, record.Kind{Name: name, MaxBody: 60 << 10, MaxTTL: 1000 * time.Hour, Tombstones: true, Issuer: record.RoleNode})
	}
	set, err := record.New(rules)
	if err != nil {
		return nil, err
	}
	for _, e := range records {
		if o, err := set.Merge(e.IssuedAt, e, record.Synced); o != record.Stored || err != nil {
			return nil, fmt.Errorf("putting a record on the shelf: %s, %w", o, err)
		}
	}
	return set, nil
}

// boaster claims newer versions than it has.
type boaster struct{ *record.Set }

func (b boaster) Items(l int) []record.Item {
	items := slices.Clone(b.Set.Items(l))
	for i := range items {
		items[i].Version.Seq += 1 << 30
	}
	return items
}

// offence is a record that must not be stored.
type offence struct {
	name   string
	record envelope.Envelope
	reason string // of the refusal; "stale" is the outcome instead
	forged bool   // no honest Registry passes it on
}

// offences are made by nodes that take part, but for those of strangers. departed
// has left when they are sent.
func offences(t *testing.T, r *roster, departed *mediaNode) []offence {
	field := func(change func(*envelope.Envelope)) envelope.Envelope {
		return r.node(t).envelope(t, func(e *envelope.Envelope, _ *registryv1.NodeBody) { change(e) })
	}
	body := func(change func(*registryv1.NodeBody)) envelope.Envelope {
		return r.node(t).envelope(t, func(_ *envelope.Envelope, b *registryv1.NodeBody) { change(b) })
	}
	kind := func(n *mediaNode, kind string) envelope.Envelope {
		return n.envelope(t, func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.Kind = kind })
	}
	forged, revoked := r.node(t).envelope(t, nil), r.node(t)
	forged.Seq += 7
	r.minGeneration[revoked.ID().String()] = 5
	return []offence{
		{"forged", forged, "signature", true},
		{"about another", field(func(e *envelope.Envelope) { e.Subject = departed.ID() }), "issuer", true},
		{"foreign network", field(func(e *envelope.Envelope) { e.Network = "main" }), "network", true},
		{"oversized", body(func(b *registryv1.NodeBody) { b.Features = slices.Repeat([]string{strings.Repeat("f", 30)}, 170) }), "size", true},
		{"too long a life", field(func(e *envelope.Envelope) { e.TTL = time.Hour }), "ttl", true},
		{"body out of range", body(func(b *registryv1.NodeBody) { b.Geolocation = "91,0" }), "body", true},
		{"expired", field(func(e *envelope.Envelope) { e.IssuedAt = time.Now().Add(-time.Hour) }), "expired", false},
		{"from the future", field(func(e *envelope.Envelope) { e.IssuedAt = time.Now().Add(time.Hour) }), "future", false},
		{"unbonded node", newNode(t).envelope(t, nil), "bond", false},
		{"unbonded registry", kind(newNode(t), record.KindRegistry), "bond", false},
		{"liveness by a node", kind(r.node(t), record.KindLiveness), "bond", false},
		{"revoked generation", revoked.envelope(t, func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.Generation = 4 }), "revoked", false},
		{"replayed", departed.envelope(t, nil), "stale", false},
	}
}

// counted is the series in which a Registry counts what became of the offence.
func (o *offence) counted(path record.Path) string {
	if o.reason == "stale" {
		return fmt.Sprintf("drtc_registry_submissions_total{outcome=%q,path=%q}", o.reason, path)
	}
	return fmt.Sprintf("drtc_registry_refusals_total{path=%q,reason=%q}", path, o.reason)
}

// wantKept requires that the offence is not held.
func (p *process) wantKept(o *offence) {
	p.t.Helper()
	for _, e := range p.held(o.record.Kind, o.record.Subject) {
		if e.Hash() == o.record.Hash() {
			p.t.Errorf("%s: is held", o.name)
		}
	}
}

// Nothing that is wrong is stored by any of four Registries, whatever way it
// comes, and each way counts it.
func TestHostile_nothingThatIsWrongIsStored(t *testing.T) {
	t.Parallel()
	r := newRoster(t)
	departed, stays := r.node(t), r.node(t)
	wrong := offences(t, r, departed)
	adversaries := map[string]*adversary{}
	for _, o := range wrong {
		for _, way := range []string{"gossip", "sync"} {
			adversaries[way+o.name] = newAdversary(t, r.registry(t))
		}
	}
	boasts := newAdversary(t, r.registry(t))
	all := startBonded(t, 4, r, nil)

	departed.seq = 10
	all[0].mustRegister(departed.record(t, nil))
	all[0].mustRegister(stays.record(t, nil))
	if _, err := all[0].DeregisterNode(t.Context(), connect.NewRequest(&registryv1.DeregisterNodeRequest{Tombstone: departed.tombstone(t)})); err != nil {
		t.Fatal(err)
	}
	settled := func() bool {
		for _, p := range all {
			left := p.held(record.KindNode, departed.ID())
			if !p.shows(stays) || len(left) != 1 || !left[0].IsTombstone() || p.root() != all[0].root() {
				return false
			}
		}
		return true
	}
	all[0].eventually("one node stays, one has left, everywhere", settled)

	for _, o := range wrong {
		topic := o.record.Kind
		t.Run("submitted/"+o.name, func(t *testing.T) {
			for _, p := range all {
				before := p.metric(o.counted(record.Submitted))
				m, err := wire.ToProto(&o.record)
				if err != nil {
					t.Fatal(err)
				}
				a, err := p.register(m)
				if a.GetAccepted() {
					t.Error("accepted")
				}
				if o.record.Kind != record.KindNode { // the API has no call for it
					if connect.CodeOf(err) != connect.CodeInvalidArgument {
						t.Errorf("got %v, want InvalidArgument", err)
					}
					continue
				}
				if got := p.metric(o.counted(record.Submitted)) - before; got != 1 {
					t.Errorf("%s rose by %v, want 1", o.counted(record.Submitted), got)
				}
				p.wantKept(&o)
			}
		})
		t.Run("gossiped/"+o.name, func(t *testing.T) {
			a := adversaries["gossip"+o.name]
			series := fmt.Sprintf("drtc_registry_gossip_records_total{outcome=%q,topic=%q}", o.reason, topic)
			for _, p := range all {
				judged, counted := p.metric(o.counted(record.Gossiped)), p.metric(series)
				a.mustConnect(p)
				a.say(p, topic, message(o.record))
				p.eventually("it is counted", func() bool {
					return p.metric(o.counted(record.Gossiped)) == judged+1 && p.metric(series) == counted+1
				})
				p.wantKept(&o)
			}
		})
		t.Run("synced/"+o.name, func(t *testing.T) {
			a := adversaries["sync"+o.name]
			series := fmt.Sprintf("drtc_registry_gossip_records_total{outcome=%q,topic=\"sync\"}", o.reason)
			for _, p := range all {
				judged, counted, bans := p.metric(o.counted(record.Synced)), p.metric(series), p.metric("drtc_registry_gossip_bans_total")
				a.mustConnect(p)
				a.converse(p, newShelf(t, o.record))
				if o.reason == "stale" { // an older one is not even asked for
					p.wantKept(&o)
					continue
				}
				p.eventually("it is counted", func() bool {
					return p.metric(o.counted(record.Synced)) == judged+1 && p.metric(series) == counted+1
				})
				p.wantKept(&o)
				if o.forged {
					p.eventually("it is cut off", func() bool { return p.metric("drtc_registry_gossip_bans_total") == bans+1 })
				}
			}
		})
	}
	t.Run("synced/replayed with a false version", func(t *testing.T) {
		replay := wrong[len(wrong)-1]
		for _, p := range all {
			hostile := p.metric(`drtc_registry_gossip_sync_sessions_total{direction="in",outcome="hostile"}`)
			boasts.mustConnect(p)
			boasts.converse(p, boaster{newShelf(t, replay.record)}, replay.record)
			p.eventually("the conversation counts as hostile", func() bool {
				return p.metric(`drtc_registry_gossip_sync_sessions_total{direction="in",outcome="hostile"}`) == hostile+1
			})
			p.wantKept(&replay)
		}
	})
	if !settled() {
		t.Error("the Registries no longer hold what they held")
	}
	for _, p := range all {
		if peers := p.peers(); len(peers) < 3 {
			t.Errorf("connected to %v, want the three others still", peers)
		}
	}
}
