"""Bundles: defining them, selling them, shipping and taking them back, example by example."""

from __future__ import annotations

from tests.hooked import *  # noqa: F403
