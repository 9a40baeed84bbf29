# SPDX-License-Identifier: Apache-2.0
"""The soak test: load and disturbances for minutes or hours. Every request has to be answered or explained."""
