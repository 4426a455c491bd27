package bonds

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/drtc-network/drtc/chain/client"
)

const (
	// format is the version of the file.
	format = 1
	// saveEvery is how often the cursor is kept though nothing changed.
	saveEvery = time.Minute
	// maxFile bounds the file, in bytes.
	maxFile = 64 << 20
)

// kept is a fold and its state on disk. What it belongs to is beside it, so that it
// is not taken for something else.
type kept struct {
	Format      int                     `json:"format"`
	ChainID     uint64                  `json:"chain_id"`
	Genesis     common.Hash             `json:"genesis"`
	Contract    common.Address          `json:"contract"`
	At          client.Cursor           `json:"at"`
	Time        time.Time               `json:"time"` // of the block
	Changed     uint64                  `json:"changed"`
	Reporters   []common.Address        `json:"reporters"`
	Active      [kinds][]common.Address `json:"active"` // by kind
	Generations []keptGeneration        `json:"generations"`
}

type keptGeneration struct {
	Kind       Kind           `json:"kind"`
	Identity   common.Address `json:"identity"`
	Generation uint64         `json:"generation"`
}

func (r *Reader) save(s *State) error {
	k := kept{
		Format: format, ChainID: r.addresses.ChainID, Genesis: r.addresses.Genesis, Contract: r.contract,
		At: s.Block, Time: s.Time, Changed: s.Changed, Reporters: r.fold.reporters.addresses(),
	}
	for kind, active := range r.fold.active {
		k.Active[kind] = active.addresses()
	}
	for key, g := range r.fold.generations {
		k.Generations = append(k.Generations, keptGeneration{key.kind, key.identity, g})
	}
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return writeFile(r.config.File, text)
}

// load takes what an earlier Reader kept, if it is of this contract.
func (r *Reader) load() error {
	info, err := os.Stat(r.config.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Size() > maxFile {
		return fmt.Errorf("%s has %d bytes, want at most %d", r.config.File, info.Size(), maxFile)
	}
	text, err := os.ReadFile(r.config.File)
	if err != nil {
		return err
	}
	f, at, err := r.parse(text)
	if err != nil {
		return fmt.Errorf("%s: %w", r.config.File, err)
	}
	r.begin(f)
	state := f.state(at)
	r.state = &state
	return nil
}

// parse reads a file, and the time of its block.
func (r *Reader) parse(text []byte) (*fold, time.Time, error) {
	var k kept
	if err := json.Unmarshal(text, &k); err != nil {
		return nil, time.Time{}, err
	}
	if k.Format != format || k.ChainID != r.addresses.ChainID || k.Genesis != r.addresses.Genesis || k.Contract != r.contract {
		return nil, time.Time{}, errors.New("is of another version, chain or contract")
	}
	f, err := k.fold()
	return f, k.Time, err
}

func (k kept) fold() (*fold, error) {
	f := newFold()
	f.at, f.changed = k.At, k.Changed
	if k.At.Hash == (common.Hash{}) || k.Changed > k.At.Block {
		return nil, errors.New("at and changed are of no block")
	}
	for _, id := range k.Reporters {
		f.reporters.put(id, true)
	}
	for kind, active := range k.Active {
		for _, id := range active {
			f.active[kind].put(id, true)
		}
	}
	for _, g := range k.Generations {
		if g.Kind >= kinds {
			return nil, fmt.Errorf("generations: there is no %s", g.Kind)
		}
		f.generations[generationKey{g.Kind, g.Identity}] = g.Generation
	}
	return f, nil
}

func (s set) addresses() []common.Address {
	ids := s.ids()
	out := make([]common.Address, len(ids))
	for i, id := range ids {
		out[i] = common.Address(id)
	}
	return out
}

// writeFile replaces path in one step, on disk when it returns.
func writeFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
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
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
