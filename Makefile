# Everything runs in one virtual environment that is made on first use. `make help` lists what there is.
PYTHON ?= python3
VENV ?= .venv
DEMO ?=
TORCH_INDEX ?=
TEST ?=
JOBS ?= 2
PYTHONS ?=

ENVIRONMENT = $(PYTHON) scripts/environment.py --venv $(VENV) $(if $(TORCH_INDEX),--torch-index $(TORCH_INDEX))
BIN = $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help env ros libero demo test test-slow test-page test-page-slow test-packaging test-pythons test-all lint format clean clean-env

help: ## list these commands
	@echo 'make COMMAND [VENV=.venv] [PYTHON=python3] [TORCH_INDEX=ADDRESS]'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "  %-18s%s\n", $$1, $$2}'

env: ## make the virtual environment
	@$(ENVIRONMENT)

ros: ## the same beside a sourced ROS 2, for a colcon workspace; says what to type next
	@$(ENVIRONMENT) --workspace

libero: ## add the LIBERO simulator to it (0.6 GB to download, 1.5 GB on disk)
	@$(ENVIRONMENT) --libero

demo: ## run the policy on a simulated arm; DEMO='--help' lists its options
	@$(ENVIRONMENT) --rendering
	@$(BIN)/mode_ros demo $(DEMO)

test: env ## run the tests, in two processes; JOBS=0: in one; TEST='-k name' picks some
	@$(BIN)/pytest -n $(JOBS) --dist loadfile -m 'not slow and not packaging and not browser' $(TEST)

test-slow: env ## run the tests marked slow
	@$(BIN)/pytest -m 'slow and not packaging and not browser' $(TEST)

test-page: env ## run the tests of the operator's page in chromium, without a display
	@$(BIN)/pip show --quiet selenium || $(BIN)/pip install --quiet selenium
	@$(BIN)/pytest -m 'browser and not slow' $(TEST)

test-page-slow: env ## run those that train, evaluate and lose nodes, which take minutes
	@$(BIN)/pip show --quiet selenium || $(BIN)/pip install --quiet selenium
	@$(BIN)/pytest -m 'browser and slow' $(TEST)

test-packaging: env ## install mode_ros with pip and colcon, four ways
	@$(BIN)/pytest -m packaging $(TEST)

test-pythons: ## run the tests that need no torch on every Python here; PYTHONS='--help' lists more
	@$(PYTHON) scripts/try_pythons.py $(PYTHONS)

test-all: env ## run every test
	@$(BIN)/pytest $(TEST)

lint: env ## check style and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: env ## put the code in the common style
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

clean: ## remove what builds and tests leave behind; the environment stays
	@rm -rf build dist install log mode_ros.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

clean-env: ## remove the virtual environment
	@rm -rf $(VENV)
