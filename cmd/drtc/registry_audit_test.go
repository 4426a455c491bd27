package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/drtc-network/drtc/envelope"
	"github.com/drtc-network/drtc/identity"
	"github.com/drtc-network/drtc/registry"
	"github.com/drtc-network/drtc/registry/store"
)

// auditFolder is the folder of a Registry that holds one record with a body that
// is none.
func auditFolder(t *testing.T) (dir string, bad envelope.Envelope) {
	t.Helper()
	k, err := identity.ParseKey("0x" + strings.Repeat("07", 32))
	if err != nil {
		t.Fatal(err)
	}
	bad = envelope.Envelope{Kind: "node", Network: "devnet", Subject: k.ID(), Seq: 1, IssuedAt: time.Now(), TTL: time.Minute, Body: []byte{0xff}}
	if err := bad.Sign(k); err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	s, err := store.Open(registry.RecordsDir(dir), "devnet", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(store.Batch{Put: []envelope.Envelope{bad}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, bad
}

func TestRegistryAudit_badRecordFails(t *testing.T) {
	dir, bad := auditFolder(t)
	out, err := runCommand(t, "registry", "audit", "--dir", dir)
	if err == nil || err.Error() != "1 of 1 records are bad" {
		t.Errorf("got %v, want that 1 of 1 records are bad", err)
	}
	if want := "bad: node about " + bad.Subject.String() + " by " + bad.Issuer.String() + ": "; !strings.Contains(out, want) {
		t.Errorf("got\n%s\nwant a line with %q", out, want)
	}
	out, err = runCommand(t, "registry", "audit", "--dir", dir, "--json")
	if err == nil || !strings.Contains(out, `"subject": "`+bad.Subject.String()+`"`) {
		t.Errorf("JSON: got %v,\n%s", err, out)
	}
}

// What a file system has spoilt is found, in a directory and in a back-up.
func TestRegistryAudit_damagedFilesFail(t *testing.T) {
	dir, bad := auditFolder(t)
	file := filepath.Join(t.TempDir(), "backup")
	if _, err := runCommand(t, "registry", "backup", "--dir", dir, "--out", file); err != nil {
		t.Fatal(err)
	}
	spoil(t, file, bad.Signature[:])
	if out, err := runCommand(t, "registry", "audit", "--file", file); err == nil || !strings.Contains(err.Error(), "not everything could be read") {
		t.Errorf("back-up: got %v,\n%s", err, out)
	}
	spoilt := 0
	tables, err := filepath.Glob(filepath.Join(registry.RecordsDir(dir), "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tables {
		if b, err := os.ReadFile(name); err == nil && bytes.Contains(b, bad.Signature[:]) {
			spoil(t, name, bad.Signature[:])
			spoilt++
		}
	}
	out, err := runCommand(t, "registry", "audit", "--dir", dir)
	if spoilt == 0 || err == nil || !strings.Contains(err.Error(), "corrupt") {
		t.Errorf("directory with %d of %d tables spoilt: got %v,\n%s", spoilt, len(tables), err, out)
	}
}

// spoil changes one bit of what a file holds.
func spoil(t *testing.T, name string, what []byte) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(b, what)
	if i < 0 {
		t.Fatalf("%s does not hold it", name)
	}
	b[i] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
