# Two commands: `make run` opens the workspace, `make test` runs the tests.
# Both make the environment first; nothing but Python 3.11+ and git is assumed.

# Without DIR the workspace opens here, or where no model is found, on the practice range.
DIR   ?=
MODEL ?=
# ORACLE=0 leaves PyTorch out; the tests that compare with transformers on it are then skipped.
ORACLE ?= 1
# BACKEND=cuda takes MLX's CUDA build on Linux.
BACKEND ?= cpu
PYTEST  ?=
# One more than the two cores that are assumed: many tests wait for a program of their own.
WORKERS ?= -n 3 --dist worksteal

# Each backend has an environment of its own: MLX's builds install into the same package directory.
VENV   := .venv$(if $(filter-out cpu,$(BACKEND)),-$(BACKEND))
BIN    := $(VENV)/bin
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3.14 python3 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' 2>/dev/null \
	&& { echo $$p; break; }; done)

# A real project that nobody here wrote, for the journeys in tests/journeys: its sources and its own tests.
PROJECT := .cache/sources/click-8.5.1.tar.gz

RUN_READY  := $(VENV)/.ready-run
TEST_READY := $(VENV)/.ready-test-$(ORACLE)
TEST_EXTRAS := $(BACKEND),dev
ifeq ($(ORACLE),1)
TEST_EXTRAS := $(TEST_EXTRAS),oracle
endif

.PHONY: run test quick slow stress pictures check format clean practice-eval practice-train test-tools

# Through the environment, so that a path may hold spaces and quotes.
export DIR MODEL

run: $(RUN_READY)
	@$(BIN)/tidegate $${MODEL:+--model "$$MODEL"} $${DIR:+-- "$$DIR"}

test: $(TEST_READY) $(PROJECT) test-tools
	@$(BIN)/pytest $(WORKERS) $(PYTEST)

# What breaks most often, in under 90 seconds: the command line, the agent's decisions, diffs and their log, keys
# and screens, the chat and state of the engine. No other process is started but git and the shell.
QUICK := tests/test_*.py tests/app/test_*.py tests/app/settings tests/app/agent/editing tests/app/agent/permission \
	tests/app/agent/tools tests/app/agent/test_turns.py tests/app/review/diff tests/app/review/log/test_decisions.py \
	tests/app/model/wire tests/app/ui/test_actions.py tests/app/ui/screens tests/app/ui/panes/review tests/app/ui/diff \
	tests/mlx_model/chat tests/mlx_model/decode/test_generator.py tests/mlx_model/decode/drafts \
	tests/mlx_model/state/test_prefix_store.py tests/mlx_model/server/test_chat_completions.py
quick: $(TEST_READY)
	@$(BIN)/pytest $(WORKERS) $(QUICK) $(PYTEST)

# The suite three times beside four busy processes: what depends on a quick machine fails here.
stress: $(TEST_READY) $(PROJECT) test-tools
	@for busy in 1 2 3 4; do $(BIN)/python -c 'while True: pass' & pids="$$pids $$!"; done; \
	trap 'kill $$pids' EXIT INT TERM; \
	for round in 1 2 3; do $(BIN)/pytest $(WORKERS) $(PYTEST) || exit 1; done

# The pictures to which the main screens are held, written anew; `git diff` shows what changed.
pictures: $(TEST_READY)
	@WRITE_PICTURES=1 $(BIN)/pytest -n 0 tests/app/ui/screens/test_pictures.py $(PYTEST)

slow: $(TEST_READY) $(PROJECT) test-tools
	@$(BIN)/pytest $(WORKERS) -m slow --hypothesis-profile new $(PYTEST)

# How many of COUNT practice tasks the practice model mends: minutes, not seconds.
COUNT ?= 100
practice-eval: $(RUN_READY)
	@$(BIN)/tidegate bench practice --count $(COUNT)

check: $(TEST_READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mypy tests
	@$(BIN)/lint-imports
	@$(BIN)/codespell
	@$(BIN)/vulture

# The practice model from nothing: transcripts, first weights, training, its own mistakes, more training,
# checkpoint. Stopped, it goes on where it was. TOKENS is in millions; two cores do about 10 an hour when they do
# nothing else, a GPU far more. SESSIONS and SAMPLES are how many transcripts are written: whole ones and short ones.
PRACTICE ?= .cache/practice
TOKENS   ?= 60
SESSIONS ?= 20000
SAMPLES  ?= 60000
practice-train: $(TEST_READY)
	@mkdir -p $(PRACTICE)
	@echo "Writing transcripts…"
	@$(BIN)/python -m app.practice.data_folder $(PRACTICE)/data --train $(SESSIONS) --dense $(SAMPLES) --valid 0
	@[ -e $(PRACTICE)/run/training.pt ] || \
		$(BIN)/python -m mlx_model practice init --run $(PRACTICE)/run --tokenizer assets/practice-model
	@[ -e $(PRACTICE)/data/retry-00.jsonl ] || { \
		$(BIN)/python -m mlx_model practice train --run $(PRACTICE)/run --data $(PRACTICE)/data --decay 0 \
			--tokens $$($(BIN)/python -c 'print(0.6 * $(TOKENS))') && \
		$(BIN)/python -m mlx_model practice attempts --run $(PRACTICE)/run \
			--data $(PRACTICE)/data/train-00.jsonl --out $(PRACTICE)/attempts.jsonl && \
		$(BIN)/python -m app.practice.mistakes $(PRACTICE)/attempts.jsonl --out $(PRACTICE)/data/retry-00.jsonl; }
	@$(BIN)/python -m mlx_model practice train --run $(PRACTICE)/run --data $(PRACTICE)/data --tokens $(TOKENS) \
		--share dense=1 --share train=1 --share retry=0.6
	@rm -rf $(PRACTICE)/model
	@$(BIN)/python -m mlx_model practice export --run $(PRACTICE)/run --out $(PRACTICE)/model

format: $(TEST_READY)
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-cuda .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Without a fitting Python, uv brings one if it is there.
$(BIN)/python:
	@test -n "$(PYTHON)" || ! command -v uv >/dev/null 2>&1 || uv venv --quiet --seed --python 3.13 $(VENV)
	@test -n "$(PYTHON)" || test -x $@ || { \
		case "$$(uname)" in Darwin) get="brew install python@3.13" ;; *) get="apt install python3 python3-venv" ;; esac; \
		echo "Tidegate needs Python 3.11 to 3.14. Get one with \`$$get\`, or install uv, which brings its own, and run make again." >&2; exit 1; }
	@test -x $@ || ! [ "$$(uname) $$(sysctl -n hw.optional.arm64 2>/dev/null)" = "Darwin 1" ] || [ "$$("$(PYTHON)" -c 'import platform; print(platform.machine())')" = arm64 ] || { \
		echo "$(PYTHON) is an Intel Python that runs under Rosetta, and MLX needs one for Apple silicon: brew install python@3.13, then make PYTHON=/opt/homebrew/bin/python3.13 run." >&2; exit 1; }
	@test -x $@ || "$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module is missing: install it (on Debian or Ubuntu: apt install python3-venv) and run make again." >&2; exit 1; }

$(PROJECT): | $(TEST_READY)
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: \
		--dest $(@D) click==8.5.1

# What the tests of the sandbox and of staying offline run on Linux. They are skipped without, and say so.
APT := apt-get -qq -o Acquire::Retries=0 -o Acquire::http::Timeout=15
test-tools:
	@[ "$$(uname)" = Linux ] || exit 0; \
	missing() { for tool in bubblewrap:bwrap strace:strace; do command -v $${tool#*:} >/dev/null 2>&1 || printf ' %s' $${tool%:*}; done; }; \
	[ -n "$$(missing)" ] || exit 0; \
	as=; [ "$$(id -u)" = 0 ] || as="sudo -n"; \
	if command -v apt-get >/dev/null 2>&1; then \
		echo "Installing$$(missing) for the tests…"; \
		{ $$as $(APT) update; $$as env DEBIAN_FRONTEND=noninteractive $(APT) install --yes --no-install-recommends $$(missing); } >/dev/null 2>&1; \
	fi; \
	[ -z "$$(missing)" ] || echo "SKIPPING TESTS: not here and not to be installed:$$(missing) (install them to run all tests)" >&2

$(RUN_READY): pyproject.toml | $(BIN)/python
	@echo "Setting up the environment in $(VENV) (once)…"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(BACKEND)]'
	@touch $@

$(TEST_READY): pyproject.toml | $(BIN)/python
	@echo "Setting up the test environment in $(VENV) (once)…"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(TEST_EXTRAS)]'
	@touch $@
