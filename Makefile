# Every target sets up what it needs. Prerequisites: python3 (3.11 or newer, with venv) and make.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
UV := .tools/bin/uv
PORT ?= 8000
ARGS ?=
LIFTED ?=
# A port: Envoy listens there, in front of what `make run` starts.
GATEWAY ?=
# The machine's certificates first, as pip does; uv's own where the machine has none.
define install
	@UV_SYSTEM_CERTS=1 $(UV) pip install --python $(BIN)/python --require-hashes $(1) \
		|| $(UV) pip install --python $(BIN)/python --require-hashes $(1)
endef
# Tests of the relay take all events that are due; two processes on one stack would take each other's. So each has its own.
TEST_STACKS ?= $(if $(ARGS),1,2)
test-names = test $(foreach number,$(wordlist 2,$(TEST_STACKS),1 2 3 4),test-$(number))
test-workers = --dist loadfile --no-loadscope-reorder $(foreach name,$(test-names),--tx "popen//python=$(BIN)/python -m landcontracts.embedded attach --name $(name) -- $(BIN)/python")
# Dozens of processes start in a run: what one has compiled the next one reads. Beside the tree, not in it, so that it is
# written even where the environment forbids compiled files in trees: without them each start takes three times as long.
export PYTHONPYCACHEPREFIX := $(CURDIR)/build/pycache
unexport PYTHONDONTWRITEBYTECODE
# For commands that import the settings and connect to nothing.
NOWHERE := SECRET_KEY=x SEAM_MASTER_SECRETS=x COMMAND_DIGEST_SECRET=x REFRESH_TOKEN_SECRET=x JWT_SIGNING_KEY=x \
	DATABASE_URL=postgres://x/x REDIS_URL=redis://x S3_ACCESS_KEY=x S3_SECRET_KEY=x

# A variable given to make is not the programs': SERVICE would narrow the platform to one.
unexport SERVICE

.PHONY: app bench blueprint boundaries check clean dashboards demo docs drill-canary drill-kill drill-lift drill-move drill-slow format gateway help lint lock manage messages mutants pacts run sample setup setup-dev sim-judge test test-all types wire

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  \1\t/' | expand -t 16

demo: setup ## Play one whole land sale through the public API and write build/demo.json
	@$(BIN)/python -m landcontracts.embedded demo

# Without ARGS: everything but the modules marked `slow`, a dozen at most. With ARGS: what they name.
test: setup-dev ## Run the tests but those of minutes (ARGS="-k name" for some, slow or not)
	$(call run-tests,$(if $(ARGS),$(ARGS),-m "not slow"))

test-all: setup-dev ## Run all tests
	$(call run-tests,$(ARGS))

define run-tests
	@ARGON2_TIME_COST=1 ARGON2_MEMORY_KIB=64 $(BIN)/python -m landcontracts.embedded exec --web --stacks $(TEST_STACKS) -- \
		$(BIN)/pytest $(if $(filter-out 1,$(TEST_STACKS)),$(test-workers)) $(1)
endef

run: $(if $(GATEWAY),setup-dev,setup) ## Start everything with demo people and sales in it; Ctrl-C stops it (PORT=8000, LIFTED=documents,signatures, GATEWAY=8080)
	@$(BIN)/python -m landcontracts.embedded run --port $(PORT) --lifted "$(LIFTED)" $(if $(GATEWAY),--gateway $(GATEWAY))

gateway: setup-dev ## Render the committed configurations of Kong and Envoy from the route table
	@$(NOWHERE) $(BIN)/python manage.py gateway render kong --output migrations_playbook/gateway/kong.yml
	@$(NOWHERE) $(BIN)/python manage.py gateway render envoy --output migrations_playbook/gateway/envoy.yaml

valkey-users: setup-dev ## Write Valkey's users, one for each kind of process, for containers
	@$(BIN)/python -m landcontracts.valkey > migrations_playbook/compose/users.acl

manage: setup ## Run a management command on what `make run` started (ARGS="extraction documents remote 5")
	@$(BIN)/python -m landcontracts.embedded attach -- $(BIN)/python manage.py $(ARGS)

check: setup-dev lint types boundaries docs test-all sample ## Everything that CI runs

bench: setup-dev ## Measure, side by side, into build/bench.json
	@mkdir -p build && $(BIN)/python -m landcontracts.embedded exec --name bench -- $(BIN)/python -m benchmarks

drill-lift: setup-dev ## Lift every service out and back under load, killing it at each step (SERVICE=documents for one)
	@$(BIN)/python -m tests.drills $(SERVICE)

drill-move: setup-dev ## Move every service's data to a database of its own and back under load (SERVICE=contracts for one)
	@$(BIN)/python -m tests.drills.move $(SERVICE)

drill-kill: setup-dev ## Kill every process that takes part in a cutover or rollback, at each step and at random, 200 times (SERVICE=contracts, ARGS="--seed 1")
	@$(BIN)/python -m tests.drills.kill $(SERVICE) $(ARGS)

drill-canary: setup-dev ## Lead canaries of healthy and broken services under load (SERVICE=contracts, CASES=healthy,errors-5, ARGS="--times 5")
	@$(BIN)/python -m tests.drills.canary $(SERVICE) $(if $(CASES),--cases $(CASES)) $(ARGS)

drill-slow: setup-dev ## Slow strangers, large verifications and overload, while others are measured
	@$(BIN)/python -m tests.drills.slow $(ARGS)

sim-judge: setup-dev ## Simulate thousands of rollouts before the canary's judge and its peers, into build/sim-judge.json (ARGS="--seed 2 --count 200")
	@$(BIN)/python -m benchmarks.judge $(ARGS)

mutants: setup-dev ## Change the rules of an app one by one and see that its tests notice (APP=contracts; ARGS="--sample 30"); goes on where it was
	@ARGON2_TIME_COST=1 ARGON2_MEMORY_KIB=64 QUIET=1 $(BIN)/python -m landcontracts.embedded exec --name mutants$(addprefix -,$(firstword $(APP))) --web -- $(BIN)/python -m tests.mutants $(APP) $(ARGS)

app: setup-dev ## Make a new bounded app, registered everywhere (NAME=surveys, TITLE="Surveys", TITLE_RU="Обследования")
	@$(NOWHERE) $(BIN)/python -m landcontracts.scaffold "$(NAME)" --title "$(TITLE)" --title-ru "$(TITLE_RU)"
	@$(NOWHERE) $(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations -v 0 $(NAME)
	@$(BIN)/ruff check -q --fix --select I . && $(BIN)/ruff format -q .
	@$(MAKE) --no-print-directory messages blueprint wire gateway valkey-users pacts

# Of the targets whose tests take seconds, in two processes. The same thirty until a rule changes.
SAMPLED := "contracts workflow notifications relay" "authentication signatures documents documents_logic signing"
sample: setup-dev ## Thirty mutants, as CI tries them
	@for targets in $(SAMPLED); do \
		$(MAKE) --no-print-directory mutants APP="$$targets" ARGS="--sample 15" & jobs="$$jobs $$!"; \
	done; for job in $$jobs; do wait $$job || failed=1; done; exit $${failed:-0}

format: setup-dev ## Format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

lint: setup-dev ## Format and rules of the code (ruff)
	@$(BIN)/ruff format --check . && $(BIN)/ruff check .

types: setup-dev ## Types (mypy)
	@$(NOWHERE) $(BIN)/mypy

boundaries: setup-dev ## Which module may import which (import-linter)
	@$(BIN)/lint-imports --no-cache --no-logo

docs: setup-dev ## Whether what is drawn from the code is current
	@$(BIN)/python -m landcontracts.blueprint --check
	@$(BIN)/python -m landcontracts.wire --check
	@$(NOWHERE) $(BIN)/python manage.py gateway render kong --check
	@$(NOWHERE) $(BIN)/python manage.py gateway render envoy --check
	@$(BIN)/python -m landcontracts.monitoring dashboards --check

pacts: setup-dev ## Write down anew what services ask of each other (tests/pacts)
	@ARGON2_TIME_COST=1 ARGON2_MEMORY_KIB=64 QUIET=1 $(BIN)/python -m landcontracts.embedded exec --name pacts -- $(BIN)/python -m tests.pacts

blueprint: setup-dev ## Draw docs/architecture.md from the code
	@$(BIN)/python -m landcontracts.blueprint

wire: setup-dev ## Write docs/wire, what each service says on the wire, from its interface
	@$(BIN)/python -m landcontracts.wire --write

dashboards: setup-dev ## Write migrations_playbook/grafana from landcontracts/monitoring
	@$(BIN)/python -m landcontracts.monitoring dashboards

messages: setup-dev ## Collect and compile the translations (needs Debian's gettext)
	@$(NOWHERE) $(BIN)/python manage.py makemessages -l ru -l en --no-location --no-obsolete -i .venv -i build -i var -i tests
	@$(NOWHERE) $(BIN)/python manage.py compilemessages -i .venv -i var

lock: $(UV) ## Renew the locked requirements
	@$(UV) pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header requirements/base.in -o requirements.txt
	@$(UV) pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header -c requirements.txt requirements/stack.in -o requirements/stack.txt
	@$(UV) pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-header -c requirements.txt -c requirements/stack.txt requirements/dev.in -o requirements/dev.txt

clean: ## Remove what was built, installed and stored here
	@rm -rf .venv .tools build var

$(UV): requirements/uv.txt
	@echo "Installing uv"
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is %d.%d" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $(UV)

.venv/bin/python: | $(UV)
	@$(UV) venv --quiet --python $(PYTHON) .venv

setup: .venv/.stack
setup-dev: .venv/.dev

.venv/.stack: requirements.txt requirements/stack.txt | .venv/bin/python
	@echo "Installing packages"
	$(call install,-r requirements.txt -r requirements/stack.txt)
	@touch .venv/.stack

.venv/.dev: requirements.txt requirements/stack.txt requirements/dev.txt | .venv/bin/python
	@echo "Installing packages for development"
	$(call install,-r requirements.txt -r requirements/stack.txt -r requirements/dev.txt)
	@touch .venv/.dev .venv/.stack
