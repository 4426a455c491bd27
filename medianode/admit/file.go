package admit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/admission"
	"github.com/drtc-network/drtc/envelope"
	registryv1 "github.com/drtc-network/drtc/gen/drtc/registry/v1"
)

// remembered is what Config.File holds. Its Trusted is believed as the node's
// key file is; all else is verified.
type remembered struct {
	Network string `json:"network"`
	// Configured is Config.Trusted of when the file was written.
	Configured   []drtc.NodeID `json:"configured"`
	Trusted      []drtc.NodeID `json:"trusted"`
	Body         []byte        `json:"body"`
	Attestations [][]byte      `json:"attestations"` // canonical envelope bytes
}

const maxFile = 4 << 20 // bytes

// load takes the list of the file, if it was written under the same trust.
func (g *Gate) load() error {
	f, err := os.Open(g.config.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("admit: File: %w", err)
	}
	defer f.Close()
	var r remembered
	if err := json.NewDecoder(io.LimitReader(f, maxFile)).Decode(&r); err != nil {
		return fmt.Errorf("admit: File: %w", err)
	}
	if r.Network != g.config.Network || !slices.Equal(r.Configured, g.config.Trusted) {
		return errors.New("admit: File: was written for another network or with other Registries in the configuration")
	}
	p := admission.Proof{Trusted: r.Trusted, Body: r.Body}
	for _, raw := range r.Attestations {
		e, err := envelope.Parse(raw)
		if err != nil {
			return fmt.Errorf("admit: File: %w", err)
		}
		p.Attestations = append(p.Attestations, e)
	}
	if err := g.roll.Restore(p); err != nil {
		return fmt.Errorf("admit: File: %w", err)
	}
	return nil
}

// save replaces the file in one step.
func (g *Gate) save() error {
	g.mu.Lock()
	p := g.roll.Proof()
	g.mu.Unlock()
	r := remembered{Network: g.config.Network, Configured: g.config.Trusted, Trusted: p.Trusted, Body: p.Body}
	for _, e := range p.Attestations {
		r.Attestations = append(r.Attestations, e.Bytes())
	}
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("admit: File: %w", err)
	}
	path := g.config.File
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("admit: File: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return fmt.Errorf("admit: File: %w", err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("admit: File: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

func fromProto(r *registryv1.Record) (envelope.Envelope, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	if err != nil {
		return envelope.Envelope{}, err
	}
	return envelope.Parse(b)
}
