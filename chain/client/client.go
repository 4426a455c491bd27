package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"time"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/rpc"
)

// maxAnswer bounds one answer of an endpoint, in bytes.
const maxAnswer = 32 << 20

// Errors of a Client. A contract's refusal is a *Revert, an endpoint's a *Refusal.
var (
	// ErrUnavailable says that the endpoint cannot be reached, is too slow, or
	// answers what is no answer. Nothing is known of the request's effect.
	ErrUnavailable = errors.New("client: the chain's endpoint is not available")
	// ErrWrongChain says that the endpoint speaks for another chain.
	ErrWrongChain = errors.New("client: the endpoint is of another chain")
	// ErrNotFound says that the chain has no such thing, or not yet.
	ErrNotFound = errors.New("client: not found")
)

// Refusal is what an endpoint says to a request that it understood.
type Refusal struct {
	Code    int
	Message string
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("client: the endpoint refuses: %.300s (%d)", r.Message, r.Code)
}

// Client speaks to one endpoint.
type Client struct {
	config  Config
	log     *slog.Logger
	rpc     *rpc.Client
	eth     *ethclient.Client
	reasons *Reasons
	chainID *big.Int
}

// Dial asks the endpoint which chain it is of, and fails when it cannot say or
// says another one than c wants. reasons explains refusals of contracts.
func Dial(ctx context.Context, c Config, reasons *Reasons, log *slog.Logger) (*Client, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	plain := &http.Client{Transport: limited{http.DefaultTransport}}
	raw, err := rpc.DialOptions(ctx, c.URL, rpc.WithHTTPClient(plain))
	if err != nil {
		return nil, fmt.Errorf("client: url: %w", err)
	}
	client := &Client{config: c, log: log, rpc: raw, eth: ethclient.NewClient(raw), reasons: reasons}
	id, err := ask(ctx, client, "chain id", client.eth.ChainID)
	switch {
	case err == nil && (!id.IsUint64() || c.ChainID != 0 && id.Uint64() != c.ChainID):
		err = fmt.Errorf("%w: %s says it is of chain %s, chain_id is %d", ErrWrongChain, c.URL, id, c.ChainID)
	case err == nil:
		client.chainID = id
		return client, nil
	}
	raw.Close()
	return nil, err
}

// Close ends idle connections.
func (c *Client) Close() { c.rpc.Close() }

// ChainID is the chain's id.
func (c *Client) ChainID() *big.Int { return new(big.Int).Set(c.chainID) }

// limited cuts answers that are too long.
type limited struct{ next http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.next.RoundTrip(r)
	if err == nil {
		response.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(response.Body, maxAnswer), response.Body}
	}
	return response, err
}

// ask makes one request within the client's timeout and says what its error means.
func ask[T any](ctx context.Context, c *Client, what string, request func(context.Context) (T, error)) (T, error) {
	limit, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	answer, err := request(limit)
	if err == nil {
		return answer, nil
	}
	var none T
	var coded rpc.Error
	switch {
	case ctx.Err() != nil:
		return none, fmt.Errorf("client: %s: %w", what, ctx.Err())
	case errors.Is(err, ethereum.NotFound):
		return none, fmt.Errorf("%s: %w", what, ErrNotFound)
	case errors.As(err, &coded):
		return none, fmt.Errorf("%s: %w", what, c.reasons.explain(coded))
	}
	return none, fmt.Errorf("%w: %s: %w", ErrUnavailable, what, err)
}

// Block is what there is to know of one by its header.
type Block struct {
	Number uint64
	Hash   common.Hash
	Time   time.Time
	// BaseFee is the least that a unit of gas costs, in wei; 0 where a chain has none.
	BaseFee *big.Int
}

// Head is the newest block.
func (c *Client) Head(ctx context.Context) (Block, error) { return c.block(ctx, nil) }

// Settled is the newest block that counts as settled. It is ErrNotFound while
// there is none.
func (c *Client) Settled(ctx context.Context) (Block, error) {
	f := c.config.Finality
	if f.tag != 0 {
		return c.block(ctx, big.NewInt(f.tag.Int64()))
	}
	head, err := c.Head(ctx)
	if err != nil || f.confirmations == 0 {
		return head, err
	}
	if head.Number < f.confirmations {
		return Block{}, fmt.Errorf("settled block: %w", ErrNotFound)
	}
	return c.BlockAt(ctx, head.Number-f.confirmations)
}

// BlockAt is the block of that number.
func (c *Client) BlockAt(ctx context.Context, number uint64) (Block, error) {
	b, err := c.block(ctx, new(big.Int).SetUint64(number))
	if err == nil && b.Number != number {
		return Block{}, fmt.Errorf("%w: asked for block %d, it gave %d", ErrUnavailable, number, b.Number)
	}
	return b, err
}

func (c *Client) block(ctx context.Context, number *big.Int) (Block, error) {
	h, err := ask(ctx, c, "block", func(ctx context.Context) (*types.Header, error) { return c.eth.HeaderByNumber(ctx, number) })
	if err != nil {
		return Block{}, err
	}
	if h.Number == nil || !h.Number.IsUint64() {
		return Block{}, fmt.Errorf("%w: a block without number", ErrUnavailable)
	}
	// A hash of our own making: a rollup's headers may have fields that ours lacks,
	// but what matters is that one block has one and two have two.
	b := Block{Number: h.Number.Uint64(), Hash: h.Hash(), Time: time.Unix(int64(h.Time), 0), BaseFee: new(big.Int)}
	if h.BaseFee != nil {
		b.BaseFee = h.BaseFee
	}
	return b, nil
}

// At says as of when something is read.
type At int

// The two times to read at.
const (
	Newest At = iota
	AsSettled
)

// Call asks a contract without a transaction.
func (c *Client) Call(ctx context.Context, contract common.Address, input []byte, at At) ([]byte, error) {
	var number *big.Int
	if at == AsSettled {
		settled, err := c.Settled(ctx)
		if err != nil {
			return nil, err
		}
		number = new(big.Int).SetUint64(settled.Number)
	}
	return c.call(ctx, ethereum.CallMsg{To: &contract, Data: input}, number)
}

func (c *Client) call(ctx context.Context, m ethereum.CallMsg, number *big.Int) ([]byte, error) {
	return ask(ctx, c, "call", func(ctx context.Context) ([]byte, error) { return c.eth.CallContract(ctx, m, number) })
}

// Read is Call with a result unpacked by a binding. A contract that is not there
// gives ErrNotFound.
func Read[T any](ctx context.Context, c *Client, contract common.Address, input []byte, at At, unpack func([]byte) (T, error)) (T, error) {
	var none T
	output, err := c.Call(ctx, contract, input, at)
	if err != nil {
		return none, err
	}
	if len(output) == 0 {
		if code, err := c.Code(ctx, contract); err == nil && len(code) == 0 {
			return none, fmt.Errorf("contract %s: %w", contract, ErrNotFound)
		}
	}
	value, err := unpack(output)
	if err != nil {
		return none, fmt.Errorf("client: what %s returned: %w", contract, err)
	}
	return value, nil
}

// Code is the code of a contract, empty where there is none.
func (c *Client) Code(ctx context.Context, at common.Address) ([]byte, error) {
	return ask(ctx, c, "code", func(ctx context.Context) ([]byte, error) { return c.eth.CodeAt(ctx, at, nil) })
}

// Balance of an account in wei of the chain's own coin, which pays for gas.
func (c *Client) Balance(ctx context.Context, of common.Address) (*big.Int, error) {
	return ask(ctx, c, "balance", func(ctx context.Context) (*big.Int, error) { return c.eth.BalanceAt(ctx, of, nil) })
}

// Nonce is how many transactions of an account are in blocks.
func (c *Client) Nonce(ctx context.Context, of common.Address) (uint64, error) {
	return c.nonceAt(ctx, of, nil)
}

func (c *Client) nonceAt(ctx context.Context, of common.Address, number *big.Int) (uint64, error) {
	return ask(ctx, c, "nonce", func(ctx context.Context) (uint64, error) { return c.eth.NonceAt(ctx, of, number) })
}

// Receipt of a transaction that is in a block; else ErrNotFound.
func (c *Client) Receipt(ctx context.Context, hash common.Hash) (*types.Receipt, error) {
	r, err := ask(ctx, c, "receipt", func(ctx context.Context) (*types.Receipt, error) { return c.eth.TransactionReceipt(ctx, hash) })
	if err == nil && (r.TxHash != hash || r.BlockNumber == nil || !r.BlockNumber.IsUint64()) {
		return nil, fmt.Errorf("%w: a receipt of something else", ErrUnavailable)
	}
	return r, err
}

// Transaction by its hash, as it was sent; else ErrNotFound.
func (c *Client) Transaction(ctx context.Context, hash common.Hash) (*types.Transaction, error) {
	tx, err := ask(ctx, c, "transaction", func(ctx context.Context) (*types.Transaction, error) {
		tx, _, err := c.eth.TransactionByHash(ctx, hash)
		return tx, err
	})
	if err == nil && tx.Hash() != hash {
		return nil, fmt.Errorf("%w: another transaction", ErrUnavailable)
	}
	return tx, err
}
