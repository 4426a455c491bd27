package main

import (
	"bufio"
	"context"
	_ "embed"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/drtc-network/drtc/examples/stage"
)

//go:embed webhook/drtc.toml
var webhookPolicy string

//go:embed webhook/server.mjs
var policyServer string

// webhook lets a policy server in another language decide who comes into
// rooms and as what: server.mjs, for Node, without dependencies.
func webhook() stage.Example {
	return stage.Example{
		Name: "webhook", Title: "A policy server in Node", Policy: webhookPolicy, Prepare: startNode,
		About: `"mallory" does not come in, "teacher" is host, the room "quiet" has no video, the room "club" has a lobby.`,
	}
}

// startNode runs the server until ctx ends, and returns its address.
func startNode(ctx context.Context, out io.Writer) (string, error) {
	cmd := exec.CommandContext(ctx, "node", "--input-type=module", "-")
	cmd.Stdin, cmd.Stderr = strings.NewReader(policyServer), out
	said, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("the policy server needs Node: %w", err)
	}
	address, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("the policy server did not start: %w", err)
	}
	go func() { _ = cmd.Wait() }() // ends with ctx
	return strings.TrimSpace(address), nil
}
