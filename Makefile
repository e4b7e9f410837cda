# Tiercel's house. `make` lists what there is to do.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

FUZZTIME ?= 10m
BENCH ?= .
BENCHTIME ?= 3x
TESTFLAGS ?=
SERVELOAD ?=
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
TOOL := go tool -modfile=tools/go.mod
# Go files of the product and its tests, without the fixtures that are not meant to build.
GOFILES := git ls-files -co --exclude-standard -- '*.go' ':!testdata/arch'

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/tiercel
	@go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/tiercel ./cmd/tiercel

demo: build ## start a server, send it a scenario as an agent would, watch what it finds
	@bin/tiercel demo

test: ## run all tests; with TIERCEL_CORPUS set, against the real corpora too
	@go test -timeout 30m $(TESTFLAGS) ./...

check: format-check vet staticcheck arch race generated content ## everything that must hold before a change lands, but the full tests

# A module of its own, so that no client gets into the product. Most of the time is spent waiting.
clients: ## deliver with real clients; test/clients/install gets them, TIERCEL_CLIENTS=all fails without one
	@cd test/clients && go vet . && go test -count=1 -timeout 20m -parallel 4 $(TESTFLAGS) .

docs: build ## rewrite the pages that are made from the code
	@bin/tiercel docs docs/reference
	@go test -count=1 -run TestDependencies -update .

format: ## rewrite the Go files with gofumpt
	@$(GOFILES) | xargs $(TOOL) gofumpt -w

format-check:
	@bad=$$($(GOFILES) | xargs $(TOOL) gofumpt -l); test -z "$$bad" || { printf 'not formatted; run make format:\n%s\n' "$$bad"; exit 1; }

vet:
	@go vet ./...

staticcheck:
	@$(TOOL) staticcheck ./...

arch: ## who may import whom, who may touch the world, package comments, dependencies
	@go test -count=1 .

# Race tests run the fuzz seeds too; the corpora are left to `make test`.
race:
	@env -u TIERCEL_CORPUS go test -race -short -timeout 20m ./...

# Files that are made from the code stand in the tree as the code would make them now.
generated: build
	@bin/tiercel docs --check docs/reference

content: build ## lint the shipped rules, run their cases and the packs' samples
	@bin/tiercel rule lint
	@bin/tiercel rule test rules
	@bin/tiercel pack test pack/packs

bench: ## speed, memory and allocations, next to a bare JSON parse of the same bytes
	@test -n "$${TIERCEL_CORPUS:-}" || { echo 'set TIERCEL_CORPUS to the unpacked corpora'; exit 2; }
	@{ go test -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -timeout 60m ./bench; \
	   go test -run '^$$' -bench 'Hits' -benchtime 2000000x ./detect/correlate; \
	   go test -run '^$$' -bench 'MillionGroups|Snapshot|Flood' -benchtime 1x -timeout 30m ./detect/correlate; } | go run -C tools ./benchtable

bench-serve: build ## serve under load: rate, time to detection, overload, idle, start; SERVELOAD for shorter runs and more
	@test -n "$${TIERCEL_CORPUS:-}" || { echo 'set TIERCEL_CORPUS to the unpacked corpora'; exit 2; }
	@go build -C tools -o ../bin/serveload ./serveload
	@bin/serveload $(SERVELOAD)

torture: ## run the correlation engine against its oracle 100,000 times, the pipeline against its own 5,000 times, and kill the server 1,000 times
	@env -u TIERCEL_CORPUS go test -count=1 -run '^TestFinalDetections$$' -timeout 60m ./detect/correlate -rapid.checks=5000
	@env -u TIERCEL_CORPUS go test -count=1 -run '^TestSimulation$$' -timeout 60m ./pipeline/stream -sim.seeds=5000
	@env -u TIERCEL_CORPUS go test -count=1 -run '^(TestKill|TestFailingSync)$$' -timeout 90m ./test/serve -kills=1000 -sync-fails=40

fuzz: ## run each fuzz target for FUZZTIME (10m)
	@for pkg in $$(go list ./...); do \
	  for target in $$(go test -run '^$$' -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$target"; \
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$pkg; \
	  done; \
	done

clean: ## remove what make made
	@rm -rf bin

.PHONY: help build demo test clients check docs format format-check vet staticcheck arch race generated content bench bench-serve torture fuzz clean
