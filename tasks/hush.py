"""Libraries that log secrets where somebody turns on debugging."""

import logging
import pkgutil
from types import ModuleType


class _FromInfoOn(logging.Filter):
    """Below INFO they log access keys, session tokens and passwords in addresses, whoever turns that on."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.INFO


def hush(package: ModuleType) -> None:
    """A filter for each logger of a package, also of modules to come: a logger's filters do not see its children's."""
    name, hushed = package.__name__, _FromInfoOn()
    modules = (module.name for module in pkgutil.iter_modules(package.__path__, f"{name}."))
    known = (known for known in list(logging.root.manager.loggerDict) if known.startswith(f"{name}."))
    for logger in map(logging.getLogger, {name, *modules, *known}):
        logger.addFilter(hushed)
    logging.getLogger(name).setLevel(max(logging.INFO, logging.getLogger(name).level))  # saves the words
