package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"
)

// MaxQuestions is how many questions one CallsAt may have: fewer than any endpoint
// refuses.
const MaxQuestions = 100

// Question asks one contract one thing.
type Question struct {
	Contract common.Address
	Input    []byte
}

// CallsAt asks contracts several things in one request, as of the end of the block
// of that number, and returns the answers in the order of the questions. It fails
// as a whole.
func (c *Client) CallsAt(ctx context.Context, number uint64, questions []Question) ([][]byte, error) {
	if len(questions) > MaxQuestions {
		return nil, fmt.Errorf("client: calls: want at most %d questions, got %d", MaxQuestions, len(questions))
	}
	type message struct {
		To   common.Address `json:"to"`
		Data hexutil.Bytes  `json:"data"`
	}
	answers := make([]hexutil.Bytes, len(questions))
	batch := make([]rpc.BatchElem, len(questions))
	for i, q := range questions {
		batch[i] = rpc.BatchElem{Method: "eth_call", Args: []any{message{q.Contract, q.Input}, hexutil.Uint64(number)}, Result: &answers[i]}
	}
	out := make([][]byte, len(questions))
	return ask(ctx, c, "calls", func(ctx context.Context) ([][]byte, error) {
		if err := c.rpc.BatchCallContext(ctx, batch); err != nil {
			return nil, err
		}
		for i, b := range batch {
			if b.Error != nil {
				return nil, b.Error
			}
			if answers[i] == nil {
				return nil, errors.New("an answer without a result")
			}
			out[i] = answers[i]
		}
		return out, nil
	})
}
