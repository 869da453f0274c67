"""The report of a run: one page beside its data, rebuilt from the results at any time, read without any sound."""

from tasks.report.write import PAGE, is_training, write_report

__all__ = ["PAGE", "is_training", "write_report"]
