# `make` or `make help` lists what can be done. Every target installs what it needs into .venv and .aegis.
SHELL := /bin/bash
VENV := .venv
PYTHON := $(VENV)/bin/python
ANSIBLE := $(VENV)/bin/ansible-playbook
INVENTORY ?= inventories/local
# What `ansible-playbook` gets besides: make up ARGS='--check --diff'
ARGS ?=
export PATH := $(CURDIR)/$(VENV)/bin:$(CURDIR)/.aegis/bin:$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

.DEFAULT_GOAL := help
.PHONY: help setup up down status verify test check bench

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/installed ## Install Python packages and, where it is missing, Go

$(VENV)/installed: pyproject.toml requirements.lock tools/setup.sh
	@tools/setup.sh $(VENV)
	@touch $@

.aegis/bin/devcluster: setup tools/devcluster/go.mod tools/devcluster/go.sum $(shell find tools/devcluster -name '*.go' 2>/dev/null)
	@tools/devcluster/build.sh .aegis/bin

up: .aegis/bin/devcluster ## Build the platform on the embedded cluster (INVENTORY=inventories/<env> for another)
	@$(ANSIBLE) playbooks/site.yml -i $(INVENTORY) $(ARGS)

down: setup ## Remove the embedded cluster with all its data
	@$(ANSIBLE) playbooks/teardown.yml -i $(INVENTORY) $(ARGS)

status: .aegis/bin/devcluster ## Show the embedded cluster's processes, ports and nodes
	@.aegis/bin/devcluster status --state .aegis/local

verify: setup ## Check that the cluster is what the inventory declares
	@$(ANSIBLE) playbooks/verify.yml -i $(INVENTORY) $(ARGS)

test: check ## All tests: check, integration, playbooks end to end, molecule
	@tools/test.sh

check: setup ## Linters, types and unit tests
	@tools/check.sh

bench: .aegis/bin/devcluster ## Measure against kubectl and kubernetes.core on one embedded cluster
	@$(PYTHON) bench/run.py
