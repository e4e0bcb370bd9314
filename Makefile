# Gauntlet. `make` alone says what there is to do.
.POSIX:
.PHONY: help .env demo demo-compose up down status setup setup-dev test test-unit test-compose test-scale check bench bench-compose bench-peers lock clean

BIN = .venv/bin

help: ## Say what there is to do
	@printf 'usage: make TARGET\n\n'
	@sed -n 's/^\([a-z.-]*\):[^#]*## \(.*\)/\1	\2/p' Makefile | while IFS='	' read -r name text; do printf '  %-13s %s\n' "$$name" "$$text"; done
	@printf '\nPYTHON=/path/to/python chooses the Python (3.11 to 3.13); .env.example lists the settings.\n'

.env: ## Fill .env with fresh secrets for the containers; changes nothing that is set
	@sh tools/env.sh

demo: ## Set up, start the stack and watch a model earn Production
	@sh tools/setup.sh run --ports
	@GAUNTLET_STACK=embedded $(BIN)/gauntlet demo

demo-compose: ## The same on containers: docker compose up, then the four acts
	@sh tools/env.sh
	@sh tools/setup.sh run
	@GAUNTLET_STACK=compose $(BIN)/gauntlet demo

up: ## Set up and start the stack without Docker
	@sh tools/setup.sh run --ports
	@GAUNTLET_STACK=embedded $(BIN)/gauntlet up

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

test-compose: ## Build the images and run the tests of the stack in containers; needs Docker
	@sh tools/setup.sh dev
	@sh tools/test_compose.sh

test-scale: ## Run the tests of the containers with two Airflow workers, and print what they measure
	@sh tools/setup.sh dev
	@$(BIN)/pytest --stack scale tests/scale

test-unit: ## Run the tests that start no stack
	@sh tools/setup.sh dev
	@$(BIN)/pytest --ignore=tests/embedded --ignore=tests/both

check: ## Check style, types and who imports whom
	@sh tools/setup.sh dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: ## Measure the drift check, the router, the promotion rule, the pipeline and the start
	@sh tools/setup.sh dev
	@$(BIN)/python -m benchmarks

bench-compose: ## Measure the stack in containers: start, images, memory
	@sh tools/setup.sh dev
	@$(BIN)/python -m benchmarks.compose

bench-peers: ## Measure the drift check beside evidently, in an environment of its own
	@sh tools/setup.sh dev
	@sh benchmarks/peers/setup.sh
	@$(BIN)/python -m benchmarks.peers

lock: ## Write the lock, requirements*.txt, anew from pyproject.toml
	@sh tools/lock.sh

clean: ## Stop the stack; remove .venv and all state
	@sh tools/clean.sh
