// Package keyfile reads and writes the private key of a node, a Registry or an
// Orchestrator (whitepaper section 4.1.2).
//
// A key file is one line of text: 0x and 64 hexadecimal digits. Contract: a key
// that others on the machine could read is never used, and a key file that
// exists is never overwritten. All functions are safe for concurrent use, also
// by several processes: of two that create one file, both get the same key.
package keyfile

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/drtc-network/drtc/identity"
)

// ErrPermissions is returned for a key file that others may read or write.
var ErrPermissions = errors.New("keyfile: others on this machine may use the key")

// A key file holds 67 bytes; more than this is some other file.
const maxSize = 1024

// Load reads the key at path. The file must be a regular one and closed to
// group and others (ErrPermissions). A missing file is fs.ErrNotExist, and what
// the file holds instead of a key is identity.ErrKey.
func Load(path string) (*identity.Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("keyfile: %s is not a regular file; name the file that holds the key", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s has mode %04o; run: chmod 600 %s", ErrPermissions, path, mode, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSize))
	if err != nil {
		return nil, fmt.Errorf("keyfile: reading %s: %w", path, err)
	}
	key, err := identity.ParseKey(string(bytes.TrimSpace(text)))
	if err != nil {
		return nil, fmt.Errorf("keyfile: %s: %w", path, err)
	}
	return key, nil
}

// LoadOrCreate reads the key at path, or makes one and writes it there with
// mode 0600. A missing directory is made with mode 0700.
func LoadOrCreate(path string) (*identity.Key, error) {
	key, err := Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if key, err = identity.Generate(rand.Reader); err != nil {
		return nil, err
	}
	err = create(path, key)
	if errors.Is(err, fs.ErrExist) { // somebody was faster
		return Load(path)
	}
	if err != nil {
		return nil, fmt.Errorf("keyfile: creating %s: %w", path, err)
	}
	return key, nil
}

// create writes the key under another name first, so that path never holds half
// a key, and fails with fs.ErrExist if path is taken.
func create(path string, key *identity.Key) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(key.Hex() + "\n")
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}
