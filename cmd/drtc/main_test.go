package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/drtc-network/drtc/devnet"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"drtc": main})
}

// Each file of testdata is one story about the binary; it reads as a manual.
// Commands are added: "waitfor FILE" waits until a file is there; "get
// READY-FILE PATH" and "post READY-FILE PATH JSON" ask the server that wrote
// the file and show the answer; "url READY-FILE NAME" puts its URL into $NAME;
// "waitlisted READY-FILE" waits until the Registry that wrote it lists a node.
// $VECTORS is the folder of the reference vectors.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			vectors, err := filepath.Abs("../../spec/vectors/reference")
			env.Setenv("VECTORS", vectors)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"waitfor": waitFor, "get": ask, "post": ask, "url": setURL, "waitlisted": waitListed,
		},
	})
}

func readReady(ts *testscript.TestScript, file string) devnet.Server {
	var s struct {
		devnet.Server
		Control string // of a Media Node
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &s))
	s.URL += s.Control
	return s.Server
}

func setURL(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[1], readReady(ts, args[0]).URL)
}

func waitListed(ts *testscript.TestScript, _ bool, args []string) {
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		response, err := http.Get(readReady(ts, args[0]).URL + "/listMediaNodes")
		ts.Check(err)
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		ts.Check(err)
		if strings.Contains(string(text), "nodeId") {
			return
		}
		select {
		case <-limit:
			ts.Fatalf("no node is listed after 20 s: %s", text)
		case <-tick.C:
		}
	}
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

func ask(ts *testscript.TestScript, _ bool, args []string) {
	url := readReady(ts, args[0]).URL + args[1]
	var response *http.Response
	var err error
	if len(args) == 2 {
		response, err = http.Get(url)
	} else {
		response, err = http.Post(url, "application/json", strings.NewReader(args[2]))
	}
	ts.Check(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	ts.Check(err)
	if response.StatusCode != http.StatusOK {
		ts.Fatalf("%s: %s: %s", url, response.Status, text)
	}
	_, err = ts.Stdout().Write(text)
	ts.Check(err)
}
