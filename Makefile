# PerfScope. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

BIN := $(CURDIR)/bin
COLLECTOR := $(BIN)/otelcol-perfscope
FULL := $(BIN)/otelcol-perfscope-full
GOLANGCI_LINT_VERSION := v2.15.0
FUZZTIME ?= 20s
PACKAGES ?= ./...

# Everything the collector is made of; a change in any of it builds it anew.
SOURCES := builder-config.yaml go.mod go.sum $(shell find receiver processor exporter internal \
	-path internal/tools -prune -o \( -name '*.go' -o -name '*.o' \) -not -name '*_test.go' -print 2>/dev/null)

##@ Start here
.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  \033[1m%-15s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: deps build ## Make a real redis slow and see PerfScope name the function (root, 3 min); SIGNATURES=only takes no stacks
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/demo

.PHONY: test
test: deps-all build ## Run every test: units, races, fuzz seeds, real kernel, end to end (root)
	@status=0; \
	go test -race -timeout 10m $(PACKAGES) || status=1; \
	(cd testbed && go test -race -count=1 -timeout 10m ./...) || status=1; \
	exit $$status

##@ Build
.PHONY: deps
deps: ## Install the Debian packages that are missing (compilers and the servers under test)
	@./testbed/install-deps.sh

.PHONY: deps-all
deps-all: ## Install every server of the testbed, too
	@./testbed/install-deps.sh all

.PHONY: build
build: $(COLLECTOR) ## Build the collector, bin/otelcol-perfscope

$(COLLECTOR): $(SOURCES) $(BIN)/builder
	CGO_ENABLED=0 $(BIN)/builder --config builder-config.yaml --skip-strict-versioning=false
	mv _build/otelcol-perfscope $@

.PHONY: build-full
build-full: $(FULL) ## Build bin/otelcol-perfscope-full: load balancing and metrics, too (minutes the first time)

$(FULL): $(SOURCES) builder-config-full.yaml $(BIN)/builder
	CGO_ENABLED=0 $(BIN)/builder --config builder-config-full.yaml --skip-strict-versioning=false
	mv _build-full/otelcol-perfscope-full $@

$(BIN)/builder $(BIN)/mdatagen &: internal/tools/go.mod internal/tools/go.sum
	@mkdir -p $(BIN)
	cd internal/tools && CGO_ENABLED=0 go build -trimpath -o $(BIN)/ tool
	@touch $(BIN)/builder $(BIN)/mdatagen

.PHONY: generate
generate: deps $(BIN)/mdatagen ## Rebuild what is generated: BPF objects, component metadata, syscall tables
	PATH="$(BIN):$$PATH" go generate ./...

.PHONY: check-generate
check-generate: ## Fail when what is generated differs from its sources
	@./.ci/check-generate

.PHONY: clean
clean: ## Remove what was built and recorded
	rm -rf bin _build _build-full testbed/bin testbed/out

##@ Check
.PHONY: lint
lint: $(BIN)/golangci-lint ## Run golangci-lint on both modules
	$(BIN)/golangci-lint run ./...
	cd testbed && $(BIN)/golangci-lint run --config ../.golangci.yml ./...
	cd testbed/apps/market && $(BIN)/golangci-lint run --config ../../../.golangci.yml ./...

$(BIN)/golangci-lint: Makefile
	@mkdir -p $(BIN)
	GOBIN=$(BIN) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	@touch $@

.PHONY: e2e
e2e: deps build ## Run only the end-to-end tests of the built collector (root)
	cd testbed && go test -count=1 -v -timeout 10m ./e2e/...

.PHONY: fuzz-short
fuzz-short: ## Fuzz every fuzz target for FUZZTIME (20s)
	@for pkg in $$(go list ./...); do \
	  for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$target"; \
	    go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; \
	done

.PHONY: bench
bench: ## Run the benchmarks, the cost per traced call among them (root)
	go test -run '^$$' -bench . -benchmem $(PACKAGES)

.PHONY: bench-capture
bench-capture: deps-all build ## What recording costs, beside other tools; PARTS="calls redis" or PARTS="-rounds 5" chooses (30 min)
	@./testbed/install-deps.sh bench
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/benchcapture $(PARTS)

.PHONY: test-kernels
test-kernels: deps-kernels ## Run the kernel side's tests on Debian's 5.10, 6.1 and 6.12, also locked down (QEMU, 6 min)
	@cd testbed && go build -o bin/ ./cmd/kernels && cd .. && exec testbed/bin/kernels $(KERNELS)

.PHONY: deps-kernels
deps-kernels:
	@./testbed/install-deps.sh kernels

##@ Real servers (root)
.PHONY: faults
faults: deps build ## Three more faults: failing call, pure CPU, blocked; the true function in the top three
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/faults

.PHONY: healthy
healthy: deps build ## Watch a healthy nginx through load steps: no anomaly may come
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/healthy

.PHONY: eval
eval: deps-all build ## Every scenario on every server; writes testbed/out/eval.json and docs/accuracy.md (1 h)
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/eval

.PHONY: eval-quick
eval-quick: deps-all build ## A fixed third of the scenarios, two at a time (10 min)
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/eval -quick -parallel 2

.PHONY: healthy-all
healthy-all: deps-all build ## Every healthy server: no anomaly may come; writes testbed/out/healthy.json (20 min)
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/healthy all

.PHONY: healthy-together
healthy-together: deps-all build ## A server of each kind side by side under one collector, all healthy, for LENGTH (12m)
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/healthy -together $(or $(LENGTH),12m)

.PHONY: signatures-eval
signatures-eval: deps-all build ## How well functions are told by their calls alone, on six servers; writes testbed/out/signatures.json (6 min)
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/signatures-eval

.PHONY: eval-traces
eval-traces: deps-all build build-full ## An application on three hosts, a fault in each service; writes testbed/out/traces.json (6 min)
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/traces

.PHONY: demo-traces
demo-traces: deps-all build build-full ## Make redis slow behind three services, find it in a trace in Jaeger (3 min)
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/demo-traces

##@ Recordings
.PHONY: replay
replay: ## Give the recording FILE to the processor again; TRUTH=f,g marks functions, SERVICE=name chooses
	@cd testbed && go build -o bin/ ./cmd/replay && cd .. && \
	exec testbed/bin/replay $(if $(TRUTH),-truth '$(TRUTH)') $(if $(SERVICE),-service '$(SERVICE)') $(if $(FILE),'$(FILE)')
