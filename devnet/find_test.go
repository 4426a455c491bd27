package devnet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindChain_byFileOrFolder(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ready.json")
	want := Chain{URL: "http://127.0.0.1:5", ChainID: 5, Addresses: filepath.Join(dir, "net", "chain", "addresses.json"), KeyFile: filepath.Join(dir, "net", "faucet", "key")}
	if err := WriteReady(file, Ready{Chain: &want}); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "net", "chain"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteReady(filepath.Join(dir, "net", "chain", "ready.json"), Chain{URL: want.URL, ChainID: want.ChainID}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(dir, "net")} {
		if got, err := FindChain(path); err != nil || got != want {
			t.Errorf("%s: got %+v (%v), want %+v", path, got, err, want)
		}
	}
}

func TestFindChain_saysWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("empty/file", "")
	write("garbage.json", "[")
	write("chainless.json", `{"url": "http://127.0.0.1:1"}`)
	write("half/chain/ready.json", `{}`)
	for path, want := range map[string]string{
		"nowhere": "give the folder or the ready file", "empty": "no folder of a network with a chain", "garbage.json": "no ready file",
		"chainless.json": "runs no chain", "half": "runs no chain",
	} {
		if got, err := FindChain(filepath.Join(dir, path)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %+v (%v), want %q", path, got, err, want)
		}
	}
}
