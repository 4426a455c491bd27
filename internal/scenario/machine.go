package scenario

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Machine is how busy the machine was.
type Machine struct {
	Cores int `json:"cores"`
	// Busy is the share of all processors' time that was used, 0 to 1, by this
	// scenario and everybody else.
	Busy float64 `json:"busy"`
	// LoadAverage is the kernel's, over a minute, at the end.
	LoadAverage float64 `json:"load_average"`
}

// loadMeter measures from beginLoad to end.
type loadMeter struct{ busy, all float64 }

func beginLoad() loadMeter {
	busy, all := processorTime()
	return loadMeter{busy, all}
}

func (m loadMeter) end() Machine {
	busy, all := processorTime()
	r := Machine{Cores: runtime.NumCPU()}
	if all > m.all {
		r.Busy = (busy - m.busy) / (all - m.all)
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		first, _, _ := strings.Cut(string(text), " ")
		r.LoadAverage, _ = strconv.ParseFloat(first, 64)
	}
	return r
}

// processorTime reads the first line of /proc/stat: user nice system idle
// iowait irq softirq steal, in ticks.
func processorTime() (busy, all float64) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line)[1:] {
		const idle, wait, guests = 3, 4, 8
		if i >= guests { // counted as user already
			break
		}
		v, _ := strconv.ParseFloat(field, 64)
		all += v
		if i != idle && i != wait {
			busy += v
		}
	}
	return busy, all
}
