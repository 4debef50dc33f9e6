# Each chore of the project, as one command. Nothing needs to be installed first: on Debian and
# Ubuntu, as root or with sudo, these targets bring what they need.

VENV := .venv
BIN  := $(VENV)/bin
# One process for the slowest lab, one for all the rest; a lab is never used by both.
TEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadgroup --no-loadscope-reorder
# The suite's runs that docs/support-matrix.md is made from: name:file.
PROOFS := fake:tests/fake/test_conformance.py \
          fake-processes:tests/fake/test_conformance_of_processes.py \
          kvm:tests/kvm/test_conformance.py \
          ovm:tests/ovm/test_pretended_conformance.py \
          virtualbox:tests/virtualbox/test_chroot_conformance.py \
          xen:tests/xen/test_conformance.py
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: help demo test test-full lint bench proofs docs guest-package host clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo       a real VM that reads its context, with its receipt'
	@echo 'make test       what CI runs, labs included'
	@echo 'make test-full  every fault at every step, and guests on VirtualBox'
	@echo 'make lint       ruff, mypy and the layers'
	@echo 'make bench      against kcli and virsh, on the same libvirt'
	@echo 'make proofs     the suite on every lab, for the support matrix'
	@echo 'make docs       what is generated in docs/'
	@echo 'make guest-package  a .deb and a tarball of the program for guests, in dist/'

demo: $(VENV)/ready
	@$(BIN)/python -m tests.labs.packages kvm
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh docs/demo.sh

test: $(VENV)/ready
	@$(BIN)/python -m tests.labs.packages kvm xen virtualbox judges
	@$(TEST) -m 'not full'

test-full: $(VENV)/ready
	@$(BIN)/python -m tests.labs.packages kvm xen virtualbox judges
	@$(TEST)

lint: $(VENV)/ready
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/ready
	@$(BIN)/python -m tests.labs.packages kvm judges
	@$(BIN)/python -m tests.bench --markdown docs/benchmarks.md

proofs: $(VENV)/ready
	@$(BIN)/python -m tests.labs.packages kvm xen virtualbox judges
	@for each in $(PROOFS); do \
	  $(BIN)/python -m pytest -m '' "$${each#*:}" --ims-report "docs/proofs/$${each%%:*}.json" || exit; \
	done
	@$(MAKE) docs

docs: $(VENV)/ready
	@$(BIN)/python -m docs.generate

guest-package: $(VENV)/ready
	@$(BIN)/python bootparams/packaging/build.py dist

# What must be there before the virtual environment can be made: libvirt-python is compiled.
host:
	@command -v python3 >/dev/null || { $(SUDO) apt-get --quiet update && \
	  $(SUDO) apt-get --quiet install --yes --no-install-recommends python3; }
	@python3 -m tests.labs.packages python

$(VENV)/ready: pyproject.toml | host
	@python3 -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -m pip install --quiet --editable '.[all]' --group dev
	@touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
