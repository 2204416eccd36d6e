# SPDX-License-Identifier: GPL-3.0-or-later
"""The typed model of an environment: what an inventory may say, and what it means."""
