# make demo        the main job on the model and data of this repository
# make test        builds everything; runs the C++ and the Python tests
# make test-quick  Python tests that take seconds: no training, browser or real model; under a minute
# make lint        style, types, layers
# make format      puts the sources into the style that lint asks for
# make bench       speed: the kernels one by one, then whole models against ONNX Runtime
# make clean       removes everything that make made
#
# Needs Python 3.11 or newer with pip, a C++17 compiler and make; all else comes from pip, at the versions
# of tools/constraints.txt.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CXX_SOURCES := $(shell find runtime custom_ops -name '*.cc' -o -name '*.h' -o -name '*.inc')
BUILD_INPUTS := pyproject.toml CMakeLists.txt $(CXX_SOURCES) \
  $(wildcard runtime/CMakeLists.txt runtime/*.cmake custom_ops/CMakeLists.txt custom_ops/*.cmake)

export PIP_CONSTRAINT := tools/constraints.txt
export PIP_BUILD_CONSTRAINT := tools/constraints.txt
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
export PATH := $(CURDIR)/$(BIN):$(PATH)

# The package with what the demo needs, or with the developers' tools if they are there already.
INSTALLED := $(VENV)/$(if $(wildcard $(VENV)/installed-dev),installed-dev,installed-demo)

.PHONY: demo test test-cpp test-quick lint format bench clean
.DELETE_ON_ERROR:

DEMO := tools/demo/assets
demo: $(INSTALLED)
	@mkdir -p runs
	$(BIN)/alcs-onnx optimize $(DEMO)/fashion_resnet8.onnx --budget 50% \
	  --data $(DEMO)/fashion_subset.npz --preprocess mean=0.286,std=0.353 --augment flip,crop=2 \
	  --admm-epochs 3 --finetune-epochs 12 --lr 0.005 --finetune-lr 0.002 \
	  --distill 1 --temperature 4 -o runs/demo.onnx

test: test-cpp
	$(BIN)/python -m pytest

test-cpp: $(VENV)/installed-dev
	cmake --preset dev
	cmake --build --preset dev
	ctest --preset dev

# By folder, less the files that train, open a browser, make a huge model or try very many networks.
T := tests/python
QUICK := $(wildcard $T/test_*.py) $T/cli/test_choices.py $T/cli/test_help.py \
  $(addprefix $T/coupling/test_,$(addsuffix .py,corners elementwise layers movement products spatial)) \
  $T/graph $T/pipeline/common $T/pipeline/inspect \
  $T/report/html/test_page.py $T/rewrite $T/solve $T/structures
NOT_QUICK := $T/graph/test_linear_as_conv.py $T/pipeline/inspect/test_facts.py

test-quick: $(VENV)/installed-dev
	$(BIN)/python -m pytest -q -n 2 -m 'not real_models' $(addprefix --ignore=,$(NOT_QUICK)) $(QUICK)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	git ls-files '*.cc' '*.h' '*.inc' | xargs $(BIN)/clang-format --dry-run -Werror

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .
	git ls-files '*.cc' '*.h' '*.inc' | xargs $(BIN)/clang-format -i

# Short settings. The programs have flags for more: tools/bench/README.md.
BENCH_OUT := build/bench
bench: $(VENV)/installed-dev
	tools/bench/install_benchmark.sh
	cmake --preset bench
	cmake --build --preset bench
	$(BENCH_OUT)/runtime/bench/bench_conv --benchmark_min_time=0.02 \
	  --benchmark_out=$(BENCH_OUT)/kernels.json --benchmark_out_format=json
	$(BIN)/python tools/bench/models.py resnet18 resnet50 mobilenet_v1 \
	  --density 1 0.5 0.25 --group-size 4 8 --iterations 20 -o $(BENCH_OUT)/models.json

clean:
	rm -rf build dist $(VENV) alcs_onnx/lib

$(VENV)/installed-demo: $(BUILD_INPUTS) | $(VENV)/created
	$(BIN)/python -m pip install --editable '.[train]'
	@touch $@

$(VENV)/installed-dev: $(BUILD_INPUTS) | $(VENV)/created
	$(BIN)/python -m pip install --editable '.[train,dev]'
	@touch $@

# A python3 without ensurepip cannot put pip into the environment; its own pip then does.
$(VENV)/created: tools/constraints.txt
	rm -rf $(VENV)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "make: $(PYTHON) is older than 3.11; name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 \
	  || { $(PYTHON) -m venv --clear --without-pip $(VENV) \
	       && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; } \
	  || { echo "make: $(PYTHON) can make no virtual environment: it needs its venv module, and" \
	            "ensurepip or pip (on Debian: python3-venv, or python3-pip)" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@
