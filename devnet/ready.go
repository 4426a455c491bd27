package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/drtc-network/drtc"
)

// Ready is what devnet writes into its ready file once the network serves.
type Ready struct {
	// URL is where the Orchestrator serves clients and the call page, http.
	URL          string   `json:"url"`
	APIKey       string   `json:"api_key"`
	APISecret    string   `json:"api_secret"`
	Registries   []string `json:"registries"` // base URLs
	Nodes        []Node   `json:"nodes"`
	Orchestrator Server   `json:"orchestrator"`
	// Orchestrators are the one above and those that share its rooms, StateToken
	// the secret of the store in which they are, and Store its process.
	Orchestrators []Server `json:"orchestrators"`
	Store         *Store   `json:"store,omitempty"`
	Chain         *Chain   `json:"chain,omitempty"` // none without one
	StateToken    string   `json:"state_token,omitempty"`
	// PID is devnet's own.
	PID int `json:"pid"`
}

// Node is what a Media Node writes into its ready file.
type Node struct {
	ID drtc.NodeID `json:"id"`
	// PID is the process, so that a test can kill it.
	PID int `json:"pid"`
	// UDP is the media address, ip:port.
	UDP string `json:"udp"`
	// Metrics is the URL of the node's Prometheus page.
	Metrics string `json:"metrics"`
	// Control is the base URL of the node's control service.
	Control string `json:"control"`
	// Name is the place, for people; devnet fills it in.
	Name string `json:"name,omitempty"`
}

// Server is what a Registry or an Orchestrator writes into its ready file.
type Server struct {
	ID  drtc.NodeID `json:"id"`
	URL string      `json:"url"`
	PID int         `json:"pid"`
	// Metrics is the URL of the Prometheus page.
	Metrics string `json:"metrics,omitempty"`
}

// Chain is what the chain writes into its ready file.
type Chain struct {
	// URL is where JSON-RPC is served, http.
	URL     string `json:"url"`
	ChainID uint64 `json:"chain_id"`
	PID     int    `json:"pid"`
	// Metrics is the URL of the Prometheus page.
	Metrics string `json:"metrics"`
	// KeyFile and DeployerKeyFile have the keys of the accounts that genesis funds:
	// one that gives to everybody, and one that deploys contracts and does nothing
	// else. devnet fills them in.
	KeyFile         string `json:"key_file,omitempty"`
	DeployerKeyFile string `json:"deployer_key_file,omitempty"`
	// Addresses is the file that says where the contracts are; from devnet too.
	Addresses string `json:"addresses,omitempty"`
}

// Store is what the store of several Orchestrators writes into its ready file.
type Store struct {
	URL string `json:"url"` // nats://ip:port
	PID int    `json:"pid"`
}

// WriteReady writes v as JSON at path in one step: a reader sees all of it or
// no file. The file may hold a secret and is for the owner alone.
func WriteReady(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("devnet: ready file: %w", err)
	}
	if err := writeFile(path, append(text, '\n')); err != nil {
		return fmt.Errorf("devnet: ready file: %w", err)
	}
	return nil
}

// writeFile replaces path in one step, mode 0600.
func writeFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

const (
	pollEvery = 10 * time.Millisecond // for a ready file, and for nodes
	maxHealth = 64 << 10              // bytes of a health page
)

// awaitFile waits until a child has written its ready file and reads it into v.
func awaitFile(ctx context.Context, path string, v any) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		text, err := os.ReadFile(path)
		if err == nil {
			if err := json.Unmarshal(text, v); err != nil {
				return fmt.Errorf("devnet: reading %s: %w", path, err)
			}
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("devnet: %w", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// awaitNodes waits until an Orchestrator says on /healthz that it commands so
// many Media Nodes: from then on the first client finds one at once.
func awaitNodes(ctx context.Context, url string, nodes int) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		up, err := nodesUp(ctx, url)
		if err == nil && up >= nodes {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("devnet: the orchestrator commands %d of %d media nodes: %w", up, nodes, errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}

func nodesUp(ctx context.Context, url string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/healthz", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var health struct {
		NodesUp int `json:"nodes_up"`
	}
	err = json.NewDecoder(io.LimitReader(response.Body, maxHealth)).Decode(&health)
	return health.NodesUp, err
}

// removeReady takes the ready file of a network that has stopped away.
func removeReady(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("devnet: ready file: %w", err)
	}
	return nil
}
