# The door: make demo | docs | reproduce | test | test-fast | test-core | mutants | check | audit | format | aten-tables | settings | dist | env. Each builds .venv first if needed.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
CORE := .venv-core
CORE_STAMP := $(CORE)/.installed
FAST := -m "not slow and not gpu and not slurm and not browser"
WORKERS ?= 2
PYTEST := -m pytest -n $(WORKERS) --dist worksteal
SDIST := dist/unpacked
MINUTES ?= 8
SAMPLE ?= 400
SEED ?= 0
CAMPAIGN ?= results/campaign

.PHONY: env demo reproduce test test-fast test-core mutants check audit format aten-tables settings dist

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt uv
	$(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt -e '.[dev]'
	touch $@

demo: env
	$(BIN)/isoflop sweep sweep=digits
	$(BIN)/isoflop report results/digits

# The curve of this machine's GPU, in about so many minutes and then the pages: docs/campaign.md.
reproduce: env
	$(BIN)/python scripts/campaign.py --minutes $(MINUTES) --out $(CAMPAIGN)
	$(BIN)/python scripts/campaign.py --report $(CAMPAIGN)

# Every test. What needs a GPU, root or Chromium is skipped where it is missing, with the reason.
test: env
	$(BIN)/python $(PYTEST)

# What to run after every change.
test-fast: env
	$(BIN)/python $(PYTEST) $(FAST)

# What `pip install isoflop` gives, where only the core dependencies are installed: the fast tests of what can differ there.
# That is what imports (every module, every verb), reads and writes files, groups rows of text (pandas has no pyarrow there),
# draws, or says that a package is missing. Left out are the numbers: laws, resampling, forecasts and the paper's simulations
# run on numpy and scipy, which are the same, pinned versions in both environments; `make test` has them. So are the groups
# of conf and the ids (Hydra), of which test_config of the command and test_catalog compose enough. For the same reason
# left out are the tests that are long because they fit; test_queries, test_compare, test_fit of the command and test_fit of
# the API (sweeps, files, data frames) go through those fits here.
NUMBERS := $(foreach name,compare forecast isoflop joint language misfit,--ignore tests/curve/$(name)) \
  --ignore-glob 'tests/curve/test_*.py' --ignore tests/plan --ignore tests/paper \
  $(foreach name,same_answer same_verdict tables work_bar,--ignore tests/cli/test_$(name).py) \
  $(foreach name,forecast same_as_command,--ignore tests/api/test_$(name).py) \
  --ignore tests/config/test_schema.py --ignore tests/config/test_identity.py --ignore tests/report/figures/test_paper.py

test-core: $(CORE_STAMP)
	$(CORE)/bin/python $(PYTEST) $(FAST) $(NUMBERS)

$(CORE_STAMP): pyproject.toml constraints.txt
	test -x $(CORE)/bin/python || $(PYTHON) -m venv $(CORE)
	$(CORE)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt uv
	$(CORE)/bin/uv pip install -q --python $(CORE)/bin/python -c constraints.txt -e . pytest pytest-xdist hypothesis
	touch $@

# A seeded sample of mutants of the source, each tried by the tests that run it: what share do they notice? It goes on
# where it was cut off; survivors are listed. MUTANTS: further options, such as --only curve/frontier.py or --again.
mutants: env
	PYTHONPATH=scripts nice -n 19 $(BIN)/python -W ignore -m mutants --sample $(SAMPLE) --seed $(SEED) $(MUTANTS)

check: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The documentation site: build/site/index.html, or python3 -m http.server -d build/site, which its search needs.
.PHONY: docs
docs: env
	$(BIN)/python scripts/docs_site.py
	$(BIN)/zensical build --clean --strict

# Known holes in the pinned versions, where a package index answers.
audit: env
	$(BIN)/python scripts/audit.py

format: env
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Which aten operations of the pinned and of the oldest supported torch are counted, free or refused: docs/flops.md.
aten-tables: env
	$(BIN)/python scripts/aten_tables.py
	PYTHONPATH=src $(BIN)/uv run -q --no-project --isolated --with 'torch==2.11.*' --with numpy python scripts/aten_tables.py

# docs/settings.md, from the dataclasses of the configuration and the files of conf.
settings: env
	$(BIN)/python scripts/settings_page.py

# An sdist, and a wheel built from it; then the fast tests of the unpacked sdist against the installed wheel.
dist: env
	rm -rf dist
	$(BIN)/uv build -q --python $(BIN)/python --build-constraints constraints.txt
	$(BIN)/twine check --strict dist/*.whl dist/*.tar.gz
	mkdir $(SDIST)
	tar xzf dist/*.tar.gz -C $(SDIST) --strip-components 1
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --target $(SDIST)/site dist/*.whl
	cd $(SDIST) && PYTHONPATH=$(CURDIR)/$(SDIST)/site $(abspath $(BIN))/python $(PYTEST) $(FAST)
	rm -rf $(SDIST)
