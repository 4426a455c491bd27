package devchain

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
)

// GasLimit is that of every block. One transaction may use 2^24 (EIP-7825).
const GasLimit = 60_000_000

// rules is the list of forks, pinned: all that Ethereum has activated up to
// Osaka, from the first block on, which is what ArbOS 51, active on Arbitrum One
// since January 2026, takes over from it. What go-ethereum calls its development
// rules has unreleased forks with other prices of gas.
func rules(chainID uint64) *params.ChainConfig {
	zero := func() *big.Int { return new(big.Int) }
	start := func() *uint64 { return new(uint64) }
	return &params.ChainConfig{
		ChainID:                 new(big.Int).SetUint64(chainID),
		HomesteadBlock:          zero(),
		EIP150Block:             zero(),
		EIP155Block:             zero(),
		EIP158Block:             zero(),
		ByzantiumBlock:          zero(),
		ConstantinopleBlock:     zero(),
		PetersburgBlock:         zero(),
		IstanbulBlock:           zero(),
		MuirGlacierBlock:        zero(),
		BerlinBlock:             zero(),
		LondonBlock:             zero(),
		ArrowGlacierBlock:       zero(),
		GrayGlacierBlock:        zero(),
		TerminalTotalDifficulty: zero(),
		ShanghaiTime:            start(),
		CancunTime:              start(),
		PragueTime:              start(),
		OsakaTime:               start(),
		BlobScheduleConfig: &params.BlobScheduleConfig{
			Cancun: params.DefaultCancunBlobConfig,
			Prague: params.DefaultPragueBlobConfig,
		},
	}
}

// origin is what the first block is made of, as genesis.json keeps it.
type origin struct {
	ChainID uint64    `json:"chain_id"`
	Funded  []Account `json:"funded"`
}

// loadOrigin returns what the folder's chain was made of, or keeps want there
// when it has none. A folder with the chain of another id is refused.
func loadOrigin(dir string, want origin) (origin, error) {
	path := filepath.Join(dir, "genesis.json")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if text, err = json.MarshalIndent(want, "", "  "); err == nil {
			err = writeFile(path, append(text, '\n'))
		}
		return want, err
	}
	if err != nil {
		return origin{}, err
	}
	var o origin
	if err := json.Unmarshal(text, &o); err != nil {
		return origin{}, fmt.Errorf("%s is damaged: %w", path, err)
	}
	if o.ChainID != want.ChainID {
		return origin{}, fmt.Errorf("chain_id: %s holds chain %d, not %d; give that id, or another dir", dir, o.ChainID, want.ChainID)
	}
	return o, nil
}

// writeFile makes path in one step, on disk when it returns.
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

// block is the first one. The contracts of Ethereum's own forks are in it, with
// the factory that makes addresses which depend on code alone (EIP-7997).
func (o origin) block() *core.Genesis {
	alloc := types.GenesisAlloc{}
	for address, account := range core.SystemContractAllocs() {
		alloc[address] = account
	}
	ether := big.NewInt(params.Ether)
	for _, a := range o.Funded {
		alloc[a.Address] = types.Account{Balance: new(big.Int).Mul(new(big.Int).SetUint64(a.Ether), ether)}
	}
	return &core.Genesis{
		Config:     rules(o.ChainID),
		GasLimit:   GasLimit,
		BaseFee:    big.NewInt(params.GWei / 10),
		Difficulty: new(big.Int),
		Alloc:      alloc,
	}
}

// unfunded are accounts that c wants funded and the chain's genesis did not.
func (o origin) unfunded(wanted []Account) []common.Address {
	has := make(map[common.Address]bool)
	for _, a := range o.Funded {
		has[a.Address] = true
	}
	var out []common.Address
	for _, a := range wanted {
		if !has[a.Address] {
			out = append(out, a.Address)
		}
	}
	return out
}
