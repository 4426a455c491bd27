package account

import (
	"fmt"
	"math/big"

	"github.com/drtc-network/drtc/identity"
)

// What keys sign here is hashed from its fields on this machine: an endpoint that
// lies cannot have a key sign something else.
var (
	createPool = identity.Type{Name: "CreatePool", Fields: []identity.Field{
		{Name: "node", Type: "address"}, {Name: "operator", Type: "address"},
		{Name: "commissionBps", Type: "uint16"}, {Name: "deadline", Type: "uint256"},
	}}
	authorisation = identity.Type{Name: "Authorisation", Fields: []identity.Field{
		{Name: "application", Type: "address"}, {Name: "orchestrator", Type: "address"}, {Name: "limitDC", Type: "uint128"},
		{Name: "endEpoch", Type: "uint64"}, {Name: "nonce", Type: "uint256"}, {Name: "deadline", Type: "uint256"},
	}}
)

// typed is a statement in the domain of a contract.
func (l *Ledger) typed(contract string, of identity.Type, values ...any) (identity.TypedHash, error) {
	domain := identity.Domain{
		Name: "dRTC " + contract, Version: "1",
		ChainID: l.addresses.ChainID, VerifyingContract: l.addresses.Of(contract),
	}
	hash, err := of.HashStruct(values...)
	if err != nil {
		return identity.TypedHash{}, fmt.Errorf("account: %w", err)
	}
	return identity.TypedHash{Separator: domain.Separator(), Struct: hash}, nil
}

func seconds(unix int64) *big.Int { return big.NewInt(unix) }
