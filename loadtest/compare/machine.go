package compare

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/drtc-network/drtc"
)

// Machine is where figures were taken.
type Machine struct {
	Processor string `json:"processor"`
	Cores     int    `json:"cores"` // that this process may use
	Memory    uint64 `json:"memory_bytes"`
	Kernel    string `json:"kernel"`
	Go        string `json:"go"`
}

func readMachine() (Machine, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return Machine{}, fmt.Errorf("compare: reading the kernel's version: %w", err)
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return Machine{}, fmt.Errorf("compare: reading the size of memory: %w", err)
	}
	cpus, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return Machine{}, fmt.Errorf("compare: %w", err)
	}
	return Machine{
		Processor: processor(cpus), Cores: runtime.NumCPU(), Memory: info.Totalram * uint64(info.Unit),
		Kernel: unix.ByteSliceToString(name.Sysname[:]) + " " + unix.ByteSliceToString(name.Release[:]),
		Go:     runtime.Version(),
	}, nil
}

// processor reads /proc/cpuinfo. Not every architecture names its processors.
func processor(cpuinfo []byte) string {
	for line := range bytes.Lines(cpuinfo) {
		if key, value, _ := strings.Cut(string(line), ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func pionVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/pion/webrtc/v4" {
				return m.Version
			}
		}
	}
	return "of an unknown version"
}

// ownVersion adds the commit where the build knows it.
func ownVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 8 {
				return drtc.Version + " (" + s.Value[:8] + ")"
			}
		}
	}
	return drtc.Version
}
