package keyfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/identity/keyfile"
)

func TestLoadOrCreate_keepsTheKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "node.key")
	first, err := keyfile.LoadOrCreate(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode: got %04o, want 0600", got)
	}
	for _, load := range []func(string) (*identity.Key, error){keyfile.Load, keyfile.LoadOrCreate} {
		again, err := load(path)
		if err != nil {
			t.Fatal(err)
		}
		if again.ID() != first.ID() {
			t.Errorf("got %v, want %v", again, first)
		}
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("the directory holds %v, want the key alone", entries)
	}
}

func TestLoadOrCreate_racersGetOneKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.key")
	var wg sync.WaitGroup
	ids := make([]drtc.NodeID, 8)
	for i := range ids {
		wg.Go(func() {
			k, err := keyfile.LoadOrCreate(path)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = k.ID()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Errorf("got %v and %v", id, ids[0])
		}
	}
}

func TestLoad_refusesOpenPermissions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.key")
	if _, err := keyfile.LoadOrCreate(path); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o602, 0o644, 0o610} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		for _, load := range []func(string) (*identity.Key, error){keyfile.Load, keyfile.LoadOrCreate} {
			_, err := load(path)
			if !errors.Is(err, keyfile.ErrPermissions) || !strings.Contains(err.Error(), "chmod 600 "+path) {
				t.Errorf("mode %04o: got %v, want ErrPermissions that says chmod 600", mode, err)
			}
		}
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := keyfile.Load(path); err != nil {
		t.Errorf("mode 0400: %v", err)
	}
}

func TestLoad_refusesWhatIsNoKey(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "node.key")
	if _, err := keyfile.Load(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: got %v, want fs.ErrNotExist", err)
	}
	if _, err := keyfile.Load(dir); err == nil || !strings.Contains(err.Error(), "regular") {
		t.Errorf("a directory: got %v, want an error that asks for a file", err)
	}
	for _, text := range []string{"", "hello", strings.Repeat("1", 1<<20)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, load := range []func(string) (*identity.Key, error){keyfile.Load, keyfile.LoadOrCreate} {
			if _, err := load(path); !errors.Is(err, identity.ErrKey) || !strings.Contains(err.Error(), path) {
				t.Errorf("%.20q: got %v, want ErrKey that names the file", text, err)
			}
		}
		if b, _ := os.ReadFile(path); string(b) != text {
			t.Errorf("%.20q was overwritten", text)
		}
	}
}
