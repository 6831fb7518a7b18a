# backbeat. `make help` lists what there is.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build
.PHONY: build demo test check fuzz bench install clean help

PREFIX  ?= /usr
DESTDIR ?=
FUZZTIME ?= 30s
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)
STATICCHECK := go tool -modfile=tools/staticcheck/go.mod staticcheck

build: ## build ./backbeat (static; its version comes from git)
	CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION)' -o backbeat ./cmd/backbeat

demo: build ## two routers and a client on this machine, three failovers, no root: under a minute
	@BACKBEAT_BINARY=$(CURDIR)/backbeat go run ./test/demo

test: build ## every tier of tests that exists, without root, and what could not run
	@BACKBEAT_BINARY=$(CURDIR)/backbeat go run ./test/summary -alone '/test/(lab|netns|interop)$$' ./...

check: ## formatting, vet, staticcheck, import law, race detector on the core
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt these: $$unformatted"; exit 1; }
	go vet ./...
	$(STATICCHECK) ./...
	go test -count=1 ./test/law
	go test -count=1 -race ./vrrp ./actions ./daemon $(if $(wildcard checks/*.go),./checks)

fuzz: ## every fuzz target for FUZZTIME (30s)
	@grep -rloE --include='*_test.go' '^func Fuzz' . | while read -r file; do \
	  grep -oE '^func Fuzz[A-Za-z0-9_]*' "$$file" | while read -r _ name; do \
	    echo "== $$(dirname "$$file") $$name"; \
	    go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$file")" </dev/null; \
	  done; done

bench: build ## what clients lose with backbeat and with keepalived, the loop's speed, memory, lines
	go test -run '^$$' -bench Loop -benchmem ./daemon
	@BACKBEAT_BINARY=$(CURDIR)/backbeat go run ./test/bench

install: build ## install the binary, the unit and what it needs below DESTDIR
	install -D -m 0755 backbeat $(DESTDIR)$(PREFIX)/sbin/backbeat
	install -D -m 0644 packaging/backbeat.service $(DESTDIR)$(PREFIX)/lib/systemd/system/backbeat.service
	install -D -m 0644 packaging/sysusers.d/backbeat.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/backbeat.conf
	install -D -m 0644 packaging/tmpfiles.d/backbeat.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/backbeat.conf
	install -d -m 0755 $(DESTDIR)/etc/backbeat

clean: ## remove what was built
	rm -f backbeat
	go clean -testcache

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | expand -t 10
