# make learn           set up, then open the course in JupyterLab      make learn lang=zh   in Chinese · 中文
# make setup           the set-up alone: .venv with the `tilewise` command in .venv/bin
# make check           what takes seconds: format, lint, types, generated files in step, changed chapters
# make test            set up, then every test
# make bench           speed, memory and import of the library against their bars      ARGS="--only memory"   a part
# make gpu-check       on a machine with a GPU: every case of the library against float64, and compute-sanitizer
# make gpu-bench       there too: times against PyTorch's flash attention      ARGS=--sweep   and of other tiles
#
# PYTHON=python3.12                                       choose the interpreter (3.11 to 3.13)
# TORCH_INDEX=https://download.pytorch.org/whl/cpu        a smaller PyTorch, without CUDA
# JOBS=4                                                  test processes (2)      BASE=main   what "changed" is against
# GPU_PYTHON=python3                                      what has PyTorch for the GPU (.venv/bin/python)

lang ?= en
JOBS ?= 2
BASE ?= HEAD
BIN := .venv/bin
GPU_PYTHON ?= $(BIN)/python

.PHONY: learn setup check test bench gpu-check gpu-bench

learn: setup
	@$(BIN)/tilewise learn --lang $(lang)

setup: .venv/tilewise-is-set-up

.venv/tilewise-is-set-up: pyproject.toml constraints.txt hatch_build.py scripts/setup.sh scripts/debian.sh
	@bash scripts/setup.sh

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/tilewise build --check
	@changed="$$(bash scripts/changed_chapters.sh $(BASE))"; \
	if [ -n "$$changed" ]; then $(BIN)/tilewise verify $$changed; else echo "No chapter differs from $(BASE)."; fi

# The browser tests measure seconds: they run by themselves.
test: setup
	@bash scripts/debian.sh chromium fonts-noto-cjk
	$(BIN)/pytest -n $(JOBS) -m "not browser"
	$(BIN)/pytest -m browser

bench: setup
	$(BIN)/python -m benchmarks.library $(ARGS)

gpu-check:
	PYTHONPATH=src:. $(GPU_PYTHON) -m scripts.gpu_check --jobs $(JOBS)

gpu-bench:
	PYTHONPATH=src:. $(GPU_PYTHON) -m benchmarks.gpu $(ARGS)
