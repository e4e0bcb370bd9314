# Gauntlet. `make` alone says what there is to do.
.POSIX:
.PHONY: help demo up down status setup setup-dev test test-unit check bench lock clean

BIN = .venv/bin

help: ## Say what there is to do
	@printf 'usage: make TARGET\n\n'
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1	\2/p' Makefile | while IFS='	' read -r name text; do printf '  %-10s %s\n' "$$name" "$$text"; done
	@printf '\nPYTHON=/path/to/python chooses the Python (3.11 to 3.13); .env.example lists the settings.\n'

demo: ## Set up, start the stack and watch a model earn Production
	@sh tools/setup.sh run --ports
	@$(BIN)/gauntlet demo

up: ## Set up and start the stack
	@sh tools/setup.sh run --ports
	@$(BIN)/gauntlet up

down: ## Stop the stack; its data stays
	@if [ -x $(BIN)/gauntlet ]; then $(BIN)/gauntlet down; else echo 'nothing runs: nothing is set up'; fi

status: ## Say who is healthy, who is champion, and how to log in
	@if [ -x $(BIN)/gauntlet ]; then $(BIN)/gauntlet status; else echo 'nothing runs: nothing is set up'; fi

setup: ## Only set up: .venv from the lock
	@sh tools/setup.sh run

setup-dev: ## Only set up, with what the tests and checks need
	@sh tools/setup.sh dev

test: ## Run every test that needs no Docker
	@sh tools/setup.sh dev
	@$(BIN)/pytest

test-unit: ## Run the tests that start no stack
	@sh tools/setup.sh dev
	@$(BIN)/pytest --ignore=tests/embedded

check: ## Check style, types and who imports whom
	@sh tools/setup.sh dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: ## Measure the router, the pipeline and the start
	@sh tools/setup.sh dev
	@$(BIN)/python -m benchmarks

lock: ## Write requirements.txt and requirements-dev.txt anew from pyproject.toml
	@sh tools/lock.sh

clean: ## Stop the stack; remove .venv and all state
	@sh tools/clean.sh
