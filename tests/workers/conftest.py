"""The pipeline's world, for workers to work in."""

from tests.pipeline.conftest import core, template, world

__all__ = ("core", "template", "world")
