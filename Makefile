# sotto: build, try and test. "make" alone says what there is.

export CGO_ENABLED = 0

BUILD    = go build -trimpath
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME = 10s

# What the end-to-end tests write down about the programs they met.
REPORT = $(CURDIR)/.cache/exercised

# $(call kept,NAME,COMMAND) runs a command, keeps what it prints in
# .cache/NAME.log beside the screen, and leaves its exit code in $$status.
kept = mkdir -p .cache; rm -f .cache/$(1).status; { $(2) 2>&1; echo $$? >.cache/$(1).status; } | tee .cache/$(1).log; read -r status <.cache/$(1).status || status=1

# What says at the end what failed; "make test" does it once for all.
SUMMARY = test/summary

.DEFAULT_GOAL := help
.PHONY: help run build test install-test-needs lint unit e2e bench fuzz clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build sotto and open the demo: a hospital in a box
	@bin/sotto demo

build: ## build bin/sotto
	@mkdir -p bin
	$(BUILD) -ldflags '-s -w -X main.release=$(VERSION)' -o bin/sotto ./cmd/sotto

test: ## check everything: lint, unit tests, end to end with real servers and clients
	@test/install
	@$(MAKE) --no-print-directory lint
	@status=0; mkdir -p .cache; : >.cache/unit.log; : >.cache/e2e.log; \
	for part in unit e2e; do $(MAKE) --no-print-directory SUMMARY=: $$part || status=1; done; \
	test/summary .cache/unit.log .cache/e2e.log; exit $$status

lint: ## gofmt, go vet and staticcheck
	@bad=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	if [ -n "$$bad" ]; then echo "gofmt would change:"; echo "$$bad"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...

unit: ## the tests of every package
	@$(call kept,unit,go test -timeout 30m $$(go list ./... | grep -v '^sotto/test')); \
	$(SUMMARY) .cache/unit.log; exit $$status

e2e: ## the tests with real servers, clients and terminals, and what they met
	@mkdir -p $(dir $(REPORT)) && : > $(REPORT)
	@$(call kept,e2e,SOTTO_REPORT=$(REPORT) go test -count=1 -timeout 60m ./test/...); \
	echo; echo "exercised:"; sort -u $(REPORT) | sed 's/^/  /'; \
	$(SUMMARY) .cache/e2e.log; exit $$status

bench: ## measure speed, bytes and memory beside their budgets
	@go run ./test/bench

# A target that ends with nothing but "context deadline exceeded" has found
# nothing: it is Go's own race at the end of -fuzztime, https://go.dev/issue/75804,
# and goes with Go 1.27.
fuzz: ## fuzz every parser for a short while (FUZZTIME=10s each)
	@status=0; mkdir -p .cache; \
	for f in $$(git grep -l '^func Fuzz' -- '*_test.go'); do \
		for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$f); do \
			echo "fuzz $$(dirname $$f) $$name"; \
			go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) ./$$(dirname $$f) >.cache/fuzz 2>&1; ended=$$?; \
			cat .cache/fuzz; \
			[ $$ended -eq 0 ] && continue; \
			if grep -qx ' *context deadline exceeded' .cache/fuzz && ! grep -Eq 'Failing input|panic:|fatal error:' .cache/fuzz; then \
				echo "  (nothing was found: the error is go.dev/issue/75804)"; \
			else \
				status=1; \
			fi; \
		done; \
	done; exit $$status

clean: ## remove what was built
	rm -rf bin .cache
	go clean -testcache
