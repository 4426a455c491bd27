package gate

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strconv"
	"strings"

	"github.com/drtc-network/drtc/identity"
)

// ErrChain says that the chain did not answer, or not as asked. Nobody is let in
// then.
var ErrChain = errors.New("gate: the chain did not answer")

// errReverted: the contract refused the call.
var errReverted = errors.New("gate: the contract refused")

// maxReply bounds an answer of the chain, in bytes.
const maxReply = 64 << 10

// Selectors of the contracts' functions (EIP-20, EIP-721, EIP-1155, EIP-1271).
const (
	selectorBalance   = "70a08231" // balanceOf(address)
	selectorBalanceID = "00fdd58e" // balanceOf(address,uint256)
	selectorSignature = "1626ba7e" // isValidSignature(bytes32,bytes), and its good answer
)

// chain asks one JSON-RPC endpoint.
type chain struct {
	config Config
}

// call asks for one result.
func (c chain) call(ctx context.Context, into any, method string, params ...any) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.CallTimeout)
	defer cancel()
	body, err := json.Marshal(struct {
		Version string `json:"jsonrpc"`
		ID      int    `json:"id"`
		Method  string `json:"method"`
		Params  []any  `json:"params"`
	}{"2.0", 1, method, params})
	if err != nil {
		return fmt.Errorf("gate: writing a question: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.config.RPC, bytes.NewReader(body))
	if err != nil {
		return ErrChain // the error would quote the address, which may hold a key
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.config.Client.Do(r)
	if err != nil {
		return ErrChain
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil || len(text) > maxReply {
		return fmt.Errorf("%w: no whole answer of at most %d bytes", ErrChain, maxReply)
	}
	var reply struct {
		Result json.RawMessage `json:"result"`
		Error  *struct {
			Code int `json:"code"`
		} `json:"error"`
	}
	if err := json.Unmarshal(text, &reply); err != nil {
		return fmt.Errorf("%w: status %d and no JSON-RPC", ErrChain, resp.StatusCode)
	}
	switch {
	case reply.Error != nil && reply.Error.Code == 3: // execution reverted
		return errReverted
	case reply.Error != nil:
		return fmt.Errorf("%w: error %d", ErrChain, reply.Error.Code)
	case json.Unmarshal(reply.Result, into) != nil:
		return fmt.Errorf("%w: not the kind of result that was asked for", ErrChain)
	}
	return nil
}

// verify checks that the endpoint is the chain that it should be.
func (c chain) verify(ctx context.Context) error {
	var text string
	if err := c.call(ctx, &text, "eth_chainId"); err != nil {
		return err
	}
	id, err := strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 64)
	if err != nil || id != c.config.ChainID {
		return fmt.Errorf("%w: rpc is chain %.20s, chain_id is %d", ErrChain, text, c.config.ChainID)
	}
	return nil
}

// view calls a contract at the latest block.
func (c chain) view(ctx context.Context, contract Address, data string) ([]byte, error) {
	var text string
	call := map[string]string{"to": contract.String(), "data": "0x" + data}
	if err := c.call(ctx, &text, "eth_call", call, "latest"); err != nil {
		return nil, err
	}
	b, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil {
		return nil, fmt.Errorf("%w: not the kind of result that was asked for", ErrChain)
	}
	return b, nil
}

// holds reports whether an address has the balance of a rule.
func (c chain) holds(ctx context.Context, a Address, r Rule) (bool, error) {
	data := selectorBalance + word(new(big.Int).SetBytes(a[:]))
	if r.Standard == ERC1155 {
		id, _ := number(r.TokenID) // validated
		data = selectorBalanceID + word(new(big.Int).SetBytes(a[:])) + word(id)
	}
	b, err := c.view(ctx, r.Contract, data)
	switch {
	case err != nil:
		return false, fmt.Errorf("%w: balance at %s", err, r.Contract)
	case len(b) != 32:
		return false, fmt.Errorf("%w: %s is no %s contract: its balance has %d bytes", ErrChain, r.Contract, r.Standard, len(b))
	}
	return new(big.Int).SetBytes(b).Cmp(r.least()) >= 0, nil
}

// accepts reports whether the wallet at an address is a contract that takes a
// signature for its own (EIP-1271).
func (c chain) accepts(ctx context.Context, wallet Address, message string, signature []byte) (bool, error) {
	hash := identity.MessageHash([]byte(message))
	padded := make([]byte, (len(signature)+31)/32*32)
	copy(padded, signature)
	data := selectorSignature + hex.EncodeToString(hash[:]) + word(big.NewInt(64)) +
		word(big.NewInt(int64(len(signature)))) + hex.EncodeToString(padded)
	b, err := c.view(ctx, wallet, data)
	if errors.Is(err, errReverted) {
		return false, nil
	}
	return err == nil && len(b) == 32 && hex.EncodeToString(b) == selectorSignature+strings.Repeat("0", 56), err
}

// word is a number of the contract ABI: 32 bytes, hexadecimal.
func word(n *big.Int) string {
	var b [32]byte
	n.FillBytes(b[:])
	return hex.EncodeToString(b[:])
}
