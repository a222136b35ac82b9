# One line of `make help` for each target: the comment behind its name.

PREFIX ?= /usr/local
DESTDIR ?=
CARGO ?= cargo
PYTHON ?= python3
# Where cargo puts what it builds.
OUT := $(or $(CARGO_TARGET_DIR),target)

# What --version says; a clone of nothing but the files is "unknown".
export BUILD_COMMIT ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
export BUILD_DATE ?= $(shell git log -1 --format=%cs 2>/dev/null || echo unknown)

BIN := $(DESTDIR)$(PREFIX)/bin
SHARE := $(DESTDIR)$(PREFIX)/share/weightless
UNITS := $(DESTDIR)$(PREFIX)/lib/systemd/system
DOC := $(DESTDIR)$(PREFIX)/share/doc/weightless
# Manual pages and completions, made by the programs themselves.
PAGES := $(OUT)/release/pages
MAN := $(DESTDIR)$(PREFIX)/share/man
BASH := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH := $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISH := $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d

.DEFAULT_GOAL := build
.PHONY: help build run demo test test-tools check bench bench-compare bench-create bench-transfer bench-growth bench-accounts bench-disk bench-registry install uninstall deb clean

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build weightless and wl for use, into target/release; what make does when nothing is named
	$(CARGO) build --release --locked -p weightless
	# On its own: built together with the daemon, wl would share the daemon's features, SQLite among them.
	$(CARGO) build --release --locked -p wl
	@mkdir -p $(PAGES)
	$(OUT)/release/weightless --man > $(PAGES)/weightless.8
	$(OUT)/release/wl help --man > $(PAGES)/wl.1
	@for shell in bash zsh fish; do $(OUT)/release/wl completions $$shell > $(PAGES)/wl.$$shell || exit 1; done

run: build ## build, then start a tracker on http 8080 and udp 1337 with ./weightless.db
	@printf '%s\n' '' \
	  'Starting a tracker. When it says "live", open a second terminal here and register something:' \
	  '' \
	  '    $(OUT)/release/wl create path/to/your/data' \
	  '' \
	  'It writes a .torrent file for any BitTorrent client to seed, and prints a magnet link to share.' \
	  'Settings: $(OUT)/release/weightless --help. Stop with Ctrl-C.' ''
	@exec $(OUT)/release/weightless

demo: build ## a tracker, a publisher and a downloader on this machine, step by step; leaves nothing behind
	@docs/demo.sh $(OUT)/release

test: test-tools ## run every test; installs what is missing for that (python venv, aria2)
	@printf '\n== build: wl, which the tests start ==\n'
	$(CARGO) build --locked -p wl
	@printf '\n== unit and integration tests, real clients included ==\n'
	WL_TEST_PYTHON="$(CURDIR)/.venv/bin/python" WL_TEST_NODE_MODULES="$(CURDIR)/.venv/node_modules" \
	  $(CARGO) test --locked --workspace --no-fail-fast
	@printf '\n== make test: everything passed ==\n'

# Real clients, from PyPI and Debian, each only if it is not there yet.
test-tools:
	@printf '\n== tools the tests need ==\n'
	@tests/tools.sh "$(PYTHON)" .venv

check: ## what must hold before a push: format, lints, docs, floors, no database in wl
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps
	@tree=$$($(CARGO) tree --locked -p wl -e normal) || exit 1; \
	  if echo "$$tree" | grep rusqlite; then echo 'wl must not link a database'; exit 1; fi
	$(CARGO) test --locked --test floors

bench: ## run the benchmarks
	$(CARGO) bench --locked --workspace

bench-compare: ## the same load for us, for other trackers and for bare servers; QUICK=1 for a first look
	@bench/compare.sh
	@bench/create.sh
	@bench/transfer.sh

bench-create: ## how fast torrents are made and checked, beside libtorrent; QUICK=1 for a first look
	@bench/create.sh

bench-transfer: ## how fast data is downloaded and seeded, beside libtorrent and aria2; QUICK=1 for a first look
	@bench/transfer.sh

bench-growth: ## what an announce costs in small and large tables, and its latency while the table changes
	@bench/growth.sh

bench-accounts: ## what passkeys and accounting add to an announce over UDP; QUICK=1 for a first look
	@bench/accounts.sh

bench-disk: ## what the daemon writes to disk in an hour, and how long a start takes
	@bench/disk.sh

bench-registry: ## searches over a million rows, and announces beside searches and uploads; QUICK=1 for a first look
	@bench/registry.sh

install: ## install below PREFIX (/usr/local), inside DESTDIR if set; builds nothing
	@test -x $(OUT)/release/weightless -a -x $(OUT)/release/wl -a -f $(PAGES)/wl.fish || { echo 'nothing is built: run make first'; exit 1; }
	install -Dm755 $(OUT)/release/weightless $(BIN)/weightless
	install -Dm755 $(OUT)/release/wl $(BIN)/wl
	ln -sf weightless $(BIN)/pico-tracker
	install -d $(UNITS)
	sed 's|@BIN@|$(PREFIX)/bin|g' packaging/weightless.service > $(UNITS)/weightless.service
	sed 's|@BIN@|$(PREFIX)/bin|g' packaging/wl-serve@.service > $(UNITS)/wl-serve@.service
	chmod 644 $(UNITS)/weightless.service $(UNITS)/wl-serve@.service
	sed 's|@BIN@|$(PREFIX)/bin|g; s|@SHARE@|$(PREFIX)/share/weightless|g' packaging/weightless-litestream > $(BIN)/weightless-litestream
	chmod 755 $(BIN)/weightless-litestream
	install -Dm644 packaging/litestream.yml $(SHARE)/litestream.yml
	install -Dm644 LICENSE $(DOC)/LICENSE
	install -Dm644 $(PAGES)/wl.1 $(MAN)/man1/wl.1
	install -Dm644 $(PAGES)/weightless.8 $(MAN)/man8/weightless.8
	install -Dm644 $(PAGES)/wl.bash $(BASH)/wl
	install -Dm644 $(PAGES)/wl.zsh $(ZSH)/_wl
	install -Dm644 $(PAGES)/wl.fish $(FISH)/wl.fish

uninstall: ## remove what install put there
	rm -f $(BIN)/weightless $(BIN)/wl $(BIN)/pico-tracker $(UNITS)/weightless.service $(UNITS)/wl-serve@.service $(DOC)/LICENSE
	rm -f $(BIN)/weightless-litestream $(SHARE)/litestream.yml
	rm -f $(MAN)/man1/wl.1 $(MAN)/man8/weightless.8 $(BASH)/wl $(ZSH)/_wl $(FISH)/wl.fish
	rmdir --ignore-fail-on-non-empty $(DOC) $(SHARE) $(UNITS) 2>/dev/null || true

deb: build ## a Debian package for the processor this runs on, into target/deb
	@packaging/deb.sh $(OUT)

clean: ## remove what was built, and the python venv of the tests
	$(CARGO) clean
	rm -rf .venv
