package qos_test

import (
	"fmt"

	"github.com/drtc-network/drtc/qos"
)

// A constant 50 kbit/s where 2,500 were ordered: as steady as the whitepaper's
// score asks for, and of little use.
func ExampleAssess() {
	samples := make([]qos.Sample, 240)
	for i := range samples {
		samples[i] = qos.Sample{BitrateKbps: 50, RTTMs: 40, Loss: 0}
	}
	r, err := qos.Assess(samples, qos.Terms{OfferedKbps: 2500, RTTBudget: qos.RTTBudget(1200)}, qos.Default())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.PaperV.Float(), r.Adequacy.Float(), r.V.Float())
	// Output: 1 0.02 0.02
}
