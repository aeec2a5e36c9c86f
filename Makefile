# Entry point for everyday tasks. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run build test test-quick soak lint format bench reference migration clean packages lint-packages test-packages soak-packages bench-packages

SWIFT ?= swift
# libstdc++ is linked statically if the toolchain has it as an archive. Loading it dynamically would add half a
# millisecond to every start.
LINKED = $(CURDIR)/.build/linked
RELEASE = --configuration release --static-swift-stdlib -Xlinker -L$(LINKED) -Xlinker -s -Xlinker --gc-sections \
	-Xlinker --as-needed
# Leaves out SwiftPM's warnings about files of other packages: nothing here can mend them.
OWN_WARNINGS = awk '/^warning: \047/ { hide = $$2 != "\047leadpipe\047:" } !/^(warning: \047|    )/ { hide = 0 } !hide'
HANDLERS = $(notdir $(wildcard handlers/*/*))

# Packages for the product and the commands in its documentation, and additional packages for its tests.
PACKAGES = libpq-dev libcurl4-openssl-dev pkg-config postgresql pgbouncer tzdata ca-certificates curl jq
TEST_PACKAGES = libtap-parser-sourcehandler-pgtap-perl nginx-light openssl postgresql-15-pgtap procps \
	python3-aiosmtpd python3-h11 python3-pytest python3-venv strace
# Packages from PyPI: schemathesis, sqlmap and ruff. They have a Python environment of their own.
TEST_VENV = .build/test-venv

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' Makefile

run: build ## install missing packages, build, and run everything
	@exec bin/leadpipe up

build: packages ## build release executables into bin/
	@echo 'build     compiling release executables (the first time takes some minutes)'
	@mkdir -p $(LINKED) bin/handlers
	@clang=$$(dirname "$$(readlink -f "$$(command -v $(SWIFT))")")/clang; \
	archive=$$("$$clang" -print-file-name=libstdc++.a || true); \
	if [ -f "$$archive" ]; then ln -sf "$$archive" $(LINKED)/; fi
	@{ $(SWIFT) build $(RELEASE) 2>&1 1>&3 | $(OWN_WARNINGS) >&2; } 3>&1
	@out=$$($(SWIFT) build $(RELEASE) --show-bin-path 2>/dev/null); \
	install -m 755 "$$out/leadpipe" "$$out/gateway" "$$out/confine" bin/; \
	for name in $(HANDLERS); do install -m 755 "$$out/$$name" bin/handlers/; done; \
	for old in $$(cat bin/.handlers 2>/dev/null); do case " $(HANDLERS) " in *" $$old "*) ;; *) rm -f "bin/handlers/$$old" ;; esac; done; \
	echo $(HANDLERS) > bin/.handlers; \
	rm -rf bin/supabase; mkdir bin/supabase; cp -r supabase/shim.sql supabase/migrations supabase/rollback bin/supabase
	@echo 'build     done: bin/leadpipe bin/gateway bin/confine bin/handlers/'

test: test-packages build ## run all tests: modules, black-box cases, database rights, end to end
	@Tests/run

test-quick: test-packages build ## run the tests for daily work (three minutes): modules, black-box cases, database rights, deployment checklist
	@Tests/run quick

soak: test-packages soak-packages build ## run the tests that take hours: thousands of faults and kills, hostile requests, schemathesis, sqlmap
	@Tests/run soak

lint: lint-packages ## check the format of Swift and Python code
	@$(SWIFT) format lint --strict --parallel --recursive Package.swift Sources Tests gateway handlers
	@$(TEST_VENV)/bin/ruff check --quiet --no-cache
	@echo 'lint      clean'

format: lint-packages ## format Swift code and fix Python code
	@$(SWIFT) format --in-place --parallel --recursive Package.swift Sources Tests gateway handlers
	@$(TEST_VENV)/bin/ruff check --quiet --no-cache --fix

bench: bench-packages build ## run benchmarks against similar software; writes benchmarks/
	@SWIFT='$(SWIFT)' RELEASE_FLAGS='$(RELEASE)' benchmarks/run

migration: packages ## write the next migration from changes in supabase/schemas: make migration NAME=what_changes
	@PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 supabase/tools/migration.py '$(NAME)'

clean: ## remove build output; data in .leadpipe/ stays
	@rm -rf .build bin

# Installs only packages that dpkg does not report as installed. Uses sudo only if one is missing and the user is not
# root.
define install-missing
	@missing=$$(for name in $(1); do dpkg-query -W -f '$${Status}' $$name 2>/dev/null | grep -q 'install ok installed' || echo $$name; done); \
	if [ -n "$$missing" ]; then \
	  echo "packages  installing" $$missing; \
	  as_root=; [ "$$(id -u)" = 0 ] || as_root=sudo; \
	  $$as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq; \
	  $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	fi
endef

packages:
	$(call install-missing,$(PACKAGES))

BENCH_PACKAGES = gcc libc6-dev nginx-light nodejs python3-venv wrk

bench-packages: packages
	$(call install-missing,$(BENCH_PACKAGES))

lint-packages:
	$(call install-missing,python3-venv)
	@$(MAKE) --no-print-directory $(TEST_VENV)/requirements.txt

test-packages: packages
	$(call install-missing,$(TEST_PACKAGES))
	@$(MAKE) --no-print-directory $(TEST_VENV)/requirements.txt

# The copy records what was installed, so it is written last.
$(TEST_VENV)/requirements.txt: Tests/requirements.txt
	@echo 'packages  installing Tests/requirements.txt into $(TEST_VENV)'
	@rm -rf $(TEST_VENV); /usr/bin/python3 -m venv $(TEST_VENV)
	@$(TEST_VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	@cp $< $@

SOAK_PACKAGES = gcc libc6-dev slowhttptest

soak-packages: packages
	$(call install-missing,$(SOAK_PACKAGES))

reference: build ## regenerate docs/reference/ from the code
	@set -e; for page in settings routes statuses errors trust-classes log-lines; do \
	bin/leadpipe reference $$page > bin/$$page.md; mv bin/$$page.md docs/reference/$$page.md; done
