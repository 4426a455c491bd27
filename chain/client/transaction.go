package client

import (
	"context"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
)

// Transaction is one that is in a block, as it was sent. It is ErrNotFound when the
// endpoint does not know it, or knows it as one that waits.
func (c *Client) Transaction(ctx context.Context, hash common.Hash) (*types.Transaction, error) {
	return ask(ctx, c, "transaction", func(ctx context.Context) (*types.Transaction, error) {
		t, pending, err := c.eth.TransactionByHash(ctx, hash)
		if err == nil && pending {
			err = ErrNotFound
		}
		return t, err
	})
}
