package gossip

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/drtc-network/drtc"
)

// Directory is what a Registry's API answers to GET /peers: itself and others.
type Directory struct {
	ID    drtc.NodeID `json:"registry"`
	Addrs []string    `json:"addresses"`
	Peers []Contact   `json:"peers"`
}

// Bounds of what is read of a directory.
const (
	directoryBytes   = 1 << 20
	directoryPeers   = 256
	directoryTimeout = 10 * time.Second
	// How long after an answer, and at most after failures, it is asked again.
	directoryEvery = 10 * time.Minute
	directoryRetry = time.Minute
)

// errDirectory is wrapped by errors about what a directory answered.
var errDirectory = errors.New("gossip: directory")

// directoryLoop asks one Registry's API for Registries until ctx is done: soon
// again while nobody is connected, else rarely.
func (n *Network) directoryLoop(ctx context.Context, base string) {
	client := &http.Client{
		Timeout: directoryTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	defer client.CloseIdleConnections()
	retry := n.config.RetryMin
	for {
		wait := directoryEvery
		d, err := fetchDirectory(ctx, client, base)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			n.log.Info("registry's list of registries not had", slog.String("url", base), slog.Any("error", err))
			wait, retry = retry, min(2*retry, directoryRetry)
		default:
			n.contacts.tell(append([]Contact{{ID: d.ID, Addrs: d.Addrs}}, d.Peers...))
			n.dialSoon()
			if n.contacts.known() == 0 {
				wait, retry = retry, min(2*retry, directoryRetry)
			} else {
				retry = n.config.RetryMin
			}
		}
		timer := time.NewTimer(spread(wait))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

func fetchDirectory(ctx context.Context, client *http.Client, base string) (Directory, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/peers", nil)
	if err != nil {
		return Directory{}, fmt.Errorf("%w: %w", errDirectory, err)
	}
	answer, err := client.Do(request)
	if err != nil {
		return Directory{}, fmt.Errorf("%w: %w", errDirectory, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return Directory{}, fmt.Errorf("%w: %s", errDirectory, answer.Status)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, directoryBytes+1))
	if err != nil {
		return Directory{}, fmt.Errorf("%w: %w", errDirectory, err)
	}
	return parseDirectory(text)
}

func parseDirectory(text []byte) (Directory, error) {
	if len(text) > directoryBytes {
		return Directory{}, fmt.Errorf("%w: want at most %d bytes", errDirectory, directoryBytes)
	}
	var d Directory
	if err := json.Unmarshal(text, &d); err != nil {
		return Directory{}, fmt.Errorf("%w: %w", errDirectory, err)
	}
	d.Peers = d.Peers[:min(len(d.Peers), directoryPeers)]
	return d, nil
}
