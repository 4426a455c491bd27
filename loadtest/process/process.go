// Package process reads what a process costs from /proc: CPU time of the user's
// and of the system's side, memory, threads.
//
// Contract: a reading is of the moment of the call; a process that is gone is
// an error, never a zero.
//
// Linux only: elsewhere there is no /proc, and Read says so. Functions are safe
// for concurrent use.
package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc: USER_HZ is 100 on every Linux that Go
// runs on.
const tick = 10 * time.Millisecond

// Usage is what a process has used.
type Usage struct {
	// User and System are CPU time since the process started, in steps of
	// 10 ms: take differences over seconds.
	User, System time.Duration
	// Resident is memory in bytes.
	Resident uint64
	Threads  int
}

// CPU is time of both sides.
func (u Usage) CPU() time.Duration { return u.User + u.System }

// Read returns what the process pid uses.
func Read(pid int) (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("process: reading the usage of process %d: %w", pid, err)
	}
	u, err := parseStat(stat, os.Getpagesize())
	if err != nil {
		return Usage{}, fmt.Errorf("process: reading the usage of process %d: %w", pid, err)
	}
	return u, nil
}

// Sum adds the usage of several processes.
func Sum(pids []int) (Usage, error) {
	var sum Usage
	for _, pid := range pids {
		u, err := Read(pid)
		if err != nil {
			return Usage{}, err
		}
		sum.User += u.User
		sum.System += u.System
		sum.Resident += u.Resident
		sum.Threads += u.Threads
	}
	return sum, nil
}

// parseStat reads /proc/PID/stat (proc(5)): the name in parentheses may hold
// anything, so fields are counted from behind its end.
func parseStat(stat []byte, page int) (Usage, error) {
	end := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[end+1:]))
	const state, utime, stime, threads, rss = 3, 14, 15, 20, 24 // as proc(5) counts
	if end < 0 || len(fields) <= rss-state {
		return Usage{}, fmt.Errorf("stat has %d fields after the name, want %d or more", len(fields), rss-state+1)
	}
	var values [4]uint64
	for i, field := range []int{utime, stime, threads, rss} {
		v, err := strconv.ParseUint(fields[field-state], 10, 63)
		if err != nil {
			return Usage{}, fmt.Errorf("stat: field %d: %w", field, err)
		}
		values[i] = v
	}
	return Usage{
		User: time.Duration(values[0]) * tick, System: time.Duration(values[1]) * tick,
		Threads: int(values[2]), Resident: values[3] * uint64(page),
	}, nil
}
