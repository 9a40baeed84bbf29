# SPDX-License-Identifier: Apache-2.0
"""A mix of load and disturbances, for minutes or hours, after which every request is accounted for."""
