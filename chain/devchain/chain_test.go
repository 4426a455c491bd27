package devchain

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/params"
)

// someone is nobody's account, and none of the addresses that are functions.
var someone = common.Address{0: 0xab}

// longTime ends a test that hangs.
const longTime = 30 * time.Second

type chainUnderTest struct {
	*Chain
	t      *testing.T
	client *ethclient.Client
	stop   func() error
}

func rich(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("a rich account")))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func address(key *ecdsa.PrivateKey) common.Address { return crypto.PubkeyToAddress(key.PublicKey) }

func testConfig(t *testing.T, dir string) Config {
	c := DefaultConfig()
	c.Dir, c.Listen, c.BlockTime = dir, "127.0.0.1:0", 0
	c.Funded = []Account{{address(rich(t)), 1000}}
	return c
}

func start(t *testing.T, c Config) *chainUnderTest {
	t.Helper()
	ch, err := New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- ch.Run(ctx) }()
	client, err := ethclient.Dial(ch.URL())
	if err != nil {
		t.Fatal(err)
	}
	done := false
	stop := func() error {
		if done {
			return nil
		}
		done = true
		client.Close()
		cancel()
		return <-ended
	}
	t.Cleanup(func() { _ = stop() })
	return &chainUnderTest{ch, t, client, stop}
}

// transfer sends wei and waits for the receipt.
func (c *chainUnderTest) transfer(nonce uint64, to common.Address) *types.Receipt {
	c.t.Helper()
	tx := c.sign(nonce, to)
	if err := c.client.SendTransaction(c.t.Context(), tx); err != nil {
		c.t.Fatal(err)
	}
	r := c.receipt(tx)
	if r.Status != types.ReceiptStatusSuccessful {
		c.t.Fatalf("transfer %d failed in block %s", nonce, r.BlockNumber)
	}
	return r
}

func (c *chainUnderTest) sign(nonce uint64, to common.Address) *types.Transaction {
	id := new(big.Int).SetUint64(c.ChainID())
	return types.MustSignNewTx(rich(c.t), types.LatestSignerForChainID(id), &types.DynamicFeeTx{
		ChainID: id, Nonce: nonce, To: &to, Value: big.NewInt(1), Gas: 21000,
		GasTipCap: big.NewInt(1), GasFeeCap: big.NewInt(params.GWei),
	})
}

func (c *chainUnderTest) receipt(tx *types.Transaction) *types.Receipt {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), longTime)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if r, err := c.client.TransactionReceipt(ctx, tx.Hash()); err == nil {
			return r
		}
		select {
		case <-ctx.Done():
			c.t.Fatalf("no receipt of nonce %d after %s", tx.Nonce(), longTime)
		case <-tick.C:
		}
	}
}

func (c *chainUnderTest) balance(of common.Address) uint64 {
	c.t.Helper()
	b, err := c.client.BalanceAt(c.t.Context(), of, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return b.Uint64()
}

func TestChain_keepsStateOverARestart(t *testing.T) {
	dir := t.TempDir()
	first := start(t, testConfig(t, dir))
	receipt, genesis := first.transfer(0, someone), first.Genesis()
	if err := first.stop(); err != nil {
		t.Fatalf("stopping: %v", err)
	}
	second := start(t, testConfig(t, dir))
	if got := second.balance(someone); got != 1 {
		t.Errorf("balance after a restart: got %d, want 1", got)
	}
	if second.Genesis() != genesis {
		t.Errorf("genesis changed from %s to %s", genesis, second.Genesis())
	}
	again, err := second.client.TransactionReceipt(t.Context(), receipt.TxHash)
	if err != nil || again.BlockHash != receipt.BlockHash {
		t.Errorf("receipt after a restart: got %v, %v, want block %s", again, err, receipt.BlockHash)
	}
	second.transfer(1, someone)
}

func TestNew_refusesAnotherChainsFolder(t *testing.T) {
	c := testConfig(t, t.TempDir())
	if err := start(t, c).stop(); err != nil {
		t.Fatal(err)
	}
	c.ChainID = 5
	if _, err := New(c, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "chain_id: ") {
		t.Errorf("got %v, want an error about chain_id", err)
	}
}

func TestNew_refusesAFolderInUse(t *testing.T) {
	c := testConfig(t, t.TempDir())
	start(t, c)
	if _, err := New(c, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "already used") {
		t.Errorf("got %v, want an error that the folder is used", err)
	}
}

func TestNew_saysWhoIsNotFunded(t *testing.T) {
	c := testConfig(t, t.TempDir())
	if err := start(t, c).stop(); err != nil {
		t.Fatal(err)
	}
	late := common.Address{19: 7}
	c.Funded = append(c.Funded, Account{late, 1})
	var text bytes.Buffer
	ch, err := New(c, slog.New(slog.NewTextHandler(&text, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := ch.close(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(text.String(), late.Hex()) {
		t.Errorf("the log does not name %s:\n%s", late, &text)
	}
}

func TestChain_rulesAreOsakaAndNoFurther(t *testing.T) {
	c := rules(1)
	if err := c.CheckConfigForkOrder(); err != nil {
		t.Fatal(err)
	}
	if got := c.LatestFork(1 << 40).String(); got != "Osaka" {
		t.Errorf("latest fork: got %s, want Osaka", got)
	}
}

func TestChain_blocksKeepTheWorldsTime(t *testing.T) {
	c := testConfig(t, t.TempDir())
	c.BlockTime = time.Second
	ch := start(t, c)
	begun := time.Now()
	for nonce := range uint64(3) {
		ch.transfer(nonce, someone)
	}
	head, err := ch.client.HeaderByNumber(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if ahead := int64(head.Time) - time.Now().Unix(); ahead > 0 {
		t.Errorf("the chain's time is %d s ahead", ahead)
	}
	if took := time.Since(begun); took < time.Second {
		t.Errorf("three transfers one after the other took %s, want at least one block time", took)
	}
}

func TestChain_advanceLetsTimePass(t *testing.T) {
	ch := start(t, testConfig(t, t.TempDir()))
	ch.transfer(0, someone)
	before := ch.head().Time
	if err := ch.Advance(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := ch.head().Time - before; got != 3600 {
		t.Errorf("time passed: got %d s, want 3600", got)
	}
	ch.transfer(1, someone)
	if ch.head().Time <= before+3600 {
		t.Errorf("the next block is at %d, not after %d", ch.head().Time, before+3600)
	}
}

// A transaction that waits for an earlier one is in no block, and none is made for it.
func TestChain_atOnceDoesNotSpinOnWhatNoBlockTakes(t *testing.T) {
	ch := start(t, testConfig(t, t.TempDir()))
	late := ch.sign(2, someone)
	if err := ch.client.SendTransaction(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	ch.transfer(0, someone)
	if got := ch.head().Number.Uint64(); got > 3 {
		t.Errorf("blocks: got %d, want no more than the first, one for nonce 0 and one beside", got)
	}
	ch.transfer(1, someone)
	ch.receipt(late)
}

func TestChain_offersThreeNamespaces(t *testing.T) {
	ch := start(t, testConfig(t, t.TempDir()))
	modules, err := ch.client.Client().SupportedModules()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"eth", "net", "web3", "rpc"} {
		if modules[want] == "" {
			t.Errorf("%s is missing in %v", want, modules)
		}
		delete(modules, want)
	}
	if len(modules) > 0 {
		t.Errorf("also offered: %v", modules)
	}
	var text string
	if err := ch.client.Client().Call(&text, "web3_sha3", "0x"); err != nil || !strings.HasPrefix(text, "0xc5d24601") {
		t.Errorf("web3_sha3 of nothing: got %s, %v", text, err)
	}
}

// While a block is being made or synced no answer leaves.
func TestChain_holdsAnswersUntilABlockIsOnDisk(t *testing.T) {
	ch := start(t, testConfig(t, t.TempDir()))
	ch.transfer(0, someone)
	before := ch.requests()
	ch.gate.Lock()
	answered := make(chan error, 1)
	go func() {
		_, err := ch.client.BlockNumber(t.Context())
		answered <- err
	}()
	for ch.requests() == before { // until it has come
	}
	select {
	case err := <-answered:
		t.Errorf("an answer left while a block was not on disk (%v)", err)
	default:
	}
	ch.gate.Unlock()
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func (c *chainUnderTest) get(path, host string) string {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.URL()+path, http.NoBody)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Host = host
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return response.Status + "\n" + string(text)
}

// requests is how many have come, by the chain's own metrics.
func (c *chainUnderTest) requests() string {
	_, after, _ := strings.Cut(c.get("/metrics", ""), "\ndrtc_chain_requests_total ")
	count, _, _ := strings.Cut(after, "\n")
	return count
}

func TestChain_servesByNamesItWasGivenAlone(t *testing.T) {
	c := testConfig(t, t.TempDir())
	c.Hosts = []string{"chain.example"}
	ch := start(t, c)
	for host, want := range map[string]string{
		"": "200", "localhost:8545": "200", "[::1]:80": "200", "10.0.0.1": "200", "chain.example": "200", "Chain.Example:80": "200",
		"evil.example": "403", "localhost.evil.example": "403",
	} {
		if got := ch.get("/healthz", host); !strings.HasPrefix(got, want) {
			t.Errorf("by the name %q: got %s, want %s", host, got, want)
		}
	}
}

// A chain is well before its first block, and unwell when none has come for long.
func TestChain_isWellWhileItBegins(t *testing.T) {
	c := testConfig(t, t.TempDir())
	c.BlockTime = 10 * time.Second // its genesis is much older
	ch, err := New(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	health := func() int {
		w := httptest.NewRecorder()
		ch.healthz(w, nil)
		return w.Code
	}
	if got := health(); got != http.StatusOK {
		t.Errorf("before its first block: got %d, want 200", got)
	}
	ch.began = ch.began.Add(-(patience + 1) * c.BlockTime)
	if got := health(); got != http.StatusServiceUnavailable {
		t.Errorf("long without a block: got %d, want 503", got)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ch.Run(ended); err != nil { // closes it
		t.Error(err)
	}
}

func TestChain_healthAndMetrics(t *testing.T) {
	ch := start(t, testConfig(t, t.TempDir()))
	ch.transfer(0, someone)
	if got := ch.get("/healthz", ""); !strings.Contains(got, `"status":"ok"`) || !strings.Contains(got, `"chain_id":72010`) {
		t.Errorf("health: %s", got)
	}
	page := ch.get("/metrics", "")
	for _, want := range []string{"drtc_chain_head_block ", "drtc_chain_sync_seconds_count ", "drtc_chain_waiting_transactions 0", "go_goroutines "} {
		if !strings.Contains(page, want) {
			t.Errorf("%s is missing in\n%s", want, page)
		}
	}
}

func TestValidate_namesTheField(t *testing.T) {
	for field, spoil := range map[string]func(*Config){
		"dir":              func(c *Config) { c.Dir = "" },
		"listen":           func(c *Config) { c.Listen = "" },
		"chain_id":         func(c *Config) { c.ChainID = 0 },
		"block_time":       func(c *Config) { c.BlockTime = 1500 * time.Millisecond },
		"max_connections":  func(c *Config) { c.MaxConnections = 0 },
		"shutdown_timeout": func(c *Config) { c.ShutdownTimeout = 0 },
		"funded":           func(c *Config) { c.Funded = []Account{{Ether: 1}} },
	} {
		c := testConfig(t, t.TempDir())
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v, want an error that names it", field, err)
		}
	}
}
