# Every target makes .venv by itself and installs what it needs, at the versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := .[all,dev]

.PHONY: install demo test lint bench bench-peer bench-generalise clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e "$(PACKAGES)"
	touch $@

demo: install
	$(BIN)/sightline demo --folder demo

# Three processes on two cores, for many tests wait for servers; what measures speed runs alone afterwards.
test: install
	tests/install-system-parts.sh
	$(BIN)/python -m pytest -n 3 --dist loadfile -m "not benchmark"
	$(BIN)/python -m pytest -m benchmark

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install
	$(BIN)/python benchmarks/spine.py

# Makes .venv-peer with anomalib 2.7.0 and runs both on the same images; not part of CI.
bench-peer: install
	$(BIN)/python benchmarks/peer.py $(ARGS)

# The defaults on the real sets of ../shared/data, parts apart; about ten minutes a seed on two cores.
bench-generalise: install
	$(BIN)/python benchmarks/generalise.py $(ARGS)

clean:
	rm -rf .venv .venv-peer demo build dist
