package reference

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"

	"github.com/drtc-network/drtc/econ"
)

// fields are the values of a case, or of an object in it. What cannot be read is
// reported once and reads as zero; ok says whether all could.
type fields struct {
	values map[string]json.RawMessage
	path   string // before a field's name, in reports
	report func(field, problem string)
	failed bool
}

// ok reports whether every field read so far was there and readable.
func (f *fields) ok() bool { return !f.failed }

func (f *fields) bad(name, format string, args ...any) {
	f.failed = true
	f.report(f.path+name, fmt.Sprintf(format, args...))
}

// raw is the text of a field, without the quotes of a string.
func (f *fields) raw(name string) (string, bool) {
	value, there := f.values[name]
	if !there {
		f.bad(name, "missing")
		return "", false
	}
	var s string
	if json.Unmarshal(value, &s) == nil {
		return s, true
	}
	return string(value), true
}

// rational reads a decimal or a fraction, not longer than 100 characters and
// without an exponent.
func (f *fields) rational(name string) *big.Rat {
	s, there := f.raw(name)
	if !there {
		return new(big.Rat)
	}
	// An exponent of few digits would be a number of many.
	if len(s) <= 100 && !strings.ContainsAny(s, "eEpPxXbBoO_") {
		if r, ok := new(big.Rat).SetString(s); ok {
			return r
		}
	}
	f.bad(name, "%.100q is no decimal number or fraction", s)
	return new(big.Rat)
}

// amount reads an integer of up to 160 bits: more than any rule needs, and few
// enough that no product of a rule leaves 256.
func (f *fields) amount(name string) econ.Wei {
	r := f.rational(name)
	if !f.failed && (!r.IsInt() || r.Sign() < 0 || r.Num().BitLen() > 160) {
		f.bad(name, "%s: want an integer from 0 to 2^160", r.RatString())
	}
	if f.failed {
		return econ.Wei{}
	}
	return weiOf(r.Num())
}

// weiOf is n, which is known to fit.
func weiOf(n *big.Int) econ.Wei {
	w, err := econ.WeiFromBig(n)
	if err != nil {
		return econ.Wei{}
	}
	return w
}

// count reads an integer up to a bound.
func (f *fields) count(name string, most uint64) uint64 {
	r := f.rational(name)
	if !f.failed && (!r.IsInt() || !r.Num().IsUint64() || r.Num().Uint64() > most) {
		f.bad(name, "%s: want an integer from 0 to %d", r.RatString(), most)
	}
	if f.failed {
		return 0
	}
	return r.Num().Uint64()
}

func (f *fields) bps(name string) econ.Bps { return econ.Bps(f.count(name, uint64(econ.Whole))) }

// scaled reads a decimal as an integer of 10^-places. A finer one is refused.
func (f *fields) scaled(name string, places int64) *big.Int {
	r := f.rational(name)
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(places), nil)))
	if !r.IsInt() {
		f.bad(name, "is finer than 10^-%d", places)
		return new(big.Int)
	}
	return r.Num()
}

// wad reads a score.
func (f *fields) wad(name string) econ.Wad {
	n := f.scaled(name, 18)
	if n.Sign() < 0 || n.Cmp(econ.NewWei(uint64(econ.One)).Big()) > 0 {
		f.bad(name, "is not within 0 and 1")
		return 0
	}
	return econ.Wad(n.Uint64())
}

// flag reads true or false.
func (f *fields) flag(name string) bool {
	s, there := f.raw(name)
	if there && s != "true" && s != "false" {
		f.bad(name, "%.100q: want true or false", s)
	}
	return s == "true"
}

// object reads an object in a field.
func (f *fields) object(name string) *fields {
	inner := &fields{path: f.path + name + ".", report: f.report}
	if values, err := object(f.values[name]); err != nil {
		f.bad(name, "want an object")
	} else {
		inner.values = values
	}
	return inner
}

// objects reads a list of objects in a field.
func (f *fields) objects(name string) []*fields {
	var list []map[string]json.RawMessage
	if err := json.Unmarshal(f.values[name], &list); err != nil || len(list) == 0 {
		f.bad(name, "want a list of at least one object")
		return nil
	}
	inner := make([]*fields, len(list))
	for i, values := range list {
		inner[i] = &fields{values: values, path: fmt.Sprintf("%s%s[%d].", f.path, name, i), report: f.report}
	}
	return inner
}

// list makes the elements of a list readable as fields named "[0]", "[1]" and on.
func (f *fields) list(name string) (*fields, int) {
	inner := &fields{path: f.path + name, report: f.report, values: map[string]json.RawMessage{}}
	var list []json.RawMessage
	if err := json.Unmarshal(f.values[name], &list); err != nil || list == nil {
		f.bad(name, "want a list")
		return inner, 0
	}
	for i, value := range list {
		inner.values[place(i)] = value
	}
	return inner, len(list)
}

func place(i int) string { return fmt.Sprintf("[%d]", i) }

// amounts reads a list of amounts.
func (f *fields) amounts(name string) []econ.Wei {
	inner, n := f.list(name)
	amounts := make([]econ.Wei, n)
	for i := range amounts {
		amounts[i] = inner.amount(place(i))
	}
	f.failed = f.failed || inner.failed
	return amounts
}

// equal reports a field whose amount is not got.
func (f *fields) equal(name string, got econ.Wei) {
	if want := f.amount(name); f.ok() && got != want {
		f.bad(name, "the file says %s, the rule gives %s", want, got)
	}
}

// equals reports a field whose list of amounts is not got.
func (f *fields) equals(name string, got []econ.Wei) {
	inner, n := f.list(name)
	if n != len(got) {
		f.bad(name, "the file has %d values, the rule gives %d", n, len(got))
		return
	}
	for i := range got {
		inner.equal(place(i), got[i])
	}
}

// near reports a field whose decimal is further from got than tolerance.
func (f *fields) near(name string, got, tolerance *big.Rat) {
	want := f.rational(name)
	if !f.ok() {
		return
	}
	if gap := new(big.Rat).Sub(got, want); gap.Abs(gap).Cmp(tolerance) > 0 {
		f.bad(name, "the file says %s, the rule gives %s: %s apart, want at most %s",
			want.FloatString(40), got.FloatString(40), scientific(gap), scientific(tolerance))
	}
}

func scientific(r *big.Rat) string { return new(big.Float).SetRat(r).Text('g', 4) }
