# PerfScope. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

BIN := $(CURDIR)/bin
COLLECTOR := $(BIN)/otelcol-perfscope
FULL := $(BIN)/otelcol-perfscope-full
GOLANGCI_LINT_VERSION := v2.15.0
FUZZTIME ?= 20s
VERSION := $(shell sed -n 's/^  version: //p' builder-config.yaml)
DIST := $(CURDIR)/dist
ARCHES := amd64 arm64
PACKAGES ?= ./...
# Tested without the race detector, which makes them several times as slow: the
# inference, which starts no goroutine (internal/archtest holds it), and what waits for
# real servers and built collectors.
NO_RACE := /pkg/inference|/testbed/(e2e|install|life|scenario)$$

# Tested with nothing beside them: what times the kernel's events and those of real servers.
ALONE := /(internal/capture|receiver/syscallreceiver)$$

# Everything the collector is made of; a change in any of it builds it anew.
SOURCES := builder-config.yaml go.mod go.sum $(shell find receiver processor exporter extension connector internal pkg cmd \
	\( -path internal/tools -o -path internal/packaging \) -prune -o \( -name '*.go' -o -name '*.o' -o -path '*/report/assets/*' -o -path '*/report/templates/*' \) -not -name '*_test.go' -print 2>/dev/null)

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
	go list $(PACKAGES) | sed -E '\#$(NO_RACE)|$(ALONE)#d' | xargs -r go test -race -timeout 10m || status=1; \
	go list $(PACKAGES) | sed -nE '\#$(ALONE)#p' | xargs -r go test -race -p 1 -timeout 10m || status=1; \
	go list $(PACKAGES) | sed -nE '\#$(NO_RACE)#p' | xargs -r go test -timeout 10m || status=1; \
	go test -run '^TestHostile' ./internal/stack || status=1; \
	CGO_ENABLED=0 go test -count=1 -run DropPrivileges ./receiver/syscallreceiver || status=1; \
	(cd internal/packaging && go test ./...) || status=1; \
	cd testbed; \
	go list ./... | sed -E '\#$(NO_RACE)#d' | xargs -r go test -race -count=1 -timeout 10m || status=1; \
	go list ./... | sed -nE '\#$(NO_RACE)#p' | xargs -r go test -p 1 -count=1 -timeout 20m || status=1; \
	PERFSCOPE_CHAOS=1 go test -count=1 -timeout 10m ./chaos || status=1; \
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
	CGO_ENABLED=0 PATH=$(CURDIR)/internal/tools/ocb:$$PATH $(BIN)/builder --config builder-config-full.yaml --skip-strict-versioning=false
	mv _build-full/otelcol-perfscope-full $@

$(BIN)/builder $(BIN)/mdatagen &: internal/tools/go.mod internal/tools/go.sum
	@mkdir -p $(BIN)
	cd internal/tools && CGO_ENABLED=0 go build -trimpath -o $(BIN)/ tool
	@touch $(BIN)/builder $(BIN)/mdatagen

# The programs of a release: what ocb generated, built for each architecture.
PROGRAMS := $(foreach arch,$(ARCHES),$(DIST)/otelcol-perfscope_$(VERSION)_linux_$(arch) $(DIST)/perfscope-doctor_$(VERSION)_linux_$(arch))
FULL_PROGRAMS := $(foreach arch,$(ARCHES),$(DIST)/otelcol-perfscope-full_$(VERSION)_linux_$(arch))

.PHONY: packages
packages: binaries $(BIN)/nfpm $(BIN)/cyclonedx-gomod ## Build static binaries, SBOMs, deb, rpm and an image for amd64 and arm64 into dist/
	$(call sbom,$(PROGRAMS))
	for arch in $(ARCHES); do for kind in deb rpm; do \
	  DIST=$(DIST) VERSION=$(VERSION) ARCH=$$arch \
	    $(BIN)/nfpm package -f deploy/packages/nfpm.yaml -p $$kind -t $(DIST)/; \
	done; done
	$(call image,otelcol-perfscope)
	$(checksums)

.PHONY: packages-full
packages-full: $(BIN)/builder $(BIN)/cyclonedx-gomod ## The same of the full distribution, without deb and rpm: the image of the chart (minutes)
	@mkdir -p $(DIST)
	PATH=$(CURDIR)/internal/tools/ocb:$$PATH $(BIN)/builder --config builder-config-full.yaml --skip-strict-versioning=false --skip-compilation
	for arch in $(ARCHES); do \
	  (cd _build-full && CGO_ENABLED=0 GOOS=linux GOARCH=$$arch go build -trimpath -ldflags='-s -w' -o $(DIST)/otelcol-perfscope-full_$(VERSION)_linux_$$arch .); \
	done
	$(call sbom,$(FULL_PROGRAMS))
	$(call image,otelcol-perfscope-full)
	$(checksums)

define sbom
	for program in $(1); do \
	  $(BIN)/cyclonedx-gomod bin -json -version v$(VERSION) -output $$program.cdx.json $$program; \
	done
endef
define image
	@rm -rf $(DIST)/$(1)_image
	cd internal/packaging && go run ./cmd/image -name $(1) -version $(VERSION) -out $(DIST)/$(1)_image \
	  $(foreach arch,$(ARCHES),-binary $(arch)=$(DIST)/$(1)_$(VERSION)_linux_$(arch)) $(CURDIR)/config/*.yaml
	tar -C $(DIST)/$(1)_image -cf $(DIST)/$(1)_$(VERSION)_image.tar .
endef
checksums = cd $(DIST) && find . -maxdepth 1 -type f -not -name SHA256SUMS -printf '%P\n' | sort | xargs sha256sum > SHA256SUMS && ls -l

.PHONY: manifests
manifests: ## Make deploy/kubernetes/perfscope.yaml of the chart
	cd internal/packaging && go run ./cmd/manifests $(CURDIR)/deploy/helm/perfscope $(CURDIR)/deploy/kubernetes/perfscope.yaml

.PHONY: test-packaging
test-packaging: ## Test the image and the chart; with `make build-full` before, against the collector, too (minutes the first time)
	cd internal/packaging && go test -count=1 ./...

.PHONY: binaries
binaries: $(SOURCES) $(BIN)/builder
	@mkdir -p $(DIST)
	$(BIN)/builder --config builder-config.yaml --skip-strict-versioning=false --skip-compilation
	for arch in $(ARCHES); do \
	  (cd _build && CGO_ENABLED=0 GOOS=linux GOARCH=$$arch go build -trimpath -ldflags='-s -w' -o $(DIST)/otelcol-perfscope_$(VERSION)_linux_$$arch .); \
	  CGO_ENABLED=0 GOOS=linux GOARCH=$$arch go build -trimpath -ldflags='-s -w' -o $(DIST)/perfscope-doctor_$(VERSION)_linux_$$arch ./cmd/perfscope-doctor; \
	done

$(BIN)/nfpm $(BIN)/cyclonedx-gomod &: internal/packaging/go.mod internal/packaging/go.sum
	@mkdir -p $(BIN)
	cd internal/packaging && CGO_ENABLED=0 go build -trimpath -o $(BIN)/ tool
	@touch $(BIN)/nfpm $(BIN)/cyclonedx-gomod

.PHONY: generate
generate: deps $(BIN)/mdatagen ## Rebuild what is generated: BPF objects, component metadata, syscall tables
	PATH="$(BIN):$$PATH" go generate ./...

.PHONY: check-generate
check-generate: ## Fail when what is generated differs from its sources
	@./.ci/check-generate

.PHONY: clean
clean: ## Remove what was built and recorded
	rm -rf bin dist _build _build-full testbed/bin testbed/out

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

.PHONY: test-install
test-install: deps-all build packages ## Run what the documents say to install, in an empty folder and a small Debian (root, 15 min)
	@./testbed/install-deps.sh install
	cd testbed && PERFSCOPE_INSTALL=all go test -count=1 -v -timeout 30m ./install/...

.PHONY: test-apiserver
test-apiserver: deps-all $(BIN)/kube-apiserver ## Have Kubernetes' own API server take every manifest of the chart (4 min the first time)
	cd internal/packaging && go test -count=1 -v -run APIServer ./chart

$(BIN)/kube-apiserver: $(wildcard internal/tools/kubeapiserver/*)
	@mkdir -p $(BIN)
	cd internal/tools/kubeapiserver && CGO_ENABLED=0 go build -trimpath -o $@ .

.PHONY: fuzz-short
fuzz-short: ## Fuzz every fuzz target for FUZZTIME (20s), really: it fails when one hardly ran
	@FUZZTIME=$(FUZZTIME) ./.ci/fuzz

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

##@ Judge (no root, no servers)
.PHONY: scoreboard
scoreboard: ## Judge the recorded faults and the healthy life of testbed/corpus (1 min); ARGS=-help, WITHOUT=rule leaves one out
	@cd testbed && go build -o bin/ ./cmd/scoreboard && cd .. && exec testbed/bin/scoreboard $(if $(WITHOUT),-without $(WITHOUT)) $(ARGS)

.PHONY: accuracy
accuracy: ## Judge the corpus, and write docs/accuracy.md
	@$(MAKE) scoreboard ARGS="-document docs/accuracy.md -calibrate"

.PHONY: compare
compare: ## Compare two builds of a service: BEFORE=old.bin AFTER=new.bin, or STATE=folder of memories; ARGS=-help
	@cd testbed && go build -o bin/ ./cmd/compare && cd .. && exec testbed/bin/compare $(ARGS) $(BEFORE) $(AFTER) $(STATE)

.PHONY: corpus
corpus: ## Make thin recordings in testbed/corpus of what was recorded in testbed/out; ONLY=a,b chooses
	@cd testbed && go build -o bin/ ./cmd/scoreboard && cd .. && \
	exec testbed/bin/scoreboard -corpus testbed/out -thin testbed/corpus $(if $(ONLY),-only '$(ONLY)')

##@ Real servers (root)
.PHONY: faults
faults: deps build ## Three more faults: failing call, pure CPU, blocked; the true function in the top three
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/faults

.PHONY: healthy
healthy: deps build ## Watch a healthy nginx through load steps: no anomaly may come
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/healthy

.PHONY: eval
eval: deps-all build ## Every scenario on every server; writes testbed/out/eval.json (1 h)
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/eval

.PHONY: eval-quick
eval-quick: deps-all build ## A fixed third of the scenarios, two at a time (10 min)
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/eval -quick -parallel 2

.PHONY: eval-languages
eval-languages: deps-all build $(if $(PROFILES),build-full) ## Twelve faults in Python, Ruby, PHP, Node and waiting goroutines; writes testbed/out/languages.json (20 min); PROFILES=1 adds the eBPF profiler, ONLY="a b" chooses
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/eval-languages $(if $(PROFILES),-profiles) $(ONLY)

.PHONY: eval-releases
eval-releases: deps build ## Regressions, fixes, rebuilds and refactorings: versions of others' programs and libraries, and a Go server of our own, old and new side by side; writes testbed/out/releases.json (100 min); ARGS="-length 150s -frequency 199 -rate 400 -at-once 4" in 20
	@cd testbed && go build -o bin/ ./cmd/eval-releases && cd .. && exec testbed/bin/eval-releases $(ARGS)

.PHONY: healthy-all
healthy-all: deps-all build ## Every healthy server: no anomaly may come; writes testbed/out/healthy.json (20 min)
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/healthy all

.PHONY: healthy-together
healthy-together: deps-all build ## A server of each kind side by side under one collector, all healthy, for LENGTH (12m)
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/healthy -together $(or $(LENGTH),12m)

.PHONY: record-life
record-life: deps-all build ## 66 healthy servers of 30 kinds through ordinary happenings, recorded for LENGTH (75m); SEED, SERVERS
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/life -length $(or $(LENGTH),75m) \
	  $(if $(SEED),-seed $(SEED)) $(if $(SERVERS),-servers $(SERVERS))

.PHONY: eval-machine
eval-machine: deps-all build ## Twelve causes that are nobody's code (quota, neighbours, memory, disk, peers, stops) and thirteen that are; writes testbed/out/machine.json (35 min); ONLY="a b" chooses, ARGS="-parallel 3" runs some side by side, ARGS=-recorded judges again
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/eval-machine $(ARGS) $(ONLY)

.PHONY: eval-chains
eval-chains: deps-all build ## Ten ways to wait for others (locks, pipelines, pools, processes); writes testbed/out/chains.json (15 min); ONLY="a b" chooses, ARGS="-parallel 5" runs some side by side, ARGS=-recorded judges again
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/eval-chains $(ARGS) $(ONLY)

.PHONY: signatures-eval
signatures-eval: deps-all build ## How well functions are told by their calls alone, on six servers; writes testbed/out/signatures.json (6 min)
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/signatures-eval

.PHONY: eval-traces
eval-traces: deps-all build build-full ## An application on three hosts, a fault in each service; writes testbed/out/traces.json (6 min)
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/traces

.PHONY: eval-tail
eval-tail: deps-all build ## Servers of which a few requests are slow from the first second on, with spans and without; writes testbed/out/tail.json (30 min); SHARES="1,3,10" of a hundred, ONLY="a b" chooses, AT_ONCE=2 runs two at a time, AGAIN=1 judges the last recordings once more, BURST=100ms as if they had shorter bursts, WITHOUT=slow-apart without a rule
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/eval-tail $(if $(SHARES),-shares $(SHARES)) $(if $(LENGTH),-length $(LENGTH)) $(if $(AT_ONCE),-at-once $(AT_ONCE)) $(if $(AGAIN),-again) $(if $(BURST),-burst $(BURST)) $(if $(WITHOUT),-without $(WITHOUT)) $(ONLY)

.PHONY: eval-misconfigurations
eval-misconfigurations: deps-all build ## Twelve mistakes in the configuration of Debian's servers that make one request in ten slow: is the function named that does what the setting says; into testbed/out/tail.json (12 min); ONLY="a b" chooses, AGAIN=1 judges the last recordings once more
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/eval-tail -misconfigurations -shares $(or $(SHARES),10) -length $(or $(LENGTH),45s) $(if $(AT_ONCE),-at-once $(AT_ONCE)) $(if $(AGAIN),-again) $(if $(WITHOUT),-without $(WITHOUT)) $(ONLY)

.PHONY: demo-traces
demo-traces: deps-all build build-full ## Make redis slow behind three services, find it in a trace in Jaeger (3 min)
	@cd testbed && go build -o bin/ ./cmd/... && cd .. && exec testbed/bin/demo-traces

.PHONY: chaos
chaos: deps build ## The collector beside hostile programs and conditions, a victim's fault must be found; writes testbed/out/chaos.json (35 min); FAULTS="-short" or names choose
	@cd testbed && go build -o bin/ ./cmd/chaos && cd .. && exec testbed/bin/chaos $(FAULTS)

##@ Recordings
.PHONY: replay
replay: ## Give the recording FILE to the processor again; TRUTH=f,g marks functions, SERVICE=name chooses, HTML=out.html writes a page, SERVE=localhost:55690 serves one
	@cd testbed && go build -o bin/ ./cmd/replay && cd .. && \
	exec testbed/bin/replay $(if $(TRUTH),-truth '$(TRUTH)') $(if $(SERVICE),-service '$(SERVICE)') $(if $(HTML),-html '$(HTML)') $(if $(SERVE),-serve '$(SERVE)') $(if $(FILE),'$(FILE)')
