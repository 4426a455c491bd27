package reference

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const copies = "../../spec/vectors/reference"

func TestVerify_referenceFiles(t *testing.T) {
	cases := map[string]int{
		"unit_reward": 92, "history": 30, "session_data": 35, "data_credits": 40,
		"delegation": 30, "supply": 25, "supply_band": 25, "qos": 26,
	}
	for _, name := range Names() {
		r, err := Verify(name, read(t, name))
		if err != nil {
			t.Fatal(err)
		}
		if r.Cases != cases[name] || !r.OK() {
			t.Errorf("%s: %d of %d cases pass, want %d of %d: %v", name, r.Passed, r.Cases, cases[name], cases[name], r.Failures)
		}
	}
}

func TestVerify_namesWithoutRule(t *testing.T) {
	for _, name := range []string{"dac_quorum"} {
		if _, err := Verify(name, read(t, name)); !errors.Is(err, ErrNoRule) {
			t.Errorf("%s: error %v, want ErrNoRule", name, err)
		}
	}
	if _, err := Verify("other", []byte("{}")); !errors.Is(err, ErrUnknown) {
		t.Errorf("other: error %v, want ErrUnknown", err)
	}
}

// Every number of every file is held: with one digit changed, its case fails, or
// the argument that was changed cannot be told from the right one.
func TestVerify_changedNumbers(t *testing.T) {
	for _, name := range Names() {
		file := read(t, name)
		var f struct{ Cases []json.RawMessage }
		if err := json.Unmarshal(file, &f); err != nil {
			t.Fatal(err)
		}
		var top map[string]json.RawMessage
		if err := json.Unmarshal(file, &top); err != nil {
			t.Fatal(err)
		}
		held := 0
		for i, c := range f.Cases {
			changed, ok := raise(c)
			if !ok {
				continue
			}
			top["cases"] = json.RawMessage(fmt.Sprintf("[%s]", changed))
			text, err := json.Marshal(top)
			if err != nil {
				t.Fatal(err)
			}
			r, err := Verify(name, text)
			if err != nil {
				t.Fatal(err)
			}
			if r.OK() {
				t.Errorf("%s case %d passes with a wrong result: %s", name, i, changed)
			}
			held++
		}
		if held < len(f.Cases)/2 {
			t.Errorf("%s: only %d cases could be changed", name, held)
		}
	}
}

// raise makes the last result of a case greater.
func raise(c json.RawMessage) ([]byte, bool) {
	for _, field := range []string{`"final_dust": "`, `"S_C": "`, `"dc_charge": "`, `"bytes": "`, `"mean_raw": "`, `"V": "`, `"r": "0.`, `"r": "`} {
		if at := bytes.LastIndex(c, []byte(field)); at >= 0 {
			at += len(field)
			changed := bytes.Clone(c)
			switch d := changed[at]; {
			case d >= '0' && d < '9':
				changed[at]++
			default:
				changed[at]--
			}
			return changed, true
		}
	}
	return nil, false
}

func TestVerify_malformed(t *testing.T) {
	one := func(c string) string { return `{"spec":"","cases":[` + c + `]}` }
	for _, x := range []struct{ name, file, file2 string }{
		{"no JSON", "{\n\n x", "line 3"},
		{"no object", "[]", "JSON object"},
		{"null", "null", "JSON object"},
		{"no cases", "{}", "field cases"},
		{"an empty list", `{"cases":[]}`, "field cases"},
	} {
		if _, err := Verify("history", []byte(x.file)); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), x.file2) {
			t.Errorf("%s: error %v, want one that says %q", x.name, err, x.file2)
		}
	}
	for _, x := range []struct{ name, rule, file, want string }{
		{"a missing field", "data_credits", one(`{"hudl_wei_in":"1"}`), "case 0, price_usd_1e8: missing"},
		{"a case that is no object", "data_credits", one(`3`), "case 0, the case: want a JSON object"},
		{"a number that is none", "session_data", one(`{"kbps":"x","n_p":1,"n_c":1,"seconds":1,"b_unit_kbps":"1","bytes":"1"}`), `case 0, kbps: "x" is no decimal`},
		{"an exponent", "session_data", one(`{"kbps":1e999999999,"n_p":1,"n_c":1,"seconds":1}`), "case 0, kbps"},
		{"a negative", "session_data", one(`{"kbps":-1,"n_p":1,"n_c":1,"seconds":1}`), "case 0, kbps: -1"},
		{"a price of zero", "data_credits", one(`{"price_usd_1e8":0,"hudl_wei_in":"1","dc_wanted":"1","bytes":"1","dc_per_gb":1}`), "price_usd_1e8"},
		{"an element of a list", "history", one(`{"h_min":"1/2","data":[1,"y"]}`), "case 0, data[1]"},
		{"lists of different length", "history", one(`{"h_min":"1/2","data":[1,2],"raw":["1/2"],"clamped":[],"affine":[]}`), "case 0, raw"},
		{"a field in a list", "delegation", one(`{"keys":1,"commission_bps":0,"distributions":[{"R":"1"}],"total_in":"1","total_paid":"1","final_dust":"0"}`), "case 0, distributions[0].commission: missing"},
		{"no keys", "delegation", one(`{"keys":0,"commission_bps":0,"distributions":[{"R":"1"}]}`), "case 0, keys"},
		{"weights past one", "unit_reward", one(`{"profile":"3.2","w":{"A":"0.6","H":"0.5","V":"0.1"},"A":"1","H":"1","V":"1","k":"1","r_max":"1","v_mid":"0.5","v_tau":"0","S":"1","r":"1"}`), "case 0, w: "},
		{"another seed", "qos", one(`{"seed":"last","order":"classify_then_update","alpha_bitrate":"0.5","alpha_rtt":"0.1"}`), "case 0, seed: qos: options: Seed"},
		{"series of different length", "qos", one(`{"seed":"first","order":"classify_then_update","alpha_bitrate":"0.5","alpha_rtt":"0.1","bitrate_kbps":[1],"rtt_ms":[1],"loss":[]}`), "case 0, bitrate_kbps: "},
		{"a loss above one", "qos", one(`{"seed":"first","order":"classify_then_update","alpha_bitrate":"0.5","alpha_rtt":"0.1","bitrate_kbps":[1],"rtt_ms":[1],"loss":[2]}`), "case 0, bitrate_kbps: sample 0"},
		{"another bucket", "qos", one(`{"seed":"first","order":"classify_then_update","alpha_bitrate":"0.5","alpha_rtt":"0.1","bitrate_kbps":[1],"rtt_ms":[1],"loss":[1],"bitrate_good":"b","rtt_good":"g","loss_good":"b"}`), "case 0, bitrate_good: the file says"},
		{"an unknown profile", "unit_reward", one(`{"profile":"4","w":{},"A":"1","H":"1","V":"1","k":"1","r_max":"1","v_mid":"0.5","v_tau":"0"}`), "case 0, profile"},
	} {
		r, err := Verify(x.rule, []byte(x.file))
		if err != nil {
			t.Errorf("%s: %v", x.name, err)
			continue
		}
		if r.OK() || len(r.Failures) == 0 || !strings.Contains(r.Failures[0].String(), x.want) {
			t.Errorf("%s: %v, want one that says %q", x.name, r.Failures, x.want)
		}
	}
}

// The copies are those of the independent implementation, where that is at hand.
func TestCopies(t *testing.T) {
	const original = "../../../shared/vectors"
	files, err := filepath.Glob(filepath.Join(original, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(copies, filepath.Base(file)))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s differs from its original", filepath.Base(file))
		}
	}
}

func FuzzVerify(f *testing.F) {
	for _, name := range Names() {
		var top map[string]json.RawMessage
		var cases []json.RawMessage
		if err := json.Unmarshal(read(f, name), &top); err != nil {
			f.Fatal(err)
		}
		if err := json.Unmarshal(top["cases"], &cases); err != nil {
			f.Fatal(err)
		}
		top["cases"] = json.RawMessage("[" + string(cases[len(cases)-1]) + "]")
		small, err := json.Marshal(top)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(name, string(small))
		f.Add(name, `{"cases":[{}]}`)
	}
	f.Fuzz(func(t *testing.T, name, file string) {
		r, err := Verify(name, []byte(file))
		if err == nil && r.Passed != r.Cases && len(r.Failures) == 0 {
			t.Errorf("%s: %d of %d pass and nothing says why", name, r.Passed, r.Cases)
		}
	})
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(copies, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
