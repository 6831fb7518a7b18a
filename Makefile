# backbeat. `make help` lists what there is.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build
.PHONY: build demo test nightly check fuzz bench install uninstall clean help

PREFIX  ?= /usr
DESTDIR ?=
FUZZTIME ?= 30s
# What install installs, and asks for its completions.
BINARY  ?= ./backbeat
# Where the distribution's own zsh looks: Debian's has a directory of its own below /usr.
ZSH_COMPLETIONS ?= $(PREFIX)/share/zsh/$(if $(and $(filter /usr,$(PREFIX)),$(wildcard /etc/debian_version)),vendor-completions,site-functions)
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null)
STATICCHECK := go tool -modfile=tools/staticcheck/go.mod staticcheck

build: ## build ./backbeat (static; its version comes from git)
	CGO_ENABLED=0 go build -trimpath -ldflags '-X main.version=$(VERSION)' -o backbeat ./cmd/backbeat

demo: build ## two routers and a client on this machine, three failovers, no root: under a minute
	@BACKBEAT_BINARY=$(CURDIR)/backbeat go run ./test/demo

test: build ## every tier of tests that exists, without root, and what could not run
	@BACKBEAT_BINARY=$(CURDIR)/backbeat go run ./test/summary -alone '(/actions/agent|/checks/probe|/test/(lab|netns|interop|services|stories|systemd|chaos))$$' \
	  -again '(/actions/(agent|run|address.*|announce|advertise)|/checks/probe|/vrrp/wire|/daemon/control|/test/(lab|netns|interop|services|stories|systemd|chaos))$$' ./...

check: ## formatting, vet, staticcheck, import law, race detector on the core
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt these: $$unformatted"; exit 1; }
	go vet ./...
	$(STATICCHECK) ./...
	go test -count=1 ./test/law
	go test -count=1 -race ./vrrp ./checks ./actions ./daemon

# Seeds are of the day, so that every night sees others; a failure prints its own.
nightly: build ## 500 random faults on real daemons, a million simulated histories: an hour or two
	BACKBEAT_BINARY=$(CURDIR)/backbeat go test -count=1 -timeout 2h -v -run 'TestChaos$$' ./test/chaos -faults 500 -first-seed $$(date +%Y%m%d00)
	go test -count=1 -timeout 12h -v -run TestRandomHistories ./test/sim -histories 1000000 -first-seed $$(date +%Y%m%d0000000)

fuzz: ## every fuzz target for FUZZTIME (30s)
	@grep -rloE --include='*_test.go' '^func Fuzz' . | while read -r file; do \
	  grep -oE '^func Fuzz[A-Za-z0-9_]*' "$$file" | while read -r _ name; do \
	    echo "== $$(dirname "$$file") $$name"; \
	    go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$file")" </dev/null; \
	  done; done

bench: build ## what clients lose with backbeat and with keepalived, the loop's speed, memory, lines
	go test -run '^$$' -bench 'Loop|Memory|Interruption' -benchmem ./daemon
	@BACKBEAT_BINARY=$(CURDIR)/backbeat go run ./test/bench

# No prerequisite: root need not have go, nor own what `make` has built. The
# unit names the binary by its path, so PREFIX goes into it.
install: ## install binary, unit, completions, examples below DESTDIR and PREFIX (/usr); `make` first
	@test -x $(BINARY) || { echo "there is no $(BINARY) to install: run make first (as yourself, with go in PATH)" >&2; exit 1; }
	install -D -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/backbeat
	$(BINARY) completion bash | install -D -m 0644 /dev/stdin $(DESTDIR)$(PREFIX)/share/bash-completion/completions/backbeat
	$(BINARY) completion zsh | install -D -m 0644 /dev/stdin $(DESTDIR)$(ZSH_COMPLETIONS)/_backbeat
	$(BINARY) completion fish | install -D -m 0644 /dev/stdin $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/backbeat.fish
	sed 's|/usr/bin/backbeat|$(PREFIX)/bin/backbeat|' packaging/backbeat.service | install -D -m 0644 /dev/stdin $(DESTDIR)$(PREFIX)/lib/systemd/system/backbeat.service
	install -D -m 0644 packaging/sysusers.d/backbeat.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/backbeat.conf
	install -D -m 0644 packaging/tmpfiles.d/backbeat.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/backbeat.conf
	install -d -m 0755 $(DESTDIR)/etc/backbeat
	test -e $(DESTDIR)/etc/default/backbeat || install -D -m 0644 packaging/backbeat.default $(DESTDIR)/etc/default/backbeat
	install -D -m 0644 packaging/hardened.conf $(DESTDIR)$(PREFIX)/share/doc/backbeat/hardened.conf
	for f in docs/*.md docs/*/*.md; do install -D -m 0644 "$$f" "$(DESTDIR)$(PREFIX)/share/doc/backbeat/$$f"; done
	for f in examples/*/*.hcl; do install -D -m 0644 "$$f" "$(DESTDIR)$(PREFIX)/share/doc/backbeat/$$f"; done

uninstall: ## remove what install has put there, but no configuration and no history
	@if test -z "$(DESTDIR)" && systemctl --quiet is-active backbeat 2>/dev/null; then \
	  echo "backbeat is running: systemctl disable --now backbeat first" >&2; exit 1; fi
	rm -f $(DESTDIR)$(PREFIX)/bin/backbeat $(DESTDIR)$(PREFIX)/lib/systemd/system/backbeat.service
	rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/backbeat $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/backbeat.fish
	rm -f $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_backbeat $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_backbeat $(DESTDIR)$(ZSH_COMPLETIONS)/_backbeat
	rm -f $(DESTDIR)$(PREFIX)/lib/sysusers.d/backbeat.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/backbeat.conf
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/backbeat/examples $(DESTDIR)$(PREFIX)/share/doc/backbeat/docs $(DESTDIR)$(PREFIX)/share/doc/backbeat/hardened.conf
	@for d in $(DESTDIR)$(PREFIX)/share/doc/backbeat $(DESTDIR)/etc/backbeat; do rmdir "$$d" 2>/dev/null || true; done
	@if cmp -s packaging/backbeat.default $(DESTDIR)/etc/default/backbeat; then rm $(DESTDIR)/etc/default/backbeat; fi
	@echo "left alone, where they are: /etc/backbeat, /etc/default/backbeat, /var/lib/backbeat, the group and the account backbeat"

clean: ## remove what was built
	rm -f backbeat
	go clean -testcache

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## /\1\t/' | expand -t 10
