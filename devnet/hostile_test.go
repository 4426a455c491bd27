package devnet_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/devnet"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/identity/keyfile"
	"github.com/drtc-network/drtc/rpcauth"
)

const (
	patience  = 15 * time.Second // for what must happen; never waited out when tests pass
	maxGrowth = 64 << 20         // bytes of resident memory
	renew     = "/drtc.medianode.v1.ControlService/RenewEvents"
)

// system is a network of the real program.
type system struct {
	t       *testing.T
	program string
	dir     string
	ready   devnet.Ready
	health  map[string]string // of every role: URL
	pids    map[string]int
}

// startSystem builds the program and runs one process of every role.
func startSystem(t *testing.T, changes ...func(*devnet.Config)) *system {
	t.Helper()
	program := filepath.Join(t.TempDir(), "drtc")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../cmd/drtc").CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	cfg := devnet.DefaultConfig()
	cfg.Program, cfg.Listen, cfg.Nodes, cfg.Out = program, "127.0.0.1:0", 1, io.Discard
	cfg.Dir, cfg.ReadyFile = filepath.Join(t.TempDir(), "net"), filepath.Join(t.TempDir(), "ready.json")
	for _, change := range changes {
		change(&cfg)
	}
	n, err := devnet.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the network ended with %v", err)
		}
	})
	s := &system{t: t, program: program, dir: cfg.Dir, health: map[string]string{}, pids: map[string]int{}}
	s.eventually("the network is ready", func() error { return readJSON(cfg.ReadyFile, &s.ready) })
	var registry devnet.Server
	if err := readJSON(filepath.Join(cfg.Dir, "registry-1", "ready.json"), &registry); err != nil {
		t.Fatal(err)
	}
	s.health["registry"], s.pids["registry"] = s.ready.Registries[0]+"/healthz", registry.PID
	s.health["medianode"], s.pids["medianode"] = strings.Replace(s.ready.Nodes[0].Metrics, "/metrics", "/healthz", 1), s.ready.Nodes[0].PID
	s.health["orchestrator"], s.pids["orchestrator"] = s.ready.URL+"/healthz", s.ready.Orchestrator.PID
	return s
}

func readJSON(path string, v any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// eventually calls probe until it gives no error.
func (s *system) eventually(what string, probe func() error) {
	s.t.Helper()
	limit := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := probe()
		if err == nil {
			return
		}
		select {
		case <-limit:
			s.t.Fatalf("not within %v: %s: %v", patience, what, err)
		case <-tick.C:
		}
	}
}

// token makes an access token as a person does.
func (s *system) token() string {
	s.t.Helper()
	out, err := exec.CommandContext(s.t.Context(), s.program, "token", "create", "--identity", "ann", "--room", "r",
		"--api-key", s.ready.APIKey, "--api-secret", s.ready.APISecret).Output()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, word := range strings.Fields(string(out)) {
		if strings.Count(word, ".") == 2 && strings.HasPrefix(word, "eyJ") {
			return word
		}
	}
	s.t.Fatalf("no token in %q", out)
	return ""
}

// resident is the memory of a process in bytes.
func (s *system) resident(role string) int {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pids[role]))
	if err != nil {
		s.t.Fatalf("%s is gone: %v", role, err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		s.t.Fatal(err)
	}
	return kib << 10
}

func get(url string) (status int, body string, err error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url) //nolint:noctx // the client has a timeout
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, string(b), err
}

func mustServe(url string) error {
	status, body, err := get(url)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%d %.100s", status, body)
	}
	return err
}

// Strangers on every open port: each of them is turned away, and nobody else
// notices.
func TestNetwork_outlivesHostileTraffic(t *testing.T) {
	s := startSystem(t)
	before := map[string]int{}
	for role, url := range s.health {
		s.eventually(role+" is healthy", func() error { return mustServe(url) })
		before[role] = s.resident(role)
	}
	orchestrator, registry := strings.TrimPrefix(s.ready.URL, "http://"), strings.TrimPrefix(s.ready.Registries[0], "http://")
	token := s.token()

	began := time.Now()
	// First what must pass the limit of connections of one address.
	hugeFrame(t, orchestrator, token)
	gzipBomb(t, s.ready.URL, token)
	var attacks sync.WaitGroup
	for _, addr := range []string{orchestrator, registry} {
		for range 5 {
			attacks.Go(func() { slowHeaders(t, addr) })
		}
		attacks.Go(func() { garbageRequests(t, addr) })
		attacks.Go(func() { hugeHeaders(t, addr) })
	}
	attacks.Go(func() { datagrams(t, s.ready.Nodes[0].UDP) })
	attacks.Go(func() { forgedCalls(t, s.ready.Nodes[0], filepath.Join(s.dir, "orchestrator", "key")) })
	attacks.Wait()
	t.Logf("the attacks took %.1f s", time.Since(began).Seconds())

	for role, url := range s.health {
		s.eventually(role+" is healthy afterwards", func() error { return mustServe(url) })
		grown := s.resident(role) - before[role]
		t.Logf("%s: resident memory %.1f MiB, grown by %.1f MiB", role, float64(before[role])/(1<<20), float64(grown)/(1<<20))
		if grown >= maxGrowth {
			t.Errorf("%s has grown by %d bytes, want less than %d", role, grown, maxGrowth)
		}
	}
	s.eventually("a client's token is good", func() error {
		return mustServe(s.ready.URL + "/rtc/validate?access_token=" + token)
	})
	s.eventually("a client joins", func() error {
		conn, err := join(orchestrator, token)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
}

// datagrams sends noise and packets that look like something to a media port.
func datagrams(t *testing.T, addr string) {
	conn, err := net.Dial("udp", addr) //nolint:noctx // UDP does not wait
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	random := make([]byte, 1500)
	fronts := [][]byte{
		{}, // noise
		{0, 1, 0xff, 0xff, 0x21, 0x12, 0xa4, 0x42},   // STUN, longer than it is
		{0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42},         // STUN request without credentials
		{1, 1, 0, 4, 0x21, 0x12, 0xa4, 0x42},         // STUN answer that nobody asked for
		{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 5},  // DTLS handshake of a stranger
		{23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 1, 0},  // DTLS application data, where SCTP would be
		{0x9f, 96, 0, 1},                             // RTP with 15 sources and an extension
		{0x80, 96},                                   // RTP cut off
		{0x81, 200, 0xff, 0xff},                      // RTCP longer than it is
		{0x9f, 205, 0, 0},                            // RTCP feedback cut off
		{0x13, 0x88, 0x13, 0x88, 0, 0, 0, 0, 0, 0x1}, // SCTP in the clear
	}
	pace := time.NewTicker(2 * time.Millisecond) // so that the kernel's queue takes them
	defer pace.Stop()
	for i := range 10_000 {
		if i%50 == 0 {
			<-pace.C
		}
		size := 1 + i*7919%len(random)
		if _, err := rand.Read(random[:size]); err != nil {
			t.Error(err)
			return
		}
		copy(random, fronts[i%len(fronts)])
		// A full queue of the kernel is no failure of ours.
		if _, err := conn.Write(random[:size]); err != nil && !errors.Is(err, syscall.ENOBUFS) {
			t.Errorf("datagram %d: %v", i, err)
			return
		}
	}
}

func dial(t *testing.T, addr string) net.Conn {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Errorf("connecting to %s: %v", addr, err)
		return nil
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Error(err)
	}
	return conn
}

// slowHeaders begins a request and never ends it.
func slowHeaders(t *testing.T, addr string) {
	conn := dial(t, addr)
	if conn == nil {
		return
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	began := time.Now()
	var timeout net.Error
	if _, err := io.Copy(io.Discard, conn); errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("%s waits for headers for more than %v", addr, time.Since(began))
	}
}

// garbageRequests sends noise and requests that mean nothing.
func garbageRequests(t *testing.T, addr string) {
	noise := make([]byte, 400)
	for i := range 1000 {
		conn := dial(t, addr)
		if conn == nil {
			return
		}
		if _, err := rand.Read(noise); err != nil {
			t.Error(err)
		}
		text := string(noise) + "\r\n\r\n"
		switch i % 4 {
		case 1:
			text = "GET /" + url.PathEscape(string(noise)) + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
		case 2:
			text = "POST /rtc/v1?access_token=%zz HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n"
		case 3:
			text = "GET /rtc/v1?access_token=a.b.c&join_request=" + url.QueryEscape(string(noise)) + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
		}
		_, err := io.WriteString(conn, text)
		if err == nil && i%4 != 0 {
			answer := make([]byte, 12)
			if n, err := io.ReadFull(conn, answer); err == nil && strings.HasPrefix(string(answer[:n]), "HTTP/1.1 2") && i%4 != 1 {
				t.Errorf("%s: garbage of kind %d is answered with %s", addr, i%4, answer)
			}
		}
		conn.Close()
	}
}

// hugeHeaders sends more of them than anybody keeps.
func hugeHeaders(t *testing.T, addr string) {
	conn := dial(t, addr)
	if conn == nil {
		return
	}
	defer conn.Close()
	go func() {
		line := "X-Huge: " + strings.Repeat("x", 8000) + "\r\n"
		_, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n")
		for i := 0; i < 1000 && err == nil; i++ { // until it hangs up
			_, err = io.WriteString(conn, line)
		}
	}()
	answer, err := io.ReadAll(conn)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() || strings.HasPrefix(string(answer), "HTTP/1.1 2") {
		t.Errorf("%s: 8 MB of headers: answer %.40q, error %v, want a refusal", addr, answer, err)
	}
}

// join opens a WebSocket as a client does.
func join(addr, token string) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	request := base64.RawURLEncoding.EncodeToString([]byte{0x12, 4, 0x0a, 2, 0x18, 17}) // client_info.protocol 17
	fmt.Fprintf(conn, "GET /rtc/v1?access_token=%s&join_request=%s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", token, request)
	err = conn.SetDeadline(time.Now().Add(patience))
	answer := make([]byte, 12)
	if err == nil {
		_, err = io.ReadFull(conn, answer)
	}
	if err == nil && string(answer) != "HTTP/1.1 101" {
		rest, _ := io.ReadAll(io.LimitReader(conn, 500))
		err = fmt.Errorf("no WebSocket: %s%s", answer, rest)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// hugeFrame sends one message of 10 MB on a good connection.
func hugeFrame(t *testing.T, addr, token string) {
	conn, err := join(addr, token)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	const size = 10 << 20
	frame := binary.BigEndian.AppendUint64([]byte{0x82, 0xff}, size) // binary, masked, 64 bits of length
	frame = append(frame, make([]byte, 4+size)...)
	go conn.Write(frame) //nolint:errcheck // the server hangs up before the end
	var timeout net.Error
	if _, err := io.Copy(io.Discard, conn); errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("a frame of 10 MB does not end the connection")
	}
}

// gzipBomb asks to join with 100 MB packed into one parameter.
func gzipBomb(t *testing.T, base, token string) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(make([]byte, 100<<20)); err != nil {
		t.Error(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	wrapped := append([]byte{0x08, 1, 0x12}, binary.AppendUvarint(nil, uint64(packed.Len()))...)
	wrapped = append(wrapped, packed.Bytes()...)
	status, body, err := get(base + "/rtc/v1?access_token=" + token + "&join_request=" + base64.RawURLEncoding.EncodeToString(wrapped))
	if err != nil || status != http.StatusBadRequest || !strings.Contains(body, "join_request") {
		t.Errorf("a gzip bomb of %d bytes is answered with %d %.200s (%v), want 400 that names join_request", packed.Len(), status, body, err)
	}
}

// forgedCalls commands a node without the right to; keyFile has the key of who
// has it.
func forgedCalls(t *testing.T, node devnet.Node, keyFile string) {
	key, err := keyfile.Load(keyFile)
	if err != nil {
		t.Error(err)
		return
	}
	stranger, err := identity.Generate(rand.Reader)
	if err != nil {
		t.Error(err)
		return
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // whose node it is does not matter here
	defer client.CloseIdleConnections()
	send := func(payload, signature string, body []byte) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, node.Control+renew, bytes.NewReader(body))
		if err != nil {
			return 0, err.Error()
		}
		r.Header.Set("Content-Type", "application/proto")
		if payload != "" {
			r.Header.Set(rpcauth.HeaderPayload, payload)
			r.Header.Set(rpcauth.HeaderSignature, signature)
		}
		resp, err := client.Do(r)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
		var refusal struct{ Message string }
		_ = json.Unmarshal(text, &refusal) // an answer of the service is no JSON
		return resp.StatusCode, refusal.Message
	}
	as := key
	sign := func(at time.Time, to drtc.NodeID) (payload, signature string) {
		nonce, err := rpcauth.NewNonce(rand.Reader)
		if err == nil {
			payload, signature, err = rpcauth.Sign(as, at, to, nonce, rpcauth.Digest(renew, nil))
		}
		if err != nil {
			t.Error(err)
		}
		return payload, signature
	}
	now := time.Now()
	refused := func(what string, payload, signature string, body []byte, want error) {
		status, message := send(payload, signature, body)
		if status != http.StatusUnauthorized || !strings.Contains(message, want.Error()) {
			t.Errorf("%s call: got %d %q, want 401 and %q", what, status, message, want)
		}
	}
	refused("an unsigned", "", "", nil, rpcauth.ErrMissing)
	payload, signature := sign(now, node.ID)
	refused("a call with another body: a tampered", payload, signature, []byte{0x0a, 0}, rpcauth.ErrDigest)
	_, other := sign(now, node.ID)
	refused("a call with the signature of another one: a tampered", payload, other, nil, rpcauth.ErrSignature)
	if status, message := send(payload, signature, nil); status != http.StatusOK {
		t.Errorf("a good call: got %d %q, want 200", status, message)
	}
	refused("a replayed", payload, signature, nil, rpcauth.ErrReplayed)
	payload, signature = sign(now.Add(-10*time.Minute), node.ID)
	refused("an expired", payload, signature, nil, rpcauth.ErrExpired)
	payload, signature = sign(now.Add(time.Minute), node.ID)
	refused("a not yet valid", payload, signature, nil, rpcauth.ErrNotYetValid)
	payload, signature = sign(now, drtc.NodeID{1})
	refused("a call for another node: a misdirected", payload, signature, nil, rpcauth.ErrAudience)
	refused("a malformed", "{", "0x", nil, rpcauth.ErrMalformed)
	as = stranger
	payload, signature = sign(now, node.ID)
	if status, message := send(payload, signature, nil); status != http.StatusForbidden || !strings.Contains(message, "do not list the caller") {
		t.Errorf("a stranger's call: got %d %q, want 403 and why", status, message)
	}
}
