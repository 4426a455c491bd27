package registry_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry"
	"github.com/drtc-network/drtc/registry/reconcile"
	"github.com/drtc-network/drtc/registry/record"
)

// flooder does too much of something to one Registry, in a process of its own.
type flooder struct {
	host    host.Host
	target  peer.ID
	honest  []envelope.Envelope // records of others
	expired *record.Set         // thousands of records that nobody takes
	nothing *record.Set
	stream  network.Stream // of gossip
	own     []ownNode
}

// ownNode signs the records that it may have stored and no more: the rate is
// looked at before the signature.
type ownNode struct {
	key    *identity.Key
	record envelope.Envelope
	seq    uint64
}

func (o *ownNode) next() envelope.Envelope {
	if o.key == nil {
		o.key, _ = identity.Generate(rand.Reader) // rand does not fail
		o.record = envelope.Envelope{Kind: "node", Network: "devnet", Subject: o.key.ID(), IssuedAt: time.Now(), TTL: 300 * time.Second}
		o.record.Flags = envelope.Tombstone // a body would only take longer to make
	}
	o.seq++
	o.record.Seq = o.seq
	if o.seq < 10 {
		_ = o.record.Sign(o.key) // its fields are in range
	}
	return o.record
}

// floods each do one more of something. An error means that the flooder is cut
// off.
var floods = map[string]func(*flooder, int) error{
	"one message again and again": func(f *flooder, _ int) error { return f.say(message(f.honest[0])) },
	"replays": func(f *flooder, i int) error {
		m := message(f.honest[i%len(f.honest)])
		for bit := range 12 { // each i has another message
			if i>>bit&1 == 1 {
				m = append(m, message(f.honest[bit])...)
			}
		}
		return f.say(m)
	},
	"garbage": func(f *flooder, i int) error { return f.say(fmt.Appendf(nil, "garbage %d", i)) },
	"large garbage": func(f *flooder, i int) error {
		return f.say(binary.BigEndian.AppendUint64(make([]byte, 200<<10), uint64(i)))
	},
	"own records": func(f *flooder, i int) error { return f.say(message(f.own[i%len(f.own)].next())) },
	"own records, many at once": func(f *flooder, i int) error {
		var m []byte
		for j := range 200 {
			m = append(m, message(f.own[(i*200+j)%len(f.own)].next())...)
		}
		return f.say(m)
	},
	"conversations that take all":          func(f *flooder, _ int) error { return f.converse(f.nothing) },
	"conversations that give expired ones": func(f *flooder, _ int) error { return f.converse(f.expired) },
}

func (f *flooder) open(id protocol.ID) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(context.Background(), "flood"), 10*time.Second)
	defer cancel()
	return f.host.NewStream(ctx, f.target, id)
}

func (f *flooder) say(m []byte) (err error) {
	if f.stream == nil {
		if f.stream, err = f.open("/meshsub/1.1.0"); err != nil {
			return err
		}
	}
	_, err = f.stream.Write(gossipFrame("devnet", "node", m))
	return err
}

func (f *flooder) converse(src reconcile.Source) error {
	stream, err := f.open(syncProtocol)
	if err != nil {
		return err
	}
	return converse(stream, src)
}

// floodUntilCut is the process that floods: it connects to the targets, says so,
// does one of the floods as fast as it can until all have cut it off, says that and
// knocks. file has records of honest nodes, in hexadecimal, one a line.
func floodUntilCut(flood, file string, targets []string) error {
	var f flooder
	if err := f.read(file); err != nil {
		return err
	}
	key, err := identity.Generate(rand.Reader)
	if err != nil {
		return err
	}
	if f.host, err = newHost(key); err != nil {
		return err
	}
	var infos []*peer.AddrInfo
	for _, target := range targets {
		info, err := peer.AddrInfoFromString(target)
		if err != nil {
			return err
		}
		if err := f.host.Connect(context.Background(), *info); err != nil {
			return err
		}
		infos = append(infos, info)
	}
	fmt.Println("connected")
	var all sync.WaitGroup
	for _, info := range infos {
		one := flooder{host: f.host, target: info.ID, honest: f.honest, own: make([]ownNode, 500)}
		if err := one.shelve(); err != nil {
			return err
		}
		all.Go(func() {
			for i := 0; floods[flood](&one, i) == nil; i++ {
			}
		})
	}
	all.Wait()
	fmt.Println("cut off")
	for { // and now it knocks
		for _, info := range infos {
			if s, ok := f.host.Network().(*swarm.Swarm); ok {
				s.Backoff().Clear(info.ID)
			}
			_ = f.host.Connect(context.Background(), *info) // refused
		}
	}
}

// read fills what others are made of.
func (f *flooder) read(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		b, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			return err
		}
		e, err := envelope.Parse(b)
		if err != nil {
			return err
		}
		f.honest = append(f.honest, e)
	}
	return nil
}

// shelve makes what conversations are about.
func (f *flooder) shelve() (err error) {
	if f.nothing, err = shelve(nil); err != nil {
		return err
	}
	expired := make([]envelope.Envelope, 5000)
	for i := range expired {
		expired[i] = f.honest[i%len(f.honest)]
		binary.BigEndian.PutUint32(expired[i].Subject[:], uint32(i))
		expired[i].Issuer, expired[i].IssuedAt = expired[i].Subject, expired[i].IssuedAt.Add(-time.Hour)
	}
	f.expired, err = shelve(expired)
	return err
}

// startFlood starts the process and returns the lines that it says.
func startFlood(b testing.TB, flood, file string, targets []string) (said <-chan string, stop func()) {
	b.Helper()
	cmd := exec.Command(os.Args[0], append([]string{flooderMark, flood, file}, targets...)...) //nolint:noctx // killed below
	cmd.Stderr = b.Output()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	lines := make(chan string, 64)
	go func() {
		defer close(lines)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			lines <- scan.Text()
		}
	}()
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // it may be gone
		for range lines {
		}
		_ = cmd.Wait() // says that it was killed
	})
	b.Cleanup(stop)
	return lines, stop
}

// used is the processor time of this process, which the flooder's is not part of.
func used(b testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// flooded is a network that holds records, and the file of them for flooders.
func flooded(b testing.TB, size, records int) (all []*process, file string) {
	b.Helper()
	all = startNetwork(b, size, func(c *registry.Config) { c.Probing = false })
	var text strings.Builder
	set := newShelf(b)
	for range records {
		e := newNode(b).envelope(b, func(e *envelope.Envelope, _ *registryv1.NodeBody) { e.IssuedAt = time.Now().Add(-time.Minute) })
		fmt.Fprintf(&text, "%x\n", e.Bytes())
		if _, err := set.Merge(time.Now(), e, record.Synced); err != nil {
			b.Fatal(err)
		}
	}
	source := newAdversary(b, newNode(b).Key)
	source.mustConnect(all[0])
	source.converse(all[0], set)
	source.Close()
	for _, p := range all {
		p.eventually("the records are everywhere", func() bool { return p.count() == records && len(p.peers()) == size-1 })
	}
	file = filepath.Join(b.TempDir(), "records")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	return all, file
}

// targets are where the Registries listen for others.
func targets(all []*process) []string {
	var addresses []string
	for _, p := range all {
		info := p.address()
		addresses = append(addresses, info.Addrs[0].String()+"/p2p/"+info.ID.String())
	}
	return addresses
}

// Who floods is cut off by all within 10 s, with the budgets that a Registry has
// unless told otherwise. Nobody else is, and registrations go on meanwhile.
func BenchmarkFlood_isCutOff(b *testing.B) {
	all, file := flooded(b, 4, 300)
	for flood := range floods {
		b.Run(flood, func(b *testing.B) {
			for b.Loop() {
				floodOnce(b, all, flood, file)
			}
		})
	}
}

func floodOnce(b *testing.B, all []*process, flood, file string) {
	before := bans(all)
	said, stop := startFlood(b, flood, file, targets(all))
	defer stop()
	wantSaid(b, said, "connected")
	begun, cpu := time.Now(), used(b)
	n := newNode(b)
	all[0].mustRegister(n.record(b, nil))
	wantSaid(b, said, "cut off")
	took, cost := time.Since(begun), used(b)-cpu
	for _, p := range all {
		p.eventually("who registered meanwhile is known", func() bool { return len(p.held(record.KindNode, n.ID())) == 1 })
	}
	b.ReportMetric(took.Seconds(), "s-until-cut-off")
	b.ReportMetric(cost.Seconds()/float64(len(all)), "cpu-s/registry")
	if took > 10*time.Second {
		b.Errorf("cut off after %s, want 10s at most", took)
	}
	for i, p := range all {
		if got := bans(all)[i] - before[i]; got != 1 || len(p.peers()) != len(all)-1 {
			b.Errorf("Registry %d cut off %v and is connected to %v, want the flooder out and the others in", i, got, p.peers())
		}
	}
}

// What it costs to refuse somebody who was cut off and knocks.
func BenchmarkFlood_knocking(b *testing.B) {
	all, file := flooded(b, 2, 1)
	for b.Loop() {
		said, stop := startFlood(b, "garbage", file, targets(all))
		wantSaid(b, said, "connected")
		wantSaid(b, said, "cut off")
		const refused = `drtc_registry_gossip_refused_connections_total{reason="banned"}`
		cpu, from := used(b), all[0].metric(refused)
		all[0].eventually("it has knocked 200 times", func() bool { return all[0].metric(refused)-from >= 200 })
		b.ReportMetric(float64((used(b)-cpu).Microseconds())/1000/2/(all[0].metric(refused)-from), "cpu-ms/refusal")
		stop()
	}
}

// wantSaid waits until the flooder says a line.
func wantSaid(b testing.TB, said <-chan string, want string) {
	b.Helper()
	select {
	case line := <-said:
		if line != want {
			b.Fatalf("the flooder says %q, want %q", line, want)
		}
	case <-time.After(20 * time.Second):
		b.Fatalf("not within 20s: %q", want)
	}
}

func bans(all []*process) (bans []float64) {
	for _, p := range all {
		bans = append(bans, p.metric("drtc_registry_gossip_bans_total"))
	}
	return bans
}
