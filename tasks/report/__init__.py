"""The report of a run: one page beside its data, rebuilt from the results at any time, read without any sound."""

from tasks.report.write import PAGE, write_report

__all__ = ["PAGE", "write_report"]
