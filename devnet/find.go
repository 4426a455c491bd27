package devnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// maxReady bounds a ready file, in bytes.
const maxReady = 1 << 20

// FindChain says where the chain of a devnet is, its contracts, and the key of who
// has everything. path is the ready file that devnet wrote, or the folder that it
// was given.
func FindChain(path string) (Chain, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Chain{}, fmt.Errorf("devnet: %w: give the folder or the ready file of a network that runs", err)
	}
	var c Chain
	if info.IsDir() {
		h := home(filepath.Join(path, "chain"))
		if err = loadReady(h.ready(), &c); err == nil {
			c.Addresses, c.KeyFile = h.addresses(), home(filepath.Join(path, "faucet")).key()
		}
	} else {
		var r Ready
		if err = loadReady(path, &r); err == nil && r.Chain != nil {
			c = *r.Chain
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Chain{}, fmt.Errorf("devnet: %s is no folder of a network with a chain: %w", path, err)
	case err != nil:
		return Chain{}, err
	case c.URL == "" || c.Addresses == "":
		return Chain{}, fmt.Errorf("devnet: the network of %s runs no chain with contracts", path)
	}
	return c, nil
}

func loadReady(path string, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("devnet: ready file: %w", err)
	}
	defer f.Close()
	if err := json.NewDecoder(io.LimitReader(f, maxReady)).Decode(v); err != nil {
		return fmt.Errorf("devnet: %s is no ready file: %w", path, err)
	}
	return nil
}
