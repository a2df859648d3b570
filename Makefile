# The front door. `make` or `make help` lists what there is; every target sets up what it needs by itself.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
WB := $(BIN)/workbench

# Programs of an environment name the folder they were installed in: in a checkout that was moved or copied it is made anew,
# by the first target that needs one. Nothing is taken away by a target that needs none.
MADE_AT := $(shell cat .stamps/bootstrap 2>/dev/null)
ANEW := $(if $(filter-out $(CURDIR),$(MADE_AT)),moved,$(if $(wildcard $(BIN)/python),,missing))

# One run, other settings: make backtest STRATEGY=sma_cross SET="costs.schedule=ib_tiered walk_forward.mode=anchored"
STRATEGY ?=
SET ?=
GRID ?=
TRIALS ?=
NAME ?=
REASON ?=
override REASON := $(value REASON)
export REASON
PORT ?= 5000
CHOICES = $(foreach s,$(STRATEGY),--strategy $(s)) $(foreach s,$(SET),--set $(s))

##@ Start here
.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make \033[36m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@printf '\nFirst time: make backtest, then make ui. Another question: make new-strategy NAME=breakout.\n'

.PHONY: setup
setup: .stamps/lab ## Install everything a researcher needs into .venv, from the lock

.PHONY: doctor
doctor: .stamps/research ## Check this machine and clone, and say what to mend
	@$(WB) doctor

##@ Research
.PHONY: backtest
backtest: .stamps/research ## Walk the strategies forward, offline (STRATEGY=..., SET="section.key=value ...")
	@$(WB) backtest $(CHOICES)

.PHONY: sweep
sweep: .stamps/research ## Search a strategy's grid: the plateau, not the peak (STRATEGY=..., GRID="fast=5:50:5 ...", TRIALS=200)
	@$(WB) sweep $(STRATEGY) $(foreach g,$(GRID),--grid '$(g)') $(if $(TRIALS),--trials $(TRIALS)) $(foreach s,$(SET),--set $(s)) $(ARGS)

.PHONY: lookahead
lookahead: .stamps/research ## Check that no strategy or feature reads ahead (STRATEGY=...)
	@$(WB) lookahead $(STRATEGY) $(foreach s,$(SET),--set $(s)) $(ARGS)

.PHONY: trials
trials: .stamps/research ## Show what was tried for each question, and check that nothing was taken out
	@$(WB) trials

.PHONY: lab
lab: .stamps/lab ## Open JupyterLab on the notebooks
	@$(BIN)/jupyter lab --notebook-dir=notebooks $(ARGS)

.PHONY: ui
ui: .stamps/research ## Compare runs in the MLflow UI (PORT=5000)
	@$(WB) ui --port $(PORT)

.PHONY: report
report: .stamps/research ## Write the newest finished backtest as one HTML page (STRATEGY=...: the newest with it)
	@$(if $(SET),echo 'report: SET is left aside: nothing is run and a finished backtest has its own settings' >&2)
	@$(WB) report $(foreach s,$(STRATEGY),--strategy $(s))

.PHONY: new-strategy
new-strategy: .stamps/research ## Write a strategy, its parameters and its test (NAME=breakout)
	@$(WB) new-strategy $(NAME)

##@ Promotion
.PHONY: evidence
evidence: .stamps/research ## Make a strategy's evidence pack, and show what the gates say of it (STRATEGY=...)
	@$(WB) evidence $(STRATEGY) $(foreach s,$(SET),--set $(s)) $(ARGS)

.PHONY: promote
promote: .stamps/research ## Take the next step of a strategy: gates, champion, approvals (STRATEGY=... ARGS="--version 3")
	@$(WB) promote $(STRATEGY) $(ARGS)

.PHONY: rollback
rollback: .stamps/research ## Return to the version that stood before (STRATEGY=... ARGS="--positions reduce_only")
	@$(WB) rollback $(STRATEGY) $(ARGS)

.PHONY: status
status: .stamps/research ## Where every strategy stands, how old its evidence is and who approved
	@$(WB) status $(ARGS)

.PHONY: demo
demo: .stamps/research .stamps/live ## The whole way in simulated time: prove, promote, paper, staged live, production at a gateway, crash, stop (4 minutes)
	@$(WB) demo

##@ Trading
# What an operator types must not install anything first where a runner lives: one profile is enough, whichever it is.
READY := $(if $(ANEW),$(if $(filter moved,$(ANEW)),elsewhere,.stamps/live),$(if $(wildcard .stamps/research .stamps/live),,.stamps/live))
.PHONY: elsewhere
elsewhere:
	@echo "error: this checkout was moved or copied, its .venv is of $(MADE_AT): type this there, where the runner lives; or set it up here first: make .stamps/live" >&2
	@exit 1

.PHONY: paper
paper: .stamps/research ## Trade what stands at paper in the embedded account, in simulated time, offline (ARGS="--sessions 40")
	@$(WB) paper $(ARGS)

.PHONY: live
live: .stamps/live ## Trade through Interactive Brokers; two keys: mode in params, and the account (ARGS="--account DU…")
	@$(WB) live $(ARGS)

.PHONY: paper-drill
paper-drill: .stamps/live ## Rehearse at your own gateway, paper account only: a far-away order, a cut connection, found again, cancelled
	@$(WB) paper-drill $(ARGS)

.PHONY: parity
parity: .stamps/research ## Hold what was traded against what research says, difference by difference (STRATEGY=...)
	@$(WB) parity $(STRATEGY) $(ARGS)

.PHONY: kill
kill: $(READY) ## Stop now: halt, cancel all, close at the broker and confirm it there (REASON="...")
	@$(WB) kill --reason "$$REASON" $(ARGS)

.PHONY: flatten
flatten: $(READY) ## Close every position through the gate
	@$(WB) flatten $(ARGS)

.PHONY: resume
resume: $(READY) ## Trade again after a stop (REASON="...")
	@$(WB) resume --reason "$$REASON" $(ARGS)

.PHONY: limits
limits: $(READY) ## Show the risk limits in force
	@$(WB) limits $(ARGS)

##@ Data
.PHONY: data
data: .stamps/research ## Ingest the market into the lake and validate it
	@$(WB) data $(foreach s,$(SET),--set $(s))

.PHONY: validate
validate: .stamps/research ## Audit what is in the lake again and show what is in quarantine
	@$(WB) validate $(foreach s,$(SET),--set $(s))

##@ Quality
.PHONY: check
check: lint test ## Everything that must hold before a commit

.PHONY: lint
lint: .stamps/dev ## ruff (notebooks too), mypy strict, notebooks without outputs
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/nbstripout --verify $(shell git ls-files 'notebooks/*.ipynb' 2>/dev/null)

# A process a core and one more, for some tests wait; the tests of a file share a process and what they set up.
PROCESSES = $(shell echo $$(( $$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN) + 1 )))
PARALLEL ?= -n $(PROCESSES) --dist loadfile --no-loadscope-reorder

.PHONY: test
test: .stamps/dev ## Run the tests, a sample of the slow ones included (ARGS="-k lake")
	@$(BIN)/python -m pytest -m "not slow" $(PARALLEL) $(ARGS)

.PHONY: test-all
test-all: .stamps/dev ## Run all tests: soaks and storms too
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

.PHONY: tws-clients
tws-clients: .stamps/dev ## Fetch the TWS clients of others, for the tests that hold the simulated gateway against them
	@for client in ib_async/ib_async==2.1.0 ibapi/ibapi==9.81.1.post1 nautilus/nautilus-ibapi==10.46.1; do \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --target .tws-clients/$${client%%/*} $${client#*/}; done
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --target .tws-clients/nautilus protobuf
	@npm install --silent --prefix .tws-clients/stoqey @stoqey/ib@1.6.10 || echo 'no npm: the tests of its client skip'

.PHONY: bench
bench: .stamps/dev ## Run every benchmark at its small size, one JSON line a figure
	@for script in $(filter-out bench/pipeline.py,$(wildcard bench/*.py)); do $(BIN)/python $$script; done
	@$(BIN)/python bench/pipeline.py --small

##@ Housekeeping
.PHONY: docs
docs: .stamps/bootstrap ## Write docs/reference.md anew from the source
	@$(BIN)/python docs/reference.py

.PHONY: lock
lock: .stamps/bootstrap ## Resolve the dependencies anew and write locks/
	@$(BIN)/uv pip compile pyproject.toml $(LOCK) --all-extras -o locks/dev.lock --upgrade
	@$(BIN)/uv pip compile pyproject.toml $(LOCK) -c locks/dev.lock --extra live -o locks/live.lock
	@$(BIN)/uv pip compile pyproject.toml $(LOCK) -c locks/dev.lock --extra research -o locks/research.lock
	@$(BIN)/uv pip compile pyproject.toml $(LOCK) -c locks/dev.lock --extra research --extra lab -o locks/lab.lock
LOCK := --universal --python-version 3.11 --generate-hashes --no-header --quiet

.PHONY: clean
clean: ## Remove .venv and caches; data/ and mlruns/ stay
	rm -rf $(VENV) .stamps .mypy_cache .pytest_cache .ruff_cache .hypothesis build src/*.egg-info
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

# --- how an environment is made -----------------------------------------------------------------------------------
# Each profile contains the one before it: research < lab < dev; a live host has `live` alone. A stamp is renewed when its lock changes.
.PHONY: anew
anew:
	@$(if $(filter moved,$(ANEW)),echo "The checkout was moved or copied: .venv is set up anew.")
	@rm -rf .stamps $(VENV)

.stamps/bootstrap: locks/bootstrap.lock $(if $(ANEW),anew)
	@test -n "$(PYTHON)" || { echo "error: no python3 found; install Python 3.11 or newer" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $$("$(PYTHON)" --version) is too old; install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@mkdir -p .stamps
	@echo "Setting up .venv (once)..."
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/bootstrap.lock 2>&1 | grep -v '^WARNING' || true
	@$(BIN)/uv --version >/dev/null
	@pwd -P > $@

# uv is many times faster; pip is the way out where a mirror is set up for pip only.
define install
	@printf 'Installing %s from its lock...\n' "$*"
	@UV_FIND_LINKS="$${UV_FIND_LINKS:-$${PIP_FIND_LINKS:-}}" $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode \
	  --require-hashes -r locks/$*.lock \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/$*.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
endef

.stamps/research: .stamps/%: .stamps/bootstrap locks/%.lock pyproject.toml
	$(install)
.stamps/live: .stamps/%: .stamps/bootstrap locks/%.lock pyproject.toml
	$(install)
.stamps/lab: .stamps/%: .stamps/research locks/%.lock
	$(install)
.stamps/dev: .stamps/%: .stamps/lab locks/%.lock
	$(install)
