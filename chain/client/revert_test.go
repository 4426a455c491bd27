package client

import (
	"bytes"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

func testReasons(t testing.TB) *Reasons {
	t.Helper()
	contract, err := abi.JSON(strings.NewReader(`[{"type":"error","name":"Pool_Full","inputs":[
		{"name":"node","type":"address"},{"name":"keys","type":"uint256"},{"name":"region","type":"bytes3"}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	return NewReasons([]abi.ABI{contract}, map[string]string{"Pool_Full": "delegate to another"})
}

func TestDecode(t *testing.T) {
	r := testReasons(t)
	full := r.errors
	var id [4]byte
	for selector := range full {
		id = selector
	}
	known, err := full[id].Inputs.Pack(common.Address{19: 1}, big.NewInt(7), [3]byte{'E', 'U'})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, raw, want string }{
		{"a known error", hexutil.Encode(append(id[:], known...)),
			"refused by the contract: Pool_Full (node 0x0000000000000000000000000000000000000001, keys 7, region EU): delegate to another"},
		{"one cut short", hexutil.Encode(append(id[:], known[:40]...)), "refused by the contract: unknown error 0x"},
		{"a sentence", "0x08c379a0000000000000000000000000000000000000000000000000000000000000002000000000000000000000000000000000000000000000000000000000000000026e6f000000000000000000000000000000000000000000000000000000000000",
			"refused by the contract: Error (no)"},
		{"an overflow", "0x4e487b710000000000000000000000000000000000000000000000000000000000000011", "refused by the contract: Panic (a number out of range)"},
		{"another panic", "0x4e487b7100000000000000000000000000000000000000000000000000000000000000fe", "refused by the contract: Panic (code 0xfe)"},
		{"an unknown one", "0xdeadbeef", "refused by the contract: unknown error 0xdeadbeef"},
		{"nothing", "0x", "refused by the contract: it gave no reason"},
	} {
		if got := r.Decode(hexutil.MustDecode(c.raw)).Error(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	r := testReasons(f)
	for selector := range r.errors {
		f.Add(append(selector[:], make([]byte, 96)...))
	}
	f.Add(append(sentence[:], bytes.Repeat([]byte{0xff}, 64)...))
	f.Add(append(panicked[:], bytes.Repeat([]byte{0xff}, 32)...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if said := r.Decode(raw).Error(); len(said) > 200+3*len(raw) {
			t.Errorf("%d bytes make %d", len(raw), len(said))
		}
	})
}

// Whatever is in a journal, it is read or refused, and what is read is written so
// that it reads the same.
func FuzzJournal(f *testing.F) {
	own := account{big.NewInt(5), common.Address{19: 1}}
	f.Add([]byte(`{"account":{"chain":5,"address":"0x0000000000000000000000000000000000000001"}}
{"intent":{"id":"a","nonce":1,"value":0,"gas":5}}
{"attempt":{"id":"a","hash":"0x0000000000000000000000000000000000000000000000000000000000000001","raw":"0x01","fees":{"tip":1,"cap":2}}}
{"done":{"id":"a","nonce":1,"hash":"0x0000000000000000000000000000000000000000000000000000000000000001","block":7,"ok":true}}
`))
	f.Add([]byte(`{"attempt":{"id":"a"}}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		first, err := openJournal(path, own)
		if err != nil {
			return
		}
		pending, done := len(first.pending), len(first.done)
		first.file.Close()
		second, err := openJournal(path, own)
		if err != nil {
			t.Fatalf("what was written is not read: %v", err)
		}
		defer second.file.Close()
		if len(second.pending) != pending || len(second.done) != done {
			t.Errorf("%d pending and %d done became %d and %d", pending, done, len(second.pending), len(second.done))
		}
	})
}
