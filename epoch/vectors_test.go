package epoch

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/drtc-network/drtc/econ"
)

var update = flag.Bool("update", false, "write spec/vectors/epoch.json and statements.json")

const vectorsFile = "../spec/vectors/epoch.json"

// What the contracts' tests read. Numbers are decimal strings, bytes 0x and hex.
type (
	vectorFile struct {
		Rules    string        `json:"rules"`
		Rule     string        `json:"rule"`
		Source   string        `json:"source"`
		Notation string        `json:"notation"`
		ChainID  string        `json:"chainId"`
		Contract string        `json:"contract"`
		Reporter []string      `json:"reporters"`
		Epochs   []vectorEpoch `json:"epochs"`
	}
	vectorEpoch struct {
		LeafCount   int               `json:"leafCount"`
		ChargeCount int               `json:"chargeCount"`
		Parameters  map[string]string `json:"parameters"`
		Price8High  string            `json:"price8High"`
		Supply      string            `json:"supply"`
		Escrow      string            `json:"escrow"`
		Beta        string            `json:"betaBps"`
		Leaves      []vectorLeaf      `json:"leaves"`
		Charges     []vectorCharge    `json:"charges"`
		Commit      map[string]string `json:"commit"`
		StructHash  string            `json:"structHash"`
		Digest      string            `json:"digest"`
		Signatures  []string          `json:"signatures"`
		Totals      map[string]string `json:"totals"`
		Cut         bool              `json:"cut"`
		Data        string            `json:"data"`
	}
	vectorLeaf struct {
		Fields map[string]string `json:"leaf"`
		Hash   string            `json:"hash"`
		Proof  []string          `json:"proof"`
		Bytes  string            `json:"rewardableBytes"`
		Sum    string            `json:"sum"`
		Unit   string            `json:"unitReward"`
		Reward string            `json:"reward"`
		Gross  string            `json:"gross"`
		Payout string            `json:"payout"`
	}
	vectorCharge struct {
		Application  string `json:"application"`
		Orchestrator string `json:"orchestrator"`
		Bytes        string `json:"bytes"`
	}
)

// The files of vectors are what this package computes, so that the contracts' tests
// hold the contracts against it. Changed rules: go test ./epoch -run Vectors -update.
func TestVectors(t *testing.T) {
	checkFile(t, vectorsFile, vectors(t))
	checkFile(t, statementsFile, statements(t))
}

func checkFile(t *testing.T, file string, content any) {
	t.Helper()
	text, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if *update {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, text) {
		t.Errorf("%s is not what this package computes: run go test ./epoch -run Vectors -update and read the difference", file)
	}
}

func vectors(t *testing.T) vectorFile {
	t.Helper()
	const chainID = 31337
	contract := [20]byte{0xd1, 0x2c, 19: 0x01}
	domain := Domain(chainID, contract)
	keys := reporters(t, 4)
	f := vectorFile{
		Rules:    "spec/epoch.md, spec/economics.md",
		Rule:     "Every value must be equal.",
		Source:   "Computed by the Go packages econ and epoch, for the contracts: what one computes the other must. econ itself is held by reference/, which another implementation computed.",
		Notation: "Numbers are decimal strings, wads and k times 10^18; addresses and bytes are 0x and hexadecimal. Signatures are of reporters 0 to 2, a quorum.",
		ChainID:  "31337", Contract: text(contract[:]),
	}
	for _, k := range keys {
		id := k.ID()
		f.Reporter = append(f.Reporter, text(id[:]))
	}
	cut, filled, up, down := 0, 0, 0, 0
	sizes := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16, 17, 3, 5, 7, 2, 12, 20}
	for i, n := range sizes {
		o := randomOpen(rand.New(rand.NewPCG(uint64(i), 2026)), n)
		c, err := Close(o)
		if err != nil {
			t.Fatal(err)
		}
		typed := c.Commit.Typed(domain)
		digest := typed.Digest()
		v := vectorEpoch{
			LeafCount: n, ChargeCount: len(o.Charges), Parameters: parameterTexts(o.Parameters),
			Price8High: strconv.FormatUint(uint64(o.High), 10), Supply: o.Supply.String(), Escrow: o.Escrow.String(),
			Beta:   strconv.FormatUint(uint64(o.Beta), 10),
			Leaves: []vectorLeaf{}, Charges: []vectorCharge{}, Commit: commitTexts(c.Commit),
			StructHash: text(typed.Struct[:]), Digest: text(digest[:]), Cut: c.Cut, Data: text(c.Data),
			Totals: map[string]string{
				"burn": c.Totals.Burn.String(), "filler": c.Totals.Filler.String(), "kept": c.Totals.Kept.String(),
				"supply": c.Totals.Supply.String(), "betaBps": strconv.FormatUint(uint64(c.NextBeta), 10),
			},
		}
		for _, k := range keys[:3] {
			v.Signatures = append(v.Signatures, k.SignTyped(typed).Hex())
		}
		for j := range o.Leaves {
			v.Leaves = append(v.Leaves, leafVector(t, o, c, j))
		}
		for _, charge := range o.Charges {
			v.Charges = append(v.Charges, vectorCharge{text(charge.Application[:]), text(charge.Orchestrator[:]), charge.Bytes.String()})
		}
		f.Epochs = append(f.Epochs, v)
		cut += count(c.Cut)
		filled += count(!c.Totals.Filler.IsZero())
		up, down = up+count(c.NextBeta > o.Beta), down+count(c.NextBeta < o.Beta)
	}
	if min(cut, filled, up, down) < 2 {
		t.Errorf("%d epochs are cut, %d filled, beta rises in %d and falls in %d: want 2 of each at least", cut, filled, up, down)
	}
	return f
}

func leafVector(t *testing.T, o Open, c *Closed, i int) vectorLeaf {
	l, p := o.Leaves[i], o.Parameters
	b, err := econ.Rewardable(l.ClientBytes, l.RelayBytes, p.RelayWeight)
	if err != nil {
		t.Fatal(err)
	}
	sum := p.Weights.Sum(l.Scores)
	unit, err := p.Curve(c.Commit.Scale).Unit(sum, l.Scores.Quality)
	if err != nil {
		t.Fatal(err)
	}
	h := l.Hash()
	v := vectorLeaf{
		Fields: map[string]string{
			"version": "1", "node": text(l.Node[:]), "epoch": number(l.Epoch), "previousEpoch": number(l.Previous),
			"availability": number(l.Scores.Availability), "history": number(l.Scores.History), "location": number(l.Scores.Location),
			"coverage": number(l.Scores.Coverage), "quality": number(l.Scores.Quality),
			"clientBytes": l.ClientBytes.String(), "relayBytes": l.RelayBytes.String(), "provenMbps": number(l.ProvenMbps),
		},
		Hash: text(h[:]), Proof: []string{}, Bytes: b.String(), Sum: number(sum), Unit: unit.String(),
		Reward: c.Rewards[i].String(), Gross: c.Gross[i].String(), Payout: c.Payouts[i].String(),
	}
	for _, sibling := range c.Tree.Proof(i) {
		v.Proof = append(v.Proof, text(sibling[:]))
	}
	return v
}

func parameterTexts(p econ.Parameters) map[string]string {
	return map[string]string{
		"weightAvailability": number(p.Weights.Availability), "weightHistory": number(p.Weights.History),
		"weightLocation": number(p.Weights.Location), "weightCoverage": number(p.Weights.Coverage),
		"k": p.K.String(), "vMid": strconv.FormatInt(p.Mid, 10), "vTau": strconv.FormatInt(p.Tau, 10),
		"vMin": number(p.MinQuality), "hMin": number(p.MinHistory), "kappaBps": number(p.Kappa), "marginBps": number(p.Margin),
		"dcPerGB": number(p.CreditsPerGB), "wRelayBps": number(p.RelayWeight), "alphaBps": number(p.Alpha),
		"lo": number(p.Band.Lo), "hi": number(p.Band.Hi), "filler": strconv.FormatBool(p.Filler),
	}
}

func commitTexts(c Commit) map[string]string {
	return map[string]string{
		"epoch": number(c.Epoch), "root": text(c.Root[:]), "leafCount": number(c.LeafCount),
		"totalBytes": c.TotalBytes.String(), "rewardTotal": c.RewardTotal.String(), "mintTotal": c.MintTotal.String(),
		"chargesHash": text(c.ChargesHash[:]), "chargeCount": number(c.ChargeCount), "dataHash": text(c.DataHash[:]),
		"previousRoot": text(c.PreviousRoot[:]), "parametersVersion": number(c.ParametersVersion), "rMax": c.Scale.String(),
	}
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

func number[T ~uint32 | ~uint64](n T) string { return strconv.FormatUint(uint64(n), 10) }

func text(b []byte) string { return "0x" + hex.EncodeToString(b) }
