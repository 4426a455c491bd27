package process

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	stat := "4711 (a) name) 9 (b) S 1 4711 4711 0 -1 4194560 900 0 0 0 321 123 0 0 20 0 9 0 100 2000000 777 18446744073709551615 1 1\n"
	got, err := parseStat([]byte(stat), 4096)
	want := Usage{User: 3210 * time.Millisecond, System: 1230 * time.Millisecond, Resident: 777 * 4096, Threads: 9}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got.CPU() != 4440*time.Millisecond {
		t.Errorf("CPU is %v, want 4.44s", got.CPU())
	}
	for name, bad := range map[string]string{
		"no name": "4711", "short": "4711 (a) S 1 2", "not a number": strings.Replace(stat, "321", "x", 1), "empty": "",
	} {
		if got, err := parseStat([]byte(bad), 4096); err == nil {
			t.Errorf("%s: got %+v, want an error", name, got)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("1 (init) S 0 1 1 0 -1 4194560 900 0 0 0 321 123 0 0 20 0 9 0 100 2000000 777 1"))
	f.Fuzz(func(_ *testing.T, stat []byte) {
		_, _ = parseStat(stat, 4096) // it must not panic
	})
}

func TestRead_thisProcess(t *testing.T) {
	before, err := Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if before.Resident < 1<<20 || before.Threads < 1 {
		t.Errorf("this process has %d bytes and %d threads", before.Resident, before.Threads)
	}
	for {
		after, err := Sum([]int{os.Getpid()})
		if err != nil {
			t.Fatal(err)
		}
		if after.CPU() > before.CPU() {
			break // time passes for who works
		}
	}
}

func TestSum_failsWhenAProcessIsGone(t *testing.T) {
	if _, err := Sum([]int{os.Getpid(), math.MaxInt32}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want %v", err, fs.ErrNotExist)
	}
}
