# Entry point for everyday tasks. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help drill release screenshots panel-packages browser-packages run build lambda lambda-executables test test-quick browsers previous-release fresh-root postgresql soak drill-ha lint format bench reference migration clean packages lint-packages test-packages soak-packages bench-packages lambda-packages

SWIFT ?= swift
# What executables link from archives, so that they need only glibc at run time: libstdc++, the unwinder of libgcc, libpq
# with TLS, libcurl. Each shared library less makes every start a little faster; libpq's and its 22 more cost 3 ms.
LINKED = $(CURDIR)/.build/linked
RELEASE = --configuration release --static-swift-stdlib -Xlinker -L$(LINKED) -Xlinker -s -Xlinker --gc-sections \
	-Xlinker --as-needed -Xlinker -lgcc_eh
# SwiftPM asks these descriptions for the flags of libpq and libcurl.
build bench: export PKG_CONFIG_PATH = $(LINKED)/pkgconfig
# Leaves out SwiftPM's warnings about files of other packages: nothing here can mend them.
OWN_WARNINGS = awk '/^warning: \047/ { hide = $$2 != "\047leadpipe\047:" } !/^(warning: \047|    )/ { hide = 0 } !hide'
HANDLERS = $(notdir $(wildcard handlers/*/*))
# The executables that contain them: handlers/NAME.swift lists the handlers in each.
EXECUTABLES = $(basename $(notdir $(wildcard handlers/*.swift)))

# Packages for the product and the commands in its documentation, and additional packages for its tests.
PACKAGES = libstdc++-12-dev libpq-dev libssl-dev libcurl4-openssl-dev zlib1g-dev pkg-config postgresql pgbouncer tzdata ca-certificates curl jq $(EXPORT_PACKAGES)
# Exports as XLSX and PDF: the headers for the build, and what the handler loads when it needs it. Nothing links them.
EXPORT_PACKAGES = libxlsxwriter-dev libxlsxwriter4 libpango1.0-dev libpangocairo-1.0-0 fontconfig fonts-dejavu-core
TEST_PACKAGES = apache2-bin binutils fcgiwrap iproute2 libtap-parser-sourcehandler-pgtap-perl lighttpd nginx-light openssl \
	postgresql-15-pgtap procps poppler-utils prometheus python3-aiosmtpd python3-h11 python3-openpyxl python3-pytest python3-venv strace systemd
# Packages from PyPI: schemathesis, sqlmap and ruff. They have a Python environment of their own.
TEST_VENV = .build/test-venv
# Playwright. It uses Debian's pytest, so that the harness is the same as in the other tests.
PANEL_VENV = .build/panel-venv

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' Makefile

run: build ## install missing packages, build, and run everything
	@exec bin/leadpipe up

build: packages ## build release executables into bin/
	@echo 'build     compiling release executables (the first time takes some minutes)'
	@mkdir -p $(LINKED) bin/handlers
	@clang=$$(dirname "$$(readlink -f "$$(command -v $(SWIFT))")")/clang; \
	for name in libstdc++.a libgcc_eh.a; do archive=$$("$$clang" -print-file-name=$$name || true); \
	if [ -f "$$archive" ]; then ln -sf "$$archive" $(LINKED)/; fi; done; \
	tools/archives/prepare $(LINKED) "$$clang"
	@{ $(SWIFT) build $(RELEASE) 2>&1 1>&3 | $(OWN_WARNINGS) >&2; } 3>&1
	@out=$$($(SWIFT) build $(RELEASE) --show-bin-path 2>/dev/null); \
	install -m 755 "$$out/leadpipe" "$$out/gateway" "$$out/confine" "$$out/leadpipe-cgi" bin/; \
	for executable in $(EXECUTABLES); do \
	  install -m 755 "$$out/handlers-$$executable" bin/handlers/.built; \
	  for name in $$(sed -n 's/.*"\(.*\)": {.*/\1/p' handlers/$$executable.swift); do ln -f bin/handlers/.built "bin/handlers/$$name"; done; \
	  rm bin/handlers/.built; \
	done; \
	for old in $$(cat bin/.handlers 2>/dev/null); do case " $(HANDLERS) " in *" $$old "*) ;; *) rm -f "bin/handlers/$$old" ;; esac; done; \
	echo $(HANDLERS) > bin/.handlers; \
	bin/leadpipe routes --write; \
	rm -rf bin/supabase; mkdir bin/supabase; cp -r supabase/shim.sql supabase/migrations supabase/rollback bin/supabase
	@mkdir -p bin/web; tools/panel/build web/panel bin/web/panel; tools/chatbot/build web/chatbot web/demo bin/web/chatbot
	@echo 'build     done: bin/leadpipe bin/gateway bin/confine bin/leadpipe-cgi bin/handlers/'

lambda-executables: build ## link handlers and leadpipe into .build/lambda/ without any shared library: for AWS Lambda
	@out=$$($(SWIFT) build $(RELEASE) --show-bin-path 2>/dev/null); \
	tools/archives/link-static .build/lambda "$$out" $(LINKED) "$$(dirname "$$(readlink -f "$$(command -v $(SWIFT))")")/swiftc" leadpipe $(EXECUTABLES:%=handlers-%)
	@echo 'lambda    done: .build/lambda/'

test: test-packages panel-packages build ## run all tests: modules, black-box cases, database rights, end to end
	@Tests/run

test-quick: test-packages build ## run the tests for daily work (three minutes): modules, black-box cases, database rights, deployment checklist
	@Tests/run quick

screenshots: panel-packages ## write the pictures of the panel to docs/images/; needs a finished `make build`
	@PYTHONDONTWRITEBYTECODE=1 $(PANEL_VENV)/bin/python -m pytest -c Tests/pytest.ini Tests/Panel/screenshots.py

browsers: panel-packages browser-packages build ## run the core tests of panel and chatbot in Firefox and WebKitGTK
	@Tests/run browsers

previous-release: test-packages build ## run the executables of the release before, with their tests, on the newest schema (minutes)
	@Tests/previous-release

fresh-root: test-packages soak-packages build ## run README's commands in a fresh Debian root, and install the package in another (root, ten minutes)
	@Tests/run fresh-root

postgresql: test-packages build ## run the tests of migrations, rights and capture on PostgreSQL 16 and 18 (from PyPI; minutes)
	@Tests/postgresql

soak: test-packages soak-packages build ## run the tests that take hours: thousands of faults and kills, hostile requests, schemathesis, sqlmap
	@Tests/run soak

drill: panel-packages build ## break things on purpose and show what an operator sees: providers, worker, database, load, disk, clock
	@Tests/run drill

drill-ha: test-packages ## kill, cut off and freeze the primary of a Patroni cluster 20 times under load (root, 10 to 20 minutes); needs a finished `make build`
	@Tests/HighAvailability/install
	@Tests/run failover

lint: lint-packages ## check the format of Swift and Python code
	@$(SWIFT) format lint --strict --parallel --recursive Package.swift Sources Tests gateway handlers
	@$(TEST_VENV)/bin/ruff check --quiet --no-cache
	@echo 'lint      clean'

format: lint-packages ## format Swift code and fix Python code
	@$(SWIFT) format --in-place --parallel --recursive Package.swift Sources Tests gateway handlers
	@$(TEST_VENV)/bin/ruff check --quiet --no-cache --fix

bench: bench-packages panel-packages build ## run benchmarks against similar software; writes benchmarks/
	@SWIFT='$(SWIFT)' RELEASE_FLAGS='$(RELEASE)' benchmarks/run

migration: packages ## write the next migration from changes in supabase/schemas: make migration NAME=what_changes
	@PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 supabase/tools/migration.py '$(NAME)'

release: build ## make a tarball, a Debian package, an SBOM and SHA256SUMS in .build/release-archives/
	@SWIFT='$(SWIFT)' tools/release/build .build/release-archives

lambda: lambda-packages lambda-executables ## build a zip for each handler and the worker, for AWS Lambda: .build/lambda/
	@PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 deploy/aws/build.py $(NAMES)

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

panel-packages:
	$(call install-missing,chromium python3-pytest python3-aiosmtpd python3-venv fonts-noto-core)
	@$(MAKE) --no-print-directory $(PANEL_VENV)/requirements.txt

browser-packages:
	$(call install-missing,firefox-esr webkit2gtk-driver xvfb)

# The copy records what was installed, so it is written last.
$(PANEL_VENV)/requirements.txt: Tests/Panel/requirements.txt
	@echo 'packages  installing Tests/Panel/requirements.txt into $(PANEL_VENV)'
	@rm -rf $(PANEL_VENV); /usr/bin/python3 -m venv --system-site-packages $(PANEL_VENV)
	@$(PANEL_VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	@cp $< $@

$(TEST_VENV)/requirements.txt: Tests/requirements.txt
	@echo 'packages  installing Tests/requirements.txt into $(TEST_VENV)'
	@rm -rf $(TEST_VENV); /usr/bin/python3 -m venv $(TEST_VENV)
	@$(TEST_VENV)/bin/pip install --quiet --disable-pip-version-check -r $<
	@cp $< $@

lambda-packages: packages
	$(call install-missing,binutils)

# mmdebstrap makes the Debian roots of `make fresh-root`.
SOAK_PACKAGES = gcc libc6-dev mmdebstrap slowhttptest

soak-packages: packages
	$(call install-missing,$(SOAK_PACKAGES))

reference: build ## regenerate docs/reference/ from the code
	@set -e; for page in settings routes statuses errors trust-classes log-lines; do \
	bin/leadpipe reference $$page > bin/$$page.md; mv bin/$$page.md docs/reference/$$page.md; done; \
	bin/leadpipe lambda-template > bin/template.yaml; mv bin/template.yaml deploy/aws/template.yaml
