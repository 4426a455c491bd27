# make run    starts the network on this machine (needs Go alone)
# make test   runs every test, and says first what it will install
# make help   lists the rest

SHELL := bash
LANE  := tools/lane

# Cores have no goroutines, so the race detector has nothing to find in them.
# internal/repocheck holds that this list is complete.
CORES := identity rpcauth envelope admission econ epoch receipt beacon schedule qos challenge score sim medianode/negotiate medianode/datapacket medianode/engine medianode/transport/record registry/node registry/record registry/liveness registry/index registry/reconcile registry/place internal/netlink/shape orchestrator/room orchestrator/allocate orchestrator/plan orchestrator/tenure/roll medianode/relay orchestrator/cascade
# internal/scenario is left out too: what it measures are processes without the
# detector, and pion, its clients, races with itself where media is faster than
# the answer, as on its long ways. examples/economy is one goroutine that plays
# through chain/client and chain/devchain, which have tests of their own; so does
# chain/account, one account at a time on five networks.
empty :=
SHELLS = $(shell go list ./... | grep -vE '/drtc(|/gen(/.*)?|/internal/scenario(/.*)?|/examples/economy(/.*)?|/chain/account|/rpcauth|/identity|/beacon|/($(subst $(empty) ,|,$(filter-out rpcauth identity beacon,$(CORES))))(/.*)?)$$')

FUZZTIME ?= 10s
SOAK     ?= 20
MINUTES  ?= 5

.PHONY: help run build check test race bench soak soak-rooms simulate schedule-statistics scores fanout cities chaos fuzz generate generated web-check economy contracts mutants browser clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: build ## build drtc and start the network: 4 registries, 3 media nodes, 1 orchestrator, web page
	@exec bin/drtc devnet

build: ## build bin/drtc (the first build compiles every dependency: some minutes on two cores)
	@echo "building bin/drtc"
	@go build -o bin/drtc ./cmd/drtc

check: bin/golangci-lint ## gofmt, vet, linter, unit tests: under 3 minutes when warm
	@$(LANE) gofmt bash -c 'bad=$$(find . -name "*.go" -not -path "*/node_modules/*" -not -path "./gen/*" | xargs gofmt -l); [ -z "$$bad" ] || { echo "not gofmt-clean:" $$bad; exit 1; }'
	@$(LANE) vet go vet ./...
	@$(LANE) lint bin/golangci-lint run --allow-parallel-runners ./...
	@$(LANE) unit go test ./...

test: ## everything: check, race, generated files, web, browsers; installs what it needs
	@tools/test

race: ## tests of the shells under the race detector
	@$(LANE) race go test -race $(SHELLS)

bench: build ## every benchmark with allocations, then servers side by side (PEER_SERVER=path adds a LiveKit server)
	@$(LANE) bench-micro go test -run '^$$' -bench . -benchmem ./...
	@$(LANE) bench-servers tools/bench

simulate: ## 10,000 random schedules of a network of Registries in virtual time: 3 CPU minutes
	@$(LANE) simulate go test -run '^$$' -bench Schedules -benchtime 10000x -timeout 1h ./registry/simulation

scores: ## what liars do to scores and quarantine, in 40 seeds and 600,000 node-epochs: 6 CPU minutes
	@DRTC_SCORE_RUNS=40 go test -count=1 -v -timeout 1h -run 'TestQuality_what|TestStanding_(fallen|honest)' ./score

schedule-statistics: ## the plan of tests and its oracle, 500 seeds of 30 epochs of 200 nodes each: 5 CPU minutes (a run replaces what the oracle recorded)
	@$(LANE) schedule-statistics go test -v -timeout 2h -run Statistics ./schedule -statistics 500 -record-oracle

fanout: build ## 1 publisher, 600 viewers over a tree of 13 nodes; then what a hop adds to the delay: 3 minutes (FLAGS=--json)
	@go run ./internal/scenario/run fanout $(FLAGS)
	@go run ./internal/scenario/run fanout --viewers 50 --nodes 10 --hop 2ms $(FLAGS)

cities: build ## four cities on emulated links, with cascading and without: 90 seconds (FLAGS=--json; needs root and TUN)
	@go run ./internal/scenario/run cities $(FLAGS)

chaos: build web/node_modules ## nodes and the orchestrator struck and cut off by chance under a live room, for MINUTES (FLAGS="--seed n"; cuts need root)
	@DRTC_BIN=$(CURDIR)/bin/drtc node web/e2e/chaos.mjs --minutes $(MINUTES) $(FLAGS)

soak: ## tests of the shells SOAK times over under the race detector, to find what fails rarely
	@$(LANE) soak go test -race -count=$(SOAK) -timeout 4h $(SHELLS)

soak-rooms: build web/node_modules ## a call over several nodes: RUNS (40) times a node is killed, a quarter as often frozen and drained, and the Orchestrator: 8 minutes
	@DRTC_BIN=$(CURDIR)/bin/drtc $(LANE) soak-rooms node web/e2e/soak/rooms.mjs $(MODES)

fuzz: ## every fuzz target for FUZZTIME
	@tools/fuzz $(FUZZTIME)

generate: tools/proto/node_modules web/node_modules chain/contracts/node_modules bin/abigen ## gen/ from proto/, web/dist from web/app, chain/bindings and chain/deploy/artefacts from the contracts
	@tools/proto/node_modules/.bin/buf generate
	@npm --prefix web run --silent build
	@chain/contracts/generate chain

generated: tools/proto/node_modules web/node_modules chain/contracts/node_modules bin/abigen ## fail if a generated file differs from its source
	@$(LANE) generated tools/generated

web-check: web/node_modules ## types and unit tests of the page
	@$(LANE) web-types npm --prefix web run --silent check
	@$(LANE) web-unit npm --prefix web run --silent test

FORGE := node_modules/.bin/forge

economy: ## play the economy on a chain of its own: keys, credits, epochs, claims, a vote, against a model (FLAGS="--seed n")
	@go run ./examples/economy $(FLAGS)

contracts: chain/contracts/node_modules ## compile and test the contracts: unit, fuzz and invariant tests; 100,000 rewards against econ
	@$(LANE) contracts bash -c 'cd chain/contracts && $(FORGE) build --sizes --skip test >/dev/null && node --test layout.test.mjs mutants.test.mjs && FORGE_SNAPSHOT_CHECK=true $(FORGE) test'
	@$(LANE) rewards env DRTC_LEAVES=100000 go test -count=1 -run TestRewards_payAsEconToTheWei ./chain/deploy

mutants: chain/contracts/node_modules ## make the contracts worse in 200 ways, one at a time: does a test notice? An hour; ONLY=WORD tries fewer
	@$(LANE) mutants node chain/contracts/mutate.mjs $(ONLY)

# The ways to carry media that the default does not use, each with what a call needs.
CALL := call three rebind layers resume

browser: build web/node_modules ## headless Chromium against drtc devnet, over each way to carry media: 10 minutes
	@DRTC_BIN=$(CURDIR)/bin/drtc $(LANE) browser npm --prefix web run --silent test:e2e
	@set -e; for mode in one two portable; do \
		DRTC_E2E_MODE=$$mode DRTC_BIN=$(CURDIR)/bin/drtc $(LANE) browser-$$mode npm --prefix web run --silent test:e2e -- $(CALL); \
	done

bin/golangci-lint: tools/lint/go.mod tools/lint/go.sum
	@$(LANE) linter bash -c 'cd tools/lint && go build -o ../../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint'
	@touch $@

bin/abigen: tools/abigen/go.mod tools/abigen/go.sum
	@$(LANE) abigen bash -c 'cd tools/abigen && go build -o ../../bin/abigen github.com/ethereum/go-ethereum/cmd/abigen'
	@touch $@

%/node_modules: %/package-lock.json
	@$(LANE) npm-$(subst /,-,$*) bash -c 'cd $* && npm ci --no-audit --no-fund --loglevel=error && touch node_modules'

clean: ## remove what make built
	@rm -rf bin tools/proto/node_modules web/node_modules chain/contracts/node_modules chain/contracts/out chain/contracts/cache
