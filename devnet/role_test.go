package devnet

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/drtc-network/drtc"
	"github.com/drtc-network/drtc/identity/keyfile"
)

// The test binary is also the program that devnet supervises: with a role as
// its first argument it pretends to be that role, with "devnet" it is a devnet
// of such roles. Two variables steer it:
//
//	DEVNET_TEST_BEHAVIOUR  "medianode-2 silent, orchestrator dies": by name
//	DEVNET_TEST_DIAL       where to open a connection that ends with the process
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch role := os.Args[1]; role {
		case "registry", "medianode", "orchestrator", "chain":
			os.Exit(pretend(role, os.Args[2:]))
		case "devnet":
			os.Exit(pretendDevnet(os.Args[2:]))
		}
	}
	os.Exit(m.Run())
}

func pretend(role string, args []string) int {
	if role == "orchestrator" && args[0] == "store" {
		return pretendStore(args[1:])
	}
	if role == "chain" && args[0] == "deploy" {
		return pretendDeploy(args[1:])
	}
	flags := flag.NewFlagSet(role, flag.ExitOnError)
	config := flags.String("config", "", "")
	ready := flags.String("ready-file", "", "")
	devTokens := flags.Bool("dev-tokens", false, "")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	var file struct {
		Listen     string   `toml:"listen"`
		PlaceName  string   `toml:"place_name"`
		Registries []string `toml:"registries"`
		Bootstrap  []string `toml:"bootstrap"`
		Bonding    string   `toml:"bonding_file"`
		Member     string   `toml:"member"`
		MemberURL  string   `toml:"member_url"`
		KeyFile    string   `toml:"key_file"`
		State      struct {
			Kind string   `toml:"kind"`
			URLs []string `toml:"urls"`
		} `toml:"state"`
		Chain struct {
			RPC       string `toml:"rpc"`
			Addresses string `toml:"addresses"`
		} `toml:"chain"`
		Admission struct {
			Mode       string   `toml:"mode"`
			Registries []string `toml:"registries"`
		} `toml:"admission"`
	}
	if _, err := toml.DecodeFile(*config, &file); err != nil {
		fmt.Println(err)
		return 2
	}
	parts := strings.Split(*config, string(os.PathSeparator))
	name := parts[len(parts)-2]
	fmt.Printf("%s listens at %s, registries %d, dev tokens %t, secret %t\n",
		name, file.Listen, len(file.Registries), *devTokens, os.Getenv("DRTC_API_SECRET") != "")
	if role == "registry" {
		fmt.Printf("%s was told of %q\n", name, file.Bootstrap)
		fmt.Printf("%s goes by file %t, by chain %q with addresses %t\n", name, file.Bonding != "", file.Chain.RPC, file.Chain.Addresses != "")
	}
	if file.Member != "" {
		parts := strings.Split(file.KeyFile, string(os.PathSeparator))
		fmt.Printf("%s is member %s of %s at %s, store %s %q token %t\n", name, file.Member, parts[len(parts)-2],
			file.MemberURL, file.State.Kind, file.State.URLs, os.Getenv("DRTC_STATE_TOKEN") != "")
	}
	if role == "medianode" {
		fmt.Printf("%s obeys by %s, %d sign\n", name, file.Admission.Mode, len(file.Admission.Registries))
	}

	if addr := os.Getenv("DEVNET_TEST_DIAL"); addr != "" {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			fmt.Println(err)
			return 2
		}
		defer conn.Close()
		fmt.Fprintln(conn, name)
	}

	behaviour := ""
	for _, rule := range strings.Split(os.Getenv("DEVNET_TEST_BEHAVIOUR"), ",") {
		if who, what, _ := strings.Cut(strings.TrimSpace(rule), " "); who == name {
			behaviour = what
		}
	}
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	switch behaviour {
	case "dies":
		fmt.Println("cannot go on: no such shoe")
		return 3
	case "silent":
		<-terminate
		return 0
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	}
	id := drtc.NodeID{19: name[len(name)-1]}
	var said any = Server{ID: id, URL: "http://" + file.Listen, PID: os.Getpid()}
	if role == "orchestrator" {
		health := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			up := 3
			if behaviour == "alone" {
				up = 0
			}
			fmt.Fprintf(w, `{"nodes_up": %d}`, up)
		}))
		defer health.Close()
		said = Server{ID: id, URL: health.URL, PID: os.Getpid()}
	}
	if role == "chain" {
		said = Chain{URL: "http://" + file.Listen, ChainID: 5, PID: os.Getpid()}
	}
	if role == "medianode" {
		said = Node{ID: id, PID: os.Getpid(), UDP: "127.0.0.1:1", Metrics: "http://127.0.0.1:2/metrics"}
	}
	if err := WriteReady(*ready, said); err != nil {
		fmt.Println(err)
		return 2
	}
	<-terminate
	fmt.Println(name, "says goodbye")
	return 0
}

// pretendDeploy writes who reports, as the file of addresses has it.
func pretendDeploy(args []string) int {
	flags := flag.NewFlagSet("deploy", flag.ExitOnError)
	addresses := flags.String("addresses", "", "")
	values := map[string]*string{}
	for _, name := range []string{"rpc", "chain-id", "key-file", "guardian", "reporter-key-files", "orchestrator-key-files", "node-key-files", "log-level"} {
		values[name] = flags.String(name, "", "")
	}
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if strings.Contains(os.Getenv("DEVNET_TEST_BEHAVIOUR"), "deploy dies") {
		fmt.Fprintln(os.Stderr, "no gas today")
		return 3
	}
	record := map[string][]drtc.NodeID{}
	for _, path := range strings.Split(*values["reporter-key-files"], ",") {
		key, err := keyfile.Load(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		record["reporters"] = append(record["reporters"], key.ID())
	}
	fmt.Println("nobody reads this")
	fmt.Fprintf(os.Stderr, "bonds %d registries, %d orchestrators and %d nodes at %s, chain %s\n", len(record["reporters"]),
		len(strings.Split(*values["orchestrator-key-files"], ",")), len(strings.Split(*values["node-key-files"], ",")), *values["rpc"], *values["chain-id"])
	if err := WriteReady(*addresses, record); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	return 0
}

func pretendStore(args []string) int {
	flags := flag.NewFlagSet("store", flag.ExitOnError)
	listen := flags.String("listen", "", "")
	ready := flags.String("ready-file", "", "")
	flags.String("dir", "", "")
	flags.String("log-level", "", "")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	fmt.Printf("store listens at %s, token %t\n", *listen, os.Getenv("DRTC_STATE_TOKEN") != "")
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	if err := WriteReady(*ready, Store{URL: "nats://store", PID: os.Getpid()}); err != nil {
		fmt.Println(err)
		return 2
	}
	<-terminate
	fmt.Println("store says goodbye")
	return 0
}

func pretendDevnet(args []string) int {
	cfg := DefaultConfig()
	cfg.Listen = "127.0.0.1:0"
	cfg.Program = os.Args[0]
	flags := flag.NewFlagSet("devnet", flag.ExitOnError)
	flags.StringVar(&cfg.Dir, "dir", "", "")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	n, err := New(cfg)
	if err != nil {
		fmt.Println(err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := n.Run(ctx); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// longTime is far more than any test needs; it only ends a test that hangs.
const longTime = 20 * time.Second

// lines collects what devnet writes and lets a test wait for a piece of it.
type lines struct {
	text  chan string
	seen  strings.Builder
	limit <-chan time.Time
}

func newLines() *lines {
	return &lines{text: make(chan string, 1000), limit: time.After(longTime)}
}

func (l *lines) Write(b []byte) (int, error) {
	l.text <- string(b)
	return len(b), nil
}

// await blocks until want has been written.
func (l *lines) await(t *testing.T, want string) {
	t.Helper()
	for !strings.Contains(l.seen.String(), want) {
		select {
		case s := <-l.text:
			l.seen.WriteString(s)
		case <-l.limit:
			t.Fatalf("%q was not written; this was:\n%s", want, l.seen.String())
		}
	}
}

// all returns everything written so far.
func (l *lines) all() string {
	for {
		select {
		case s := <-l.text:
			l.seen.WriteString(s)
		default:
			return l.seen.String()
		}
	}
}
