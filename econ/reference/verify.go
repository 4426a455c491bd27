package reference

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

var (
	// ErrNoRule is returned for a file whose name decides a rule that is known and
	// not built yet.
	ErrNoRule = errors.New("reference: no rule yet")
	// ErrUnknown is returned for a file whose name decides nothing.
	ErrUnknown = errors.New("reference: unknown vector file")
	// ErrMalformed is returned for a file that is not one of cases.
	ErrMalformed = errors.New("reference: malformed vector file")
)

// rule checks one case. What does not hold is reported to the case.
type rule func(file, c *fields)

func rules() map[string]rule {
	return map[string]rule{
		"unit_reward":  unitReward,
		"history":      history,
		"session_data": sessionData,
		"data_credits": dataCredits,
		"delegation":   delegation,
		"supply":       supply,
		"supply_band":  supplyBand,
		"qos":          quality,
	}
}

// awaited are rules of the network that nothing here holds.
func awaited() []string { return []string{"dac_quorum"} }

// Names are those of the files that Verify knows, in order.
func Names() []string {
	var names []string
	for name := range rules() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Result says how many cases of a file pass, and why others do not.
type Result struct {
	Name     string    `json:"name"`
	Cases    int       `json:"cases"`
	Passed   int       `json:"passed"`
	Failures []Failure `json:"failures,omitempty"`
}

// OK reports whether there were cases and all of them pass.
func (r Result) OK() bool { return r.Cases > 0 && r.Passed == r.Cases }

// Failure is one value of a case that is missing, unreadable or not what the
// rule gives. Case counts from 0, as the file's list does.
type Failure struct {
	Case    int    `json:"case"`
	Field   string `json:"field"`
	Problem string `json:"problem"`
}

// String is the failure as one line.
func (f Failure) String() string { return fmt.Sprintf("case %d, %s: %s", f.Case, f.Field, f.Problem) }

// Verify checks the cases of a file by its name without ".json". An error wraps
// ErrNoRule, ErrUnknown or ErrMalformed.
func Verify(name string, file []byte) (Result, error) {
	r := Result{Name: name}
	check, known := rules()[name]
	switch {
	case slices.Contains(awaited(), name):
		return r, fmt.Errorf("%w for %s", ErrNoRule, name)
	case !known:
		return r, fmt.Errorf("%w %q: known are %v", ErrUnknown, name, Names())
	}
	var cases []json.RawMessage
	top, err := object(file)
	if err != nil {
		return r, fmt.Errorf("%w %s: %w", ErrMalformed, name, err)
	}
	if err := json.Unmarshal(top["cases"], &cases); err != nil || len(cases) == 0 {
		return r, fmt.Errorf("%w %s: field cases: want a list of at least one case", ErrMalformed, name)
	}
	r.Cases = len(cases)
	for i, raw := range cases {
		report := func(field, problem string) {
			r.Failures = append(r.Failures, Failure{Case: i, Field: field, Problem: problem})
		}
		before := len(r.Failures)
		if values, err := object(raw); err != nil {
			report("the case", err.Error())
		} else {
			check(&fields{values: top, report: report}, &fields{values: values, report: report})
		}
		if len(r.Failures) == before {
			r.Passed++
		}
	}
	return r, nil
}

// object reads a JSON object. Its error says where the text goes wrong.
func object(text []byte) (map[string]json.RawMessage, error) {
	var values map[string]json.RawMessage
	err := json.Unmarshal(text, &values)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		at := min(int(syntax.Offset), len(text))
		return nil, fmt.Errorf("line %d: %w", 1+bytes.Count(text[:at], []byte("\n")), err)
	case err != nil || values == nil:
		return nil, errors.New("want a JSON object")
	}
	return values, nil
}
