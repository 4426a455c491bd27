package registry_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
	"github.com/drtc-network/drtc/registry/record"
)

// deaf opens a Watch stream of which nothing is read but what it begins with.
func (p *process) deaf() (status int, err error) {
	conn, err := (&net.Dialer{}).DialContext(p.t.Context(), "tcp", p.Addr().String())
	if err != nil {
		return 0, err
	}
	p.t.Cleanup(func() { conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		return 0, err
	}
	const empty = "\x00\x00\x00\x00\x02{}"
	fmt.Fprintf(conn, "POST /drtc.registry.v1.RegistryService/Watch HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+json\r\nContent-Length: %d\r\n\r\n%s", len(empty), empty)
	r := bufio.NewReaderSize(conn, 16)
	a, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, err
	}
	var first [9]byte // of the first message: flags, length, and {"rec or {"err
	if _, err := io.ReadFull(a.Body, first[:]); err != nil {
		return 0, err
	}
	if strings.HasSuffix(string(first[:]), `{"er`) {
		conn.Close()
		return http.StatusTooManyRequests, nil
	}
	return a.StatusCode, nil
}

// A client that reads nothing keeps neither its stream nor the others' places.
func TestWatch_whoReadsNothingIsEnded(t *testing.T) {
	t.Parallel()
	p := start(t, testConfig(t))
	set, features := newShelf(t), slices.Repeat([]string{strings.Repeat("f", 60)}, 32)
	for range 3000 { // more than the kernel holds for a stream
		e := newNode(t).envelope(t, func(_ *envelope.Envelope, b *registryv1.NodeBody) { b.Features = features })
		if _, err := set.Merge(time.Now(), e, record.Synced); err != nil {
			t.Fatal(err)
		}
	}
	source := newAdversary(t, newNode(t).Key)
	source.mustConnect(p)
	source.converse(p, set)
	p.eventually("all nodes are shown", func() bool { return p.count() == 3000 })

	for i := range 16 {
		if status, err := p.deaf(); err != nil || status != http.StatusOK {
			t.Fatalf("stream %d: got %d, %v, want it open", i, status, err)
		}
	}
	begun := time.Now()
	if status, err := p.deaf(); err != nil || status != http.StatusTooManyRequests {
		t.Errorf("stream 17 of one address: got %d, %v, want it refused", status, err)
	}
	p.eventually("there is a place again", func() bool {
		status, err := p.deaf()
		return err == nil && status == http.StatusOK
	})
	t.Logf("the first stream was ended after %s", time.Since(begun).Round(time.Millisecond))
}

// Whoever asks as fast as it can gets its share and no more, and others do not
// notice.
func TestOverload_oneAddressHasItsShare(t *testing.T) {
	c := testConfig(t)
	p := start(t, c)
	greedy, stop := context.WithCancel(t.Context())
	var served, refused atomic.Int64
	var workers sync.WaitGroup
	ask := func(client *http.Client, method, path string) (int, error) {
		request, err := http.NewRequestWithContext(greedy, method, p.URL()+path, strings.NewReader("{}"))
		if err != nil {
			return 0, err
		}
		request.Header.Set("Content-Type", "application/json")
		a, err := client.Do(request)
		if err != nil {
			return 0, err
		}
		defer a.Body.Close()
		_, err = io.Copy(io.Discard, a.Body)
		return a.StatusCode, err
	}
	begun := time.Now()
	for i := range 12 {
		call := [][2]string{
			{http.MethodPost, "/drtc.registry.v1.RegistryService/GetAdmission"}, {http.MethodGet, "/peers"}, {http.MethodGet, "/openapi.json"},
		}[i%3]
		workers.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for greedy.Err() == nil {
				switch status, err := ask(client, call[0], call[1]); {
				case err != nil:
				case status == http.StatusOK:
					served.Add(1)
				case status == http.StatusTooManyRequests:
					refused.Add(1)
				default:
					t.Errorf("%s: status %d", call[1], status)
				}
			}
		})
	}
	elsewhere := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext}
	defer elsewhere.CloseIdleConnections()
	other := &http.Client{Transport: elsewhere}
	p.eventually("the greedy are refused", func() bool { return refused.Load() > 1000 })
	delays := make([]time.Duration, 200)
	for i := range delays {
		asked := time.Now()
		if status, err := ask(other, http.MethodGet, "/listMediaNodes"); err != nil || status != http.StatusOK {
			t.Fatalf("another address: got %d, %v, want an answer", status, err)
		}
		delays[i] = time.Since(asked)
	}
	stop()
	workers.Wait()
	slices.Sort(delays)
	t.Logf("greedy: %d served, %d refused in %s; another: p50 %s, p99 %s", served.Load(), refused.Load(), time.Since(begun).Round(time.Millisecond), delays[100], delays[198])
	if most := float64(c.RequestBurst) + c.RequestsPerSecond*time.Since(begun).Seconds(); float64(served.Load()) > most {
		t.Errorf("one address had %d answers, want %.0f at most", served.Load(), most)
	}
	if delays[198] > time.Second {
		t.Errorf("another address waited %s, want 1s at most", delays[198])
	}
}
