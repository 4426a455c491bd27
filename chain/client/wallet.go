package client

import (
	"crypto/ecdsa"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/drtc-network/drtc/identity"
)

// Wallet is an account whose key is here. It prints as its address.
type Wallet struct {
	key     *ecdsa.PrivateKey
	address common.Address
}

// NewWallet is the account of a key.
func NewWallet(key *identity.Key) (*Wallet, error) {
	private, err := crypto.HexToECDSA(strings.TrimPrefix(key.Hex(), "0x"))
	if err != nil {
		return nil, fmt.Errorf("client: wallet: %w", err)
	}
	return &Wallet{private, crypto.PubkeyToAddress(private.PublicKey)}, nil
}

// Address is the account's.
func (w *Wallet) Address() common.Address { return w.address }

func (w *Wallet) String() string { return w.address.Hex() }

// sign makes the transaction of an intent.
func (w *Wallet) sign(chain *big.Int, k kept, f fees) (*types.Transaction, error) {
	tx, err := types.SignNewTx(w.key, types.LatestSignerForChainID(chain), &types.DynamicFeeTx{
		ChainID: chain, Nonce: k.Nonce, To: k.To, Data: k.Data, Value: k.Value, Gas: k.Gas,
		GasTipCap: f.Tip, GasFeeCap: f.Cap,
	})
	if err != nil {
		return nil, fmt.Errorf("client: signing: %w", err)
	}
	return tx, nil
}
