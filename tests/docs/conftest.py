"""Pages run as commands do in their own tests."""

from tests.cli.conftest import few_codes, few_looks, here, mini_run

__all__ = ["few_codes", "few_looks", "here", "mini_run"]
