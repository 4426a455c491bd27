package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/drtc-network/drtc"
)

// cacheFormat is raised when older files cannot be read any more.
const cacheFormat = 1

// cache is what CacheFile holds. Records are signed, so the file is trusted no
// more than a Registry; what Registries said is trusted as the file is.
type cache struct {
	Format     int            `json:"format"`
	Network    string         `json:"network"`
	Nodes      [][]byte       `json:"nodes"`      // canonical envelope bytes
	Registries [][]byte       `json:"registries"` // of learned ones, likewise
	Answers    []cachedAnswer `json:"answers"`
}

type cachedAnswer struct {
	Registry string        `json:"registry"`
	At       time.Time     `json:"at"`
	Nodes    []drtc.NodeID `json:"nodes"`
}

// maxCached bounds the file: a record in base64 for each node, an id for each
// node and Registry.
func (c Config) maxCached() int64 {
	return 1<<20 + int64(c.MaxNodes)*(2*maxBody+64*int64(len(c.Registries)+c.Learn))
}

// load takes in what the file holds, after verifying it.
func (d *Discovery) load(now time.Time) error {
	f, err := os.Open(d.config.CacheFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("discovery: CacheFile: %w", err)
	}
	defer f.Close()
	var c cache
	if err := json.NewDecoder(io.LimitReader(f, d.config.maxCached())).Decode(&c); err != nil {
		return fmt.Errorf("discovery: CacheFile: %w", err)
	}
	if c.Format != cacheFormat || c.Network != d.config.Network {
		return fmt.Errorf("discovery: CacheFile: want format %d of network %q, got %d of %.40q", cacheFormat, d.config.Network, c.Format, c.Network)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var learned []acquaintance
	for _, raw := range c.Registries[:min(len(c.Registries), d.config.Learn)] {
		if a, err := readAcquaintance(now, d.config.Network, raw, true); err == nil && !slices.Contains(d.config.Registries, a.url) {
			learned = append(learned, a)
		}
	}
	d.setLearned(learned)
	for _, raw := range c.Nodes {
		if err := d.view.restore(now, raw); err != nil {
			d.meter.refused("file", err)
		}
	}
	for _, a := range c.Answers {
		if slices.Contains(d.view.registries, a.Registry) && !a.At.After(now) {
			answer := make([]listed, len(a.Nodes))
			for i, id := range a.Nodes {
				answer[i].id = id
			}
			d.view.listedBy(a.Registry, a.At, answer, false)
		}
	}
	return nil
}

// keepSaving writes the file until ctx is done, and once more then.
func (d *Discovery) keepSaving(ctx context.Context) {
	failing := false
	for ended := false; !ended; {
		pause(ctx, d.config.CacheEvery)
		ended = ctx.Err() != nil
		err := d.save(time.Now())
		if err != nil && !failing {
			d.log.Warn("what is known of the network is not kept", slog.Any("error", err))
		}
		failing = err != nil
	}
}

// save replaces the file in one step.
func (d *Discovery) save(now time.Time) error {
	text, err := json.Marshal(d.known(now))
	if err != nil {
		return fmt.Errorf("discovery: CacheFile: %w", err)
	}
	path := d.config.CacheFile
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("discovery: CacheFile: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return fmt.Errorf("discovery: CacheFile: %w", err)
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync() // or a crash could leave an empty file under the name
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("discovery: CacheFile: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// known is what is worth keeping.
func (d *Discovery) known(now time.Time) cache {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := cache{Format: cacheFormat, Network: d.config.Network}
	for _, h := range d.view.held { // tombstones too: they stand in the way of older records
		c.Nodes = append(c.Nodes, h.env.Bytes())
	}
	for _, a := range d.learned {
		c.Registries = append(c.Registries, a.env.Bytes())
	}
	for _, r := range d.view.registries {
		l := d.view.lists[r]
		if l == nil {
			continue
		}
		a := cachedAnswer{Registry: r, At: l.at, Nodes: make([]drtc.NodeID, 0, len(l.ids))}
		if l.open {
			a.At = now
		}
		for id := range l.ids {
			a.Nodes = append(a.Nodes, id)
		}
		c.Answers = append(c.Answers, a)
	}
	return c
}
