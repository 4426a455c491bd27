package repocheck

// Kind says what a package may do and who may import it.
type Kind string

// The kinds of packages, in the order of the arrows: a package imports its own
// kind or a kind above it in this list, and programs import everything.
const (
	// Vocabulary is the root package: names and text forms, standard library only.
	Vocabulary Kind = "vocabulary"
	// Core decides: no socket, file, clock, goroutine, lock or logger.
	Core Kind = "core"
	// Generated is code made from proto/; only shells import it.
	Generated Kind = "generated"
	// Shell owns a piece of the world: a socket, a file, a clock, a wire format.
	Shell Kind = "shell"
	// Composition is a role's New and Run: it joins the role's shells and cores.
	Composition Kind = "composition"
	// Program wires roles together or runs them; nothing else imports it but programs.
	Program Kind = "program"
	// TestOnly is imported by tests and by other TestOnly packages.
	TestOnly Kind = "test only"
)

// Entry classifies one package, or with a final "/..." a package and all below.
type Entry struct {
	Path   string // below the module path; empty is the module's root
	Kind   Kind
	Reason string // one sentence, printed when a rule about the package fails
}

// Owner gives a heavy dependency to the packages that may import it. Nobody
// may when Packages is empty, except tests.
type Owner struct {
	Module   string // import path prefix
	Packages []string
	Reason   string
}

// Apart keeps a package from reaching import path prefixes through any number
// of steps. Except lists prefixes below Never that are allowed.
type Apart struct {
	Package string
	Never   []string
	Except  []string
	Reason  string
}

// Rules is everything that CheckImports needs to know about a module.
type Rules struct {
	Module   string
	Packages []Entry
	Roles    []string // top-level folders that never import each other
	Pure     []string // third-party import path prefixes that a core may use
	Owners   []Owner
	Apart    []Apart
}

// Repository returns the rules of this module. A new package gets a line here.
func Repository() Rules {
	return Rules{
		Module: "github.com/drtc-network/drtc",
		Packages: []Entry{
			{"", Vocabulary, "ids, places and regions that every part shares"},

			{"identity", Core, "keys, addresses and signatures over bytes (whitepaper 4.1.2)"},
			{"identity/keyfile", Shell, "a private key on disk"},
			{"rpcauth", Core, "signs and verifies calls with the time passed in (algorithm 1)"},
			{"envelope", Core, "signed records as bytes, the same for all who read them"},
			{"econ/...", Core, "scores, rewards, credits, supply and policy in integers (whitepaper 2.3 and 3), and their reference vectors"},
			{"epoch", Core, "what an epoch commits: leaves, charges, totals, their hashes and signatures (5.7)"},
			{"score", Core, "scores and quarantine from results, receipts and uptimes (2.3.1, 4.2.4)"},
			{"qos", Core, "what a test measured as scores and V (4.3.8, 4.2.4)"},
			{"challenge", Core, "tests between two nodes: order, both sides, samples, judgement (4.3.8)"},
			{"beacon", Core, "rounds of randomness that nobody chose, verified (4.2.4)"},
			{"beacon/drand", Shell, "fetches rounds from sources that are not believed"},
			{"schedule", Core, "the common plan of QoS tests, from a round and agreed data (4.2.4)"},
			{"receipt", Core, "who signs how much for what was served, who is cut off, and which receipt counts (3.3)"},
			{"sim", Core, "agents over econ, for choosing parameters (2.1.1)"},
			{"admission", Core, "who may command nodes, from a quorum of signatures"},
			{"rpcauth/httpauth", Shell, "carries rpcauth in HTTP headers"},
			{"discovery", Shell, "asks several Registries and believes none: the client of the Registry network"},

			{"medianode/negotiate", Core, "SDP offer and answer as a function"},
			{"medianode/datapacket", Core, "the sender of a data packet, on the wire"},
			{"medianode/relay", Core, "what two nodes tell each other of the tracks of a room"},
			{"medianode/engine/...", Core, "per-peer and per-track state machines, driven by packets and now"},
			{"medianode/transport/record", Core, "DTLS records, opened and sealed with bytes passed in"},
			{"medianode/transport/...", Shell, "UDP, DTLS, SRTP and SCTP"},
			{"medianode/control", Shell, "the RPC that Orchestrators call"},
			{"medianode/admit", Shell, "keeps the list of who may command the node"},
			{"medianode/till", Shell, "the node's accounts with Orchestrators, on disk and at Registries"},
			{"medianode/enrol", Shell, "keeps the node's record alive at Registries"},
			{"medianode", Composition, "the Media Node role"},

			{"registry/node", Core, "what is known of a Media Node, and its bounds"},
			{"registry/wire", Shell, "wire types to the Registry's own and back"},
			{"registry/record", Core, "signed-record map and its merge rule"},
			{"registry/reconcile", Core, "makes two signed-record maps equal over a stream of frames"},
			{"registry/liveness", Core, "who is alive, from evidence and now"},
			{"registry/ledger", Shell, "the record map under a lock, on disk and followed"},
			{"registry/place", Core, "declared places held against round trips"},
			{"registry/probe", Shell, "dials nodes from outside, and nothing that must not be called"},
			{"registry/geoip", Shell, "an operator's address database, for advice"},
			{"registry/store", Shell, "records on disk"},
			{"registry/audit", Shell, "verifies stored records again"},
			{"registry/gossip", Shell, "the network between Registries"},
			{"registry/bonding", Shell, "who may take part, from a file or from whoever reads a chain"},
			{"registry/index", Core, "answers queries from memory"},
			{"registry/api", Shell, "RPC and REST of the Registry"},
			{"registry/status", Shell, "what the status pages show, and the pages"},
			{"registry/simulation", TestOnly, "the network of Registry cores in virtual time"},
			{"registry", Composition, "the Registry role"},

			{"orchestrator/room", Core, "room state machine"},
			{"orchestrator/cascade", Core, "links and routes of a room, as its plan wants them"},
			{"orchestrator/allocate", Core, "chooses a Media Node and says why not the others"},
			{"orchestrator/plan", Core, "how a room spans nodes: homes, links, routes and standbys"},
			{"orchestrator/signal/...", Shell, "the client protocol"},
			{"orchestrator/wire", Shell, "the room's face in messages of the client protocol"},
			{"orchestrator/roomservice", Shell, "the server API of the client protocol"},
			{"orchestrator/webhook", Shell, "tells applications' servers what happens in rooms"},
			{"orchestrator/policy", Shell, "who takes part in an application's rooms, and how they run"},
			{"orchestrator/gate", Shell, "lets holders of tokens on a chain into rooms"},
			{"orchestrator/moderate", Shell, "hosts of rooms over HTTP"},
			{"orchestrator/whip", Shell, "WHIP and WHEP over HTTP"},
			{"orchestrator/billing", Shell, "receipts for nodes, usage of rooms and API keys, budgets"},
			{"orchestrator/nodes", Shell, "calls to Media Nodes and their event streams"},
			{"orchestrator/state", Shell, "what must outlive a process, behind one interface"},
			{"orchestrator/state/memory", Shell, "that interface in memory"},
			{"orchestrator/state/jetstream", Shell, "that interface on disk or in a NATS cluster"},
			{"orchestrator/state/backup", Shell, "a store in one file, and back"},
			{"orchestrator/state/statetest", TestOnly, "the conformance suite that every store passes"},
			{"orchestrator/tenure", Shell, "which of an operator's Orchestrators writes a room"},
			{"orchestrator/tenure/roll", Core, "who is alive and who holds which room, from what a store tells"},
			{"orchestrator/reroute", Shell, "sends a request to the Orchestrator that writes its room"},
			{"orchestrator", Composition, "the Orchestrator role"},

			{"gen/...", Generated, "wire types made from proto/"},
			{"chain/bindings", Shell, "calls and events of the contracts, made from chain/contracts; programs make transactions of them"},
			{"chain/account", Shell, "what somebody has on the chain and does there: keys, pools, credits, veHUDL"},
			{"chain/client", Shell, "speaks to any chain: calls, transactions that are sent once, events"},
			{"chain/deploy", Shell, "puts the contracts on a chain, once, at known addresses"},
			{"chain/overview", Shell, "reads what everybody may look at on the chain, once a block for all who ask"},
			{"chain/bonds", Shell, "reads from the contract who is bonded, for who does not speak with a chain"},
			{"chain/bonds/bondstest", TestOnly, "a chain with bonds on it, in a test's process"},
			{"chain/devchain", Composition, "a whole chain in one process, for development"},
			{"web", Shell, "the built pages, embedded"},
			{"devnet", Program, "the whole network on one machine"},
			{"examples", Program, "what an application can have its rooms be, to run and to read"},
			{"examples/stage", Program, "what the examples share"},
			{"examples/stage/stagetest", TestOnly, "runs examples in tests, with guests that speak the client protocol"},
			{"examples/chain", Program, "a chain in one process, for an example and for tests of the gate"},
			{"examples/economy", Program, "plays the economy on a chain of its own and compares every balance with a model"},
			{"examples/economy/ledger", Program, "that model: who should have what, without a chain"},
			{"loadtest/...", Program, "load, servers to compare with and their measurement; a tool beside the roles, which may use the Media Node's socket"},
			{"cmd/drtc", Program, "the one binary"},
			{"internal/repocheck", TestOnly, "these rules"},
			{"internal/testkit/...", TestOnly, "clients and fixtures that several tests share"},
			{"internal/netlink", TestOnly, "namespaces of the kernel joined by links that delay and lose"},
			{"internal/netlink/shape", Core, "what a link does to packets, with the time passed in"},
			{"internal/netsim", TestOnly, "a simulated network for cores"},
			{"internal/served", TestOnly, "what is paid, with whole roles in one process"},
			{"internal/scenario/...", TestOnly, "whole networks whose rooms span nodes, measured"},
			{"web/e2e/...", TestOnly, "tests with real browsers"},
		},
		Roles: []string{"medianode", "registry", "orchestrator"},
		Pure: []string{
			"github.com/pion/rtp", "github.com/pion/rtcp", // codecs of RFC 3550
			"github.com/pion/sdp/v3", // codec of RFC 8866; its owner below narrows it
			"github.com/decred/dcrd/dcrec/secp256k1/v4",
			"github.com/ethereum/go-ethereum/crypto/secp256k1", // libsecp256k1 by cgo
			"golang.org/x/crypto",
			"github.com/consensys/gnark-crypto/ecc/bls12-381", // pairings; its owner below narrows it
			"github.com/holiman/uint256",                      // integers of 256 bits; its owner below narrows it
			"github.com/golang/geo/s2",                        // geometry
			"google.golang.org/protobuf/encoding/protowire",   // the wire format alone
		},
		Owners: []Owner{
			{"github.com/pion/dtls", []string{"medianode/transport", "loadtest/floor"}, "one package of the product speaks DTLS; the floor hears its keys"},
			{"github.com/pion/srtp", []string{"medianode/transport"}, "one package holds SRTP keys"},
			{"github.com/pion/sctp", []string{"medianode/transport"}, "one package speaks SCTP"},
			{"github.com/pion/datachannel", []string{"medianode/transport"}, "one package speaks SCTP"},
			{"github.com/pion/sdp", []string{"medianode/negotiate"}, "one package reads SDP"},
			{"github.com/pion/webrtc", []string{"loadtest"}, "the foreign peer of our tests and of the load test; no role has a PeerConnection"},
			{"github.com/pion/interceptor", []string{"loadtest/client", "loadtest/reference"}, "an oracle of our tests, and part of the load test's PeerConnections"},
			{"github.com/pion/ice", nil, "the Media Node is ICE-lite by code of its own"},
			{"github.com/cockroachdb/pebble", []string{"registry/store"}, "one package knows the disk format"},
			{"github.com/nats-io", []string{"orchestrator/state/jetstream"}, "one package knows the store's server"},
			{"github.com/golang/geo", []string{"registry/index"}, "one package orders places"},
			{"github.com/oschwald", []string{"registry/geoip"}, "one package reads address databases"},
			{"github.com/libp2p", []string{"registry/gossip"}, "one package knows the network between Registries"},
			{"github.com/multiformats", []string{"registry/gossip"}, "addresses of libp2p stay with it"},
			{"github.com/livekit", []string{"orchestrator/signal", "orchestrator/wire", "orchestrator/roomservice", "orchestrator/webhook", "examples/stage/stagetest"}, "the client protocol stops at the shells that speak it"},
			{"github.com/twitchtv/twirp", []string{"orchestrator/roomservice"}, "one package serves the server API"},
			{"github.com/coder/websocket", []string{"orchestrator/signal", "loadtest/client", "examples/stage/stagetest"}, "one package upgrades connections, two are clients"},
			{"github.com/ethereum/go-ethereum", []string{"identity", "chain", "examples/chain", "examples/economy"}, "chain/ speaks to the chain; of the rest of the product identity takes crypto/secp256k1, for speed"},
			{"github.com/decred", []string{"identity"}, "one package holds private keys"},
			{"github.com/holiman/uint256", []string{"econ"}, "one package has the numbers that pay"},
			{"github.com/consensys", []string{"beacon"}, "one package verifies signatures of drand"},
			{"github.com/spf13", []string{"cmd/drtc"}, "flags are read in the program"},
			{"github.com/BurntSushi/toml", []string{"cmd/drtc", "devnet"}, "configuration files are read in the program and written by devnet"},
			{"pgregory.net/rapid", []string{"orchestrator/state/statetest"}, "for tests and for the conformance suite of stores"},
			{"github.com/cockroachdb/datadriven", nil, "for tests"},
			{"github.com/rogpeppe/go-internal", nil, "for tests"},
		},
		Apart: []Apart{
			{"medianode", []string{
				"github.com/cockroachdb/pebble", "github.com/livekit", "github.com/ethereum/go-ethereum",
				"github.com/pion/webrtc", "github.com/pion/ice", "github.com/spf13",
			}, []string{"github.com/ethereum/go-ethereum/crypto/secp256k1", "github.com/ethereum/go-ethereum/common/math"},
				"a Media Node is small: no database, no client protocol, no chain client, no PeerConnection"},
			{"registry", []string{
				"github.com/livekit", "github.com/coder/websocket", "github.com/ethereum/go-ethereum", "github.com/spf13",
			}, []string{"github.com/ethereum/go-ethereum/crypto/secp256k1", "github.com/ethereum/go-ethereum/common/math"},
				"a Registry speaks no client protocol; libp2p brings its WebRTC transport along, which is not used"},
			{"orchestrator", []string{
				"github.com/cockroachdb/pebble", "github.com/ethereum/go-ethereum", "github.com/spf13",
			}, []string{"github.com/ethereum/go-ethereum/crypto/secp256k1", "github.com/ethereum/go-ethereum/common/math"},
				"an Orchestrator keeps no disk format of its own and never touches media keys"},
		},
	}
}

// Classify returns the entry of the package at path below the module. The
// longest match wins.
func (r Rules) Classify(path string) (Entry, bool) {
	best, found, longest := Entry{}, false, -1
	for _, e := range r.Packages {
		base, tree := cutTree(e.Path)
		if path != base && !(tree && within(path, base)) {
			continue
		}
		if len(base) > longest {
			best, found, longest = e, true, len(base)
		}
	}
	return best, found
}

// role returns the role that owns path, or "" when several share it.
func (r Rules) role(path string) string {
	for _, role := range r.Roles {
		if within(path, role) {
			return role
		}
	}
	return ""
}
