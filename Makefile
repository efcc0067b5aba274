# `make` alone checks and tests. `make demo` shows a call. Needs Python 3.11 or newer, nothing else.

PYTHON ?= $(or $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' \
	2>/dev/null && echo $$python && break; done),python3)
PACKAGES := server dashboard domain messaging providers sandbox storage voice
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input --quiet --quiet

# What was downloaded once is installed from here, without a network.
WHEELS ?= $(or $(XDG_CACHE_HOME),$(if $(HOME),$(HOME)/.cache,var/cache))/coccinelle/wheels

# Keys that are exported in your shell never reach a test or a benchmark.
WITHOUT_KEYS := env -u ADMIN_API_KEY -u DATABASE_URL -u ENCRYPTION_KEY -u ENCRYPTION_KEYS \
	-u JWT_SECRET -u LLM_API_KEY -u METRICS_TOKEN -u OPENAI_API_KEY -u PINECONE_API_KEY -u PINECONE_HOST \
	-u STT_API_KEY -u TTS_API_KEY -u TWILIO_ACCOUNT_SID -u TWILIO_AUTH_TOKEN -u VAPI_API_KEY \
	-u VAPI_WEBHOOK_SECRET -u WHATSAPP_360DIALOG_CLIENT_SECRET \
	-u WHATSAPP_360DIALOG_PLATFORM_SECRET -u WHATSAPP_APP_SECRET -u WHATSAPP_VERIFY_TOKEN

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: all setup check fix docs test long demo bench bench-agenda bench-texts faults recall kill lock clean

all: check test

# ------------------------------------------------------------------------------------- install
# Offline from $(WHEELS) when it holds all of it; otherwise downloaded first (into a directory of
# its own, so that nobody installs half a file), then installed. Every file is checked by its hash.
# The locks are complete, so nothing is left to resolve; byte code is made when it is needed.
FROM_WHEELS = $(PIP) install --no-index --find-links "$(WHEELS)" --no-deps --no-compile \
	--require-hashes -r $(1)
define install
@echo "Installing $(1) into $(VENV)"
@$(FROM_WHEELS) >/dev/null 2>&1 || { \
	mkdir -p "$(WHEELS)" && new=$$(mktemp -d "$(WHEELS)/new.XXXXXX") && \
	{ $(PIP) download --no-deps --require-hashes --dest "$$new" -r $(1) && \
	mv -f "$$new"/* "$(WHEELS)"; status=$$?; rm -rf "$$new"; [ $$status -eq 0 ]; } && \
	$(FROM_WHEELS); }
endef

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 to 3.14 is needed; this is %d.%d. Name another one: make PYTHON=python3.11" % sys.version_info[:2] if not (3, 11) <= sys.version_info < (3, 15) else 0)'
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.run: requirements/run.txt pyproject.toml $(VENV)/.made
	$(call install,requirements/run.txt)
	@$(PIP) install --no-index --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: requirements/test.txt $(VENV)/.run
	$(call install,requirements/test.txt)
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.test
	$(call install,requirements/dev.txt)
	@touch $@

# Whoever runs the server may not be allowed to write here: everything is compiled beforehand.
$(VENV)/.compiled: $(VENV)/.run
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib $(PACKAGES)
	@touch $@

setup: $(VENV)/.compiled ## .venv with all that the server needs

# --------------------------------------------------------------------------------- every day
demo: $(VENV)/.run ## a call, live, against emulated vendors; FAULT=vapi-dies: one breaks down
	@$(BIN)/coccinelle demo $(if $(FAULT),--fault $(FAULT))

test: $(VENV)/.test ## everything but the minutes-long ones
	@$(WITHOUT_KEYS) -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest -n 6 --dist loadfile -m "not long"

long: $(VENV)/.test ## a thousand calls leak nothing
	@$(WITHOUT_KEYS) $(BIN)/python -m pytest -m long --timeout 3600

kill: $(VENV)/.test ## nodes that die under calls: nothing lost, and how long callers hear nothing
	@$(WITHOUT_KEYS) $(BIN)/python -m benchmarks.kill $(ARGS)

bench: $(VENV)/.test ## the figures of benchmarks/
	@$(WITHOUT_KEYS) $(BIN)/python -m benchmarks.bench $(ARGS)

bench-agenda: $(VENV)/.test ## free slots of a month and of a year, and for how long they keep the loop
	@$(WITHOUT_KEYS) $(BIN)/python -m benchmarks.agenda

bench-texts: $(VENV)/.test ## how long senders of texts wait for their acknowledgement
	@$(WITHOUT_KEYS) $(BIN)/python -m benchmarks.texts $(ARGS)

faults: $(VENV)/.test ## every breakdown of a vendor at every moment of a call; ARGS="--only cut"
	@$(WITHOUT_KEYS) $(BIN)/python -m benchmarks.faults $(ARGS)

recall: $(VENV)/.test ## what searches find; Pinecone's with PINECONE_API_KEY and PINECONE_HOST
	@$(BIN)/python -m benchmarks.recall $(ARGS)

check: $(VENV)/.dev ## style, types, who imports whom
	@$(BIN)/ruff format --quiet --check . || { echo "make fix puts it in form"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --config pyproject.toml

fix: $(VENV)/.dev docs ## what a machine can put right
	@$(BIN)/ruff check --quiet --fix . || true
	@$(BIN)/ruff format --quiet .

docs: $(VENV)/.run ## the pages that are made from the code
	@$(BIN)/coccinelle settings --markdown > docs/settings.md.new && mv docs/settings.md.new docs/settings.md
	@$(BIN)/coccinelle settings --env > .env.example.new && mv .env.example.new .env.example

# --------------------------------------------------------------------------------------- lock
# One set of versions for 3.11 to 3.14, with hashes and without the address of any index. `wheel`
# and `setuptools` are in it so that we install ourselves without a network. Each file is
# constrained by the one before it.
UV := var/lock/bin/uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header

$(UV):
	@$(PYTHON) -m venv var/lock
	@var/lock/bin/python -m pip --disable-pip-version-check --quiet --quiet install uv

lock: $(UV) ## requirements/*.txt from pyproject.toml; UPGRADE=--upgrade for newer versions
	@printf 'setuptools>=80\nwheel\n' > var/lock/build.in
	@$(COMPILE) $(UPGRADE) pyproject.toml var/lock/build.in -o requirements/run.txt
	@$(COMPILE) $(UPGRADE) pyproject.toml var/lock/build.in --group test \
		-c requirements/run.txt -o requirements/test.txt
	@$(COMPILE) $(UPGRADE) pyproject.toml var/lock/build.in --group test --group dev \
		-c requirements/test.txt -o requirements/dev.txt
	@! grep -nE 'https?://|--(extra-)?index-url|--find-links' requirements/*.txt

clean: ## everything that was made, but not var/: that is your data
	@rm -rf $(VENV) var/lock build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
