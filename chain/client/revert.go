package client

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rpc"
)

// Revert is a contract's refusal.
type Revert struct {
	// Name is the error's as the contract declares it, "Error" for a sentence,
	// "Panic" for a broken assertion, "" for one that nobody here knows.
	Name string
	Args []Argument
	// Hint says what to do about it; empty when nobody wrote one.
	Hint string
	// Raw is what the contract returned.
	Raw []byte
}

// Argument is one of an error's, as text.
type Argument struct{ Name, Value string }

func (r *Revert) Error() string {
	var b strings.Builder
	b.WriteString("refused by the contract: ")
	switch {
	case r.Name == "" && len(r.Raw) == 0:
		b.WriteString("it gave no reason")
	case r.Name == "":
		fmt.Fprintf(&b, "unknown error 0x%x", r.Raw[:min(len(r.Raw), 36)])
	default:
		b.WriteString(r.Name)
		for i, a := range r.Args {
			b.WriteString([]string{" (", ", "}[min(i, 1)])
			if a.Name != "" {
				b.WriteString(a.Name + " ")
			}
			b.WriteString(a.Value)
		}
		if len(r.Args) > 0 {
			b.WriteString(")")
		}
	}
	if r.Hint != "" {
		b.WriteString(": " + r.Hint)
	}
	return b.String()
}

// Reasons knows the errors of contracts.
type Reasons struct {
	errors map[[4]byte]abi.Error
	hints  map[string]string
}

// NewReasons knows the errors that these ABIs declare. hints says what to do,
// by the error's name.
func NewReasons(abis []abi.ABI, hints map[string]string) *Reasons {
	r := &Reasons{errors: make(map[[4]byte]abi.Error), hints: hints}
	for _, a := range abis {
		for _, e := range a.Errors {
			r.errors[[4]byte(e.ID[:4])] = e
		}
	}
	return r
}

// explain makes a *Revert of an endpoint's error that carries what a contract
// returned, and a *Refusal of any other.
func (r *Reasons) explain(e rpc.Error) error {
	carries, ok := e.(rpc.DataError)
	if ok {
		if text, ok := carries.ErrorData().(string); ok {
			if raw, err := hex.DecodeString(strings.TrimPrefix(text, "0x")); err == nil {
				return r.Decode(raw)
			}
		}
	}
	if strings.Contains(strings.ToLower(e.Error()), "revert") {
		return r.Decode(nil)
	}
	return &Refusal{e.ErrorCode(), e.Error()}
}

// Selectors of the two errors that the language has itself: keccak256 of
// "Error(string)" and "Panic(uint256)".
var (
	sentence = [4]byte{0x08, 0xc3, 0x79, 0xa0}
	panicked = [4]byte{0x4e, 0x48, 0x7b, 0x71}
)

// panics are the codes of the language's own assertions that have a meaning for
// users.
var panics = map[uint64]string{
	0x01: "a broken assertion", 0x11: "a number out of range", 0x12: "a division by zero",
	0x21: "a value that no enum has", 0x32: "an index out of range",
}

// Decode makes a *Revert of what a contract returned.
func (r *Reasons) Decode(raw []byte) *Revert {
	out := &Revert{Raw: raw}
	if len(raw) < 4 {
		return out
	}
	selector, body := [4]byte(raw[:4]), raw[4:]
	switch known, ok := r.errors[selector]; {
	case ok:
		values, err := known.Inputs.Unpack(body)
		if err != nil {
			return out
		}
		out.Name, out.Hint = known.Name, r.hints[known.Name]
		for i, v := range values {
			out.Args = append(out.Args, Argument{known.Inputs[i].Name, text(v)})
		}
	case selector == sentence:
		if said, err := abi.UnpackRevert(raw); err == nil {
			out.Name, out.Args = "Error", []Argument{{Value: said}}
		}
	case selector == panicked && len(body) == 32:
		code := new(big.Int).SetBytes(body)
		said := panics[code.Uint64()]
		if !code.IsUint64() || said == "" {
			said = fmt.Sprintf("code 0x%x", code)
		}
		out.Name, out.Args = "Panic", []Argument{{Value: said}}
	}
	return out
}

// text shows a value as people read it.
func text(v any) string {
	switch v := v.(type) {
	case common.Address:
		return v.Hex()
	case [32]byte:
		return "0x" + hex.EncodeToString(v[:])
	case [4]byte:
		return "0x" + hex.EncodeToString(v[:])
	case [3]byte: // a region
		return string(bytes.TrimRight(v[:], "\x00"))
	case []byte:
		return "0x" + hex.EncodeToString(v[:min(len(v), 64)])
	}
	return fmt.Sprint(v)
}
