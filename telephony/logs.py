"""How the service logs: what happened and where, never a caller's number.

A message of a foreign exception may hold anything, a number included, so of an error nobody
foresaw only its type and its place are logged.
"""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any

import structlog

FRAMES = 8


def set_up(level: int = logging.INFO) -> None:
    """Log to stderr: coloured lines on a terminal, JSON lines elsewhere.

    A short command passes ``logging.CRITICAL``: its own error line says what went wrong.
    """
    terminal = sys.stderr.isatty()
    render = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr)


def unexpected(log: Any, event: str, error: BaseException) -> None:
    """Log an error nobody foresaw: its type and the last steps that led to it."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
    places = [f"{one.filename.rpartition('/')[2]}:{one.lineno} {one.name}" for one in frames]
    log.error(event, error=type(error).__name__, at=places)
