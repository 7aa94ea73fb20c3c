# make try and make test are the two commands of the README; both create .venv when it is missing.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: try test lint types check bench clean

try: $(STAMP)
	$(BIN)/gardenerctl try

# Two to four files at once, as tests/conftest.py orders and counts them; plain pytest takes one after
# the other.
test: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/basedpyright

check: test lint types

bench: $(STAMP)
	$(BIN)/python -m bench

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $(STAMP)

clean:
	rm -rf .venv build *.egg-info
