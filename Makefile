# One command each; every target makes what is missing first, and nothing twice.
PY := .venv/bin/python
HOTLINE := .venv/bin/hotline

# Without compiled code every process, and each test starts some, compiles the whole service anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo run test test-all table soak lint bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   set everything up and play the main job on a real Asterisk with SIP phones"
	@echo "make test   set everything up, check the code and run all tests"
	@echo "make run    the service with a private Asterisk, until Ctrl-C"
	@echo "make lint   ruff and mypy --strict"
	@echo "make bench  the figures, beside peers in the same run"
	@echo "make test-all  make test, and the service killed and cut off at every state of every hand-over"
	@echo "make table  the table of hand-overs that the tests fill"
	@echo "make soak   random calls, kills and link cuts: make soak SECONDS=1800 SEED=1"

.venv/.ready: requirements.lock pyproject.toml scripts/setup-python
	@scripts/setup-python

setup: .venv/.ready
	@$(PY) -m telephony.asterisk_program

demo: setup
	@$(HOTLINE) demo $(ARGS)

run: setup
	@$(HOTLINE) run $(ARGS)

lint: .venv/.ready
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

test: setup lint
	@scripts/setup-browser
	@scripts/test $(ARGS)

test-all: export SWEEP_ALL = 1
test-all: test

table: .venv/.ready
	@$(PY) -m tests.handovers.show

SECONDS ?= 1800
SEED ?= 1
soak: setup
	@$(PY) -m bench.soak $(SECONDS) $(SEED)

bench: setup
	@$(PY) -m bench $(ARGS)

# An Asterisk unpacked by an ordinary user belongs to that user's subordinate ids.
clean:
	@rm -rf .venv
	@rm -rf .cache 2>/dev/null \
	  || { mmdebstrap --unshare-helper rm -rf "$(CURDIR)"/.cache/asterisk-root*; rm -rf .cache; } 2>/dev/null \
	  || { echo "clean: $(CURDIR)/.cache is not gone; whoever ran the set-up can remove it, or as root: rm -rf $(CURDIR)/.cache" >&2; exit 1; }
