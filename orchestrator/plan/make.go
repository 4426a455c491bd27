package plan

// Make plans the room. It fails only when in names something that is out of
// range, and then says which field; what no node can do is in Plan.Refused and
// Plan.Reasons.
func Make(in Input) (Plan, error) {
	if err := in.validate(); err != nil {
		return Plan{}, err
	}
	return Plan{Strategy: in.Policy.Strategy}, nil
}

func (in *Input) validate() error { return in.Policy.Validate() }
