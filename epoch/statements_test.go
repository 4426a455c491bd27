package epoch

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/drtc-network/drtc/econ"
	"github.com/drtc-network/drtc/identity"
)

const statementsFile = "../spec/vectors/statements.json"

// What is signed besides commits, for the contracts' tests.
type (
	statementFile struct {
		Rules        string              `json:"rules"`
		Rule         string              `json:"rule"`
		Source       string              `json:"source"`
		Notation     string              `json:"notation"`
		ChainID      string              `json:"chainId"`
		Proof        string              `json:"proofOfResource"`
		Credits      string              `json:"dataCredits"`
		Replacements []replacementVector `json:"replacements"`
		Receipts     []receiptVector     `json:"receipts"`
	}
	replacementVector struct {
		Void       map[string]string `json:"void"`
		Voided     string            `json:"voided"`
		Commit     map[string]string `json:"commit"`
		StructHash string            `json:"structHash"`
		Digest     string            `json:"digest"`
		Signer     string            `json:"signer"`
		Signature  string            `json:"signature"`
	}
	receiptVector struct {
		Fields     map[string]string `json:"receipt"`
		StructHash string            `json:"structHash"`
		Digest     string            `json:"digest"`
		Signature  string            `json:"signature"`
	}
)

func statements(t *testing.T) statementFile {
	t.Helper()
	const chainID = 31337
	proof, credits := [20]byte{0xd1, 0x2c, 19: 0x01}, [20]byte{0xd1, 0x2c, 19: 0x02}
	f := statementFile{
		Rules:    "spec/epoch.md P14, P15",
		Rule:     "Every value must be equal, byte for byte.",
		Source:   "Computed by the Go package epoch, for the contracts: what one computes the other must.",
		Notation: "Numbers are decimal strings, addresses and bytes are 0x and hexadecimal. Receipts 2i and 2i+1 contradict each other; their orchestrator signs.",
		ChainID:  "31337", Proof: text(proof[:]), Credits: text(credits[:]),
	}
	key := reporters(t, 1)[0]
	id := key.ID()
	for i := range uint64(4) {
		void, by := replaced(t, i)
		r, err := Replace(void, by)
		if err != nil {
			t.Fatal(err)
		}
		typed := r.Typed(Domain(chainID, proof))
		digest := typed.Digest()
		f.Replacements = append(f.Replacements, replacementVector{
			Void: commitTexts(void), Voided: text(r.Voided[:]), Commit: commitTexts(by),
			StructHash: text(typed.Struct[:]), Digest: text(digest[:]),
			Signer: text(id[:]), Signature: key.SignTyped(typed).Hex(),
		})
	}
	for i := range uint64(4) {
		first, second := contradiction(i, key)
		f.Receipts = append(f.Receipts, receiptVectorOf(t, first, key, ReceiptDomain(chainID, credits)), receiptVectorOf(t, second, key, ReceiptDomain(chainID, credits)))
	}
	return f
}

// replaced is a commit and one with worse scores in its place.
func replaced(t *testing.T, seed uint64) (void, by Commit) {
	t.Helper()
	o := randomOpen(rand.New(rand.NewPCG(seed, 14)), 3+int(seed))
	first, err := Close(o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range o.Leaves {
		o.Leaves[i].Scores.Quality /= 2
	}
	second, err := Close(o)
	if err != nil {
		t.Fatal(err)
	}
	return first.Commit, second.Commit
}

// contradiction is two receipts of one sequence.
func contradiction(seed uint64, key *identity.Key) (first, second Receipt) {
	r := rand.New(rand.NewPCG(seed, 15))
	first = Receipt{
		Application: address(r), Orchestrator: key.ID(), Node: address(r), Epoch: r.Uint64() >> 20, Sequence: r.Uint64(),
		ClientBytes: econ.NewWei(r.Uint64()), RelayBytes: econ.NewWei(r.Uint64N(1 << 40)),
	}
	second = first
	second.ClientBytes = second.ClientBytes.Add(econ.NewWei(1))
	return first, second
}

func receiptVectorOf(t *testing.T, r Receipt, key *identity.Key, domain identity.Domain) receiptVector {
	t.Helper()
	typed, err := r.Typed(domain)
	if err != nil {
		t.Fatal(err)
	}
	digest := typed.Digest()
	return receiptVector{
		Fields: map[string]string{
			"application": text(r.Application[:]), "orchestrator": text(r.Orchestrator[:]), "node": text(r.Node[:]),
			"epoch": number(r.Epoch), "sequence": number(r.Sequence),
			"clientBytes": r.ClientBytes.String(), "relayBytes": r.RelayBytes.String(),
		},
		StructHash: text(typed.Struct[:]), Digest: text(digest[:]), Signature: key.SignTyped(typed).Hex(),
	}
}

func TestReplace_refuses(t *testing.T) {
	void, by := replaced(t, 1)
	more := econ.NewWei(1)
	for name, change := range map[string]func(*Commit){
		"epoch":             func(c *Commit) { c.Epoch++ },
		"totalBytes":        func(c *Commit) { c.TotalBytes = c.TotalBytes.Add(more) },
		"chargesHash":       func(c *Commit) { c.ChargesHash[0] ^= 1 },
		"chargeCount":       func(c *Commit) { c.ChargeCount++ },
		"previousRoot":      func(c *Commit) { c.PreviousRoot[0] ^= 1 },
		"parametersVersion": func(c *Commit) { c.ParametersVersion++ },
		"rMax":              func(c *Commit) { c.Scale = c.Scale.Add(more) },
		"rewardTotal":       func(c *Commit) { c.RewardTotal = void.RewardTotal.Add(more) },
	} {
		c := by
		change(&c)
		if _, err := Replace(void, c); !errors.Is(err, ErrInvalid) {
			t.Errorf("Replace with another %s: %v, want ErrInvalid", name, err)
		}
	}
}

// A signature of a replacement says nothing about a commit, nor about the
// replacement of another commit.
func TestReplacement_isNoCommit(t *testing.T) {
	void, by := replaced(t, 2)
	r, err := Replace(void, by)
	if err != nil {
		t.Fatal(err)
	}
	domain := Domain(1, [20]byte{1})
	typed := r.Typed(domain)
	if typed == by.Typed(domain) {
		t.Error("a replacement is signed like its commit")
	}
	other := r
	other.Voided[0] ^= 1
	if typed == other.Typed(domain) {
		t.Error("a replacement does not say what it replaces")
	}
}

func TestReceipt_Contradicts(t *testing.T) {
	key := reporters(t, 1)[0]
	first, second := contradiction(3, key)
	if !first.Contradicts(second) || !second.Contradicts(first) {
		t.Error("two receipts of one sequence with different bytes do not contradict each other")
	}
	if first.Contradicts(first) {
		t.Error("a receipt contradicts itself")
	}
	for name, change := range map[string]func(*Receipt){
		"application":  func(r *Receipt) { r.Application[0] ^= 1 },
		"orchestrator": func(r *Receipt) { r.Orchestrator[0] ^= 1 },
		"node":         func(r *Receipt) { r.Node[0] ^= 1 },
		"epoch":        func(r *Receipt) { r.Epoch++ },
		"sequence":     func(r *Receipt) { r.Sequence++ },
	} {
		r := second
		change(&r)
		if first.Contradicts(r) {
			t.Errorf("receipts with another %s contradict each other", name)
		}
	}
}

func TestReceipt_Validate(t *testing.T) {
	valid, _ := contradiction(4, reporters(t, 1)[0])
	if err := valid.Validate(); err != nil {
		t.Fatal(err)
	}
	tooMany := econ.NewWei(1<<63).MulDiv(econ.NewWei(1<<33), econ.NewWei(1))
	for name, change := range map[string]func(*Receipt){
		"no application":  func(r *Receipt) { r.Application = [20]byte{} },
		"no orchestrator": func(r *Receipt) { r.Orchestrator = [20]byte{} },
		"no node":         func(r *Receipt) { r.Node = [20]byte{} },
		"no epoch":        func(r *Receipt) { r.Epoch = None },
		"client bytes":    func(r *Receipt) { r.ClientBytes = tooMany },
		"relay bytes":     func(r *Receipt) { r.RelayBytes = tooMany },
	} {
		r := valid
		change(&r)
		if _, err := r.Typed(ReceiptDomain(1, [20]byte{1})); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}
