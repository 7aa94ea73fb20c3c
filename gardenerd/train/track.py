"""Runs told to MLflow, when it is installed and ``track.mlflow`` names where to.

Told and no more: a tracker that fails is left alone, once with its cause in the log, and the run
goes on.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

log = logging.getLogger(__name__)

_EXPERIMENT = "gardener"
_EVERY = 10  # steps; a tracker's own time shall not be seen in the run's


@contextmanager
def tracked(uri: str, run: str) -> Generator[Tracker]:
    """A tracker for one run; it is told how the run ended.

    Args:
        uri: where MLflow keeps runs, a folder or a server; empty: nothing is told to anyone.
        run: its name.
    """
    tracker = Tracker(_started(uri, run) if uri else None)
    try:
        yield tracker
    except BaseException:
        tracker.end("FAILED")
        raise
    tracker.end("FINISHED")


class Tracker:
    """Parameters and metrics of the run under way; without MLflow it does nothing."""

    def __init__(self, mlflow: Any) -> None:
        self._mlflow = mlflow

    def parameters(self, values: Mapping[str, object]) -> None:
        self._tell(lambda mlflow: mlflow.log_params(dict(values)))

    def step(self, number: int, values: Mapping[str, float]) -> None:
        """Every tenth step is told."""
        if number % _EVERY == 0:
            self._tell(lambda mlflow: mlflow.log_metrics(dict(values), step=number))

    def result(self, values: Mapping[str, float]) -> None:
        self._tell(lambda mlflow: mlflow.log_metrics(dict(values)))

    def end(self, status: str) -> None:
        self._tell(lambda mlflow: mlflow.end_run(status=status))

    def _tell(self, what: Callable[[Any], object]) -> None:
        if self._mlflow is None:
            return
        try:
            what(self._mlflow)
        except Exception as error:  # noqa: BLE001 - whatever a tracker does, the run goes on
            _give_up(error)
            self._mlflow = None


def _started(uri: str, run: str) -> Any:
    """MLflow with a run begun, or None if that failed."""
    try:
        mlflow: Any = importlib.import_module("mlflow")
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment(_EXPERIMENT)
        mlflow.start_run(run_name=run)
    except Exception as error:  # noqa: BLE001 - whatever a tracker does, the run goes on
        _give_up(error)
        return None
    return mlflow


def _give_up(error: Exception) -> None:
    cause = f"{type(error).__name__}: {error}"
    log.warning("tracking ends here, the run goes on", extra={"cause": cause})
