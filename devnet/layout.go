package devnet

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// layout is the folder of one network: a folder for each child with its
// configuration, key and state, and the API key beside them.
type layout struct {
	dir       string
	temporary bool
}

// openLayout makes dir, or a temporary folder when dir is empty. Paths in the
// configuration of children are absolute, so they may run anywhere.
func openLayout(dir string) (*layout, error) {
	if dir == "" {
		dir, err := os.MkdirTemp("", "drtc-devnet-")
		if err != nil {
			return nil, fmt.Errorf("devnet: dir: %w", err)
		}
		return &layout{dir: dir, temporary: true}, nil
	}
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("devnet: dir: %w", err)
	}
	return &layout{dir: dir}, nil
}

// close removes a temporary folder.
func (l *layout) close() error {
	if !l.temporary {
		return nil
	}
	if err := os.RemoveAll(l.dir); err != nil {
		return fmt.Errorf("devnet: dir: %w", err)
	}
	return nil
}

// child makes the folder of a child, without the ready file of an earlier run.
func (l *layout) child(name string) (home, error) {
	h := home(filepath.Join(l.dir, name))
	if err := os.MkdirAll(string(h), 0o700); err != nil {
		return "", fmt.Errorf("devnet: dir: %w", err)
	}
	if err := os.Remove(h.ready()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("devnet: dir: %w", err)
	}
	return h, nil
}

// home is the folder of one child.
type home string

func (h home) config() string { return filepath.Join(string(h), "config.toml") }
func (h home) key() string    { return filepath.Join(string(h), "key") }
func (h home) state() string  { return filepath.Join(string(h), "state") }
func (h home) ready() string  { return filepath.Join(string(h), "ready.json") }

// addresses is where the contracts of a chain are written down.
func (h home) addresses() string { return filepath.Join(string(h), "addresses.json") }

// admission is where a node remembers who may command it. Lists of a chain and of
// the file are numbered apart, and so they are remembered.
func (h home) admission(chain bool) string {
	if chain {
		return filepath.Join(string(h), "admission-chain.json")
	}
	return filepath.Join(string(h), "admission.json")
}

// apiKey is what an application shows to the Orchestrator.
type apiKey struct {
	Key    string `json:"api_key"`
	Secret string `json:"api_secret"`
}

// apiKey reads the folder's API key, or makes a random one: a secret of 256
// bits. One folder keeps its key, so that tokens and .env files stay good.
func (l *layout) apiKey() (apiKey, error) {
	path := filepath.Join(l.dir, "api-key.json")
	text, err := os.ReadFile(path)
	if err == nil {
		var k apiKey
		if err := json.Unmarshal(text, &k); err != nil || k.Key == "" || k.Secret == "" {
			return apiKey{}, fmt.Errorf("devnet: %s is not an API key; remove it to get a new one", path)
		}
		return k, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return apiKey{}, fmt.Errorf("devnet: API key: %w", err)
	}
	k := apiKey{Key: "API" + random(9), Secret: random(32)}
	if text, err = json.MarshalIndent(k, "", "  "); err == nil {
		err = writeFile(path, append(text, '\n'))
	}
	if err != nil {
		return apiKey{}, fmt.Errorf("devnet: API key: %w", err)
	}
	return k, nil
}

// random returns n random bytes as text that needs no quotes anywhere.
func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}
