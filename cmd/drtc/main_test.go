package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/drtc-network/drtc/devnet"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"drtc": main})
}

// Each file of testdata is one story about the binary; it reads as a manual.
// Two commands are added: "waitfor FILE" waits until a file is there, and "get
// READY-FILE PATH" asks the server that wrote it and shows the answer.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"waitfor": waitFor, "get": get},
	})
}

func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		select {
		case <-limit:
			ts.Fatalf("%s is not there after 20 s", args[0])
		case <-tick.C:
		}
	}
}

func get(ts *testscript.TestScript, _ bool, args []string) {
	var s devnet.Server
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &s))
	response, err := http.Get(s.URL + args[1])
	ts.Check(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	ts.Check(err)
	if response.StatusCode != http.StatusOK {
		ts.Fatalf("%s: %s: %s", args[1], response.Status, text)
	}
	_, err = ts.Stdout().Write(text)
	ts.Check(err)
}
