"""The run of one command, and its layer. Everything here blocks."""

from __future__ import annotations

import time

from sequential_adaptor.runners.container import errors, folders
from sequential_adaptor.runners.container.isolation import Place
from sequential_adaptor.runners.container.jobs import Job
from sequential_adaptor.runners.container.layer import Executed, Layer
from sequential_adaptor.runners.container.settings import Settings
from sequential_adaptor.runners.container.store import Capture, LayerRecord, WorkDirectory
from sequential_adaptor.runners.container.supervising import Line, OnLine, Output, Report, Stop, supervise
from sequential_adaptor.runners.container.workplace import Workplace, hash_of, now_as_text
from sequential_adaptor.values import JSON


class Performance:
    """Performs jobs in a workplace. ``stop`` ends what is under way; ``on_line`` is called in this thread."""

    def __init__(self, workplace: Workplace, stop: Stop, on_line: OnLine | None = None) -> None:
        self._workplace = workplace
        self._settings = workplace.settings
        self._stop = stop
        self._on_line = on_line

    def run(self, work: WorkDirectory, job: Job) -> Layer:
        """The layer of a job on the head: the one that is there, or a new one. The work directory is clean."""
        parent = hash_of(work.head)
        key = job.key(self._settings, parent)
        found = self._workplace.store.find(key) if job.cache else None
        if found is not None and found.parent == parent:
            work.checkout(found.hash)
            layer = Layer.of(found, cached=True)
            self._replay(layer)
            return layer
        return self._run_anew(work, job, key)

    def execute(self, work: WorkDirectory, job: Job) -> Executed:
        """Run a job, and undo what it changed."""
        place = self._begun(work, job)
        try:
            return self._executed(work, job, place)
        finally:
            self._undo(work, job)
            self._workplace.tidy(place)

    def _run_anew(self, work: WorkDirectory, job: Job, key: str) -> Layer:
        place = self._begun(work, job)
        try:
            done = self._executed(work, job, place)
            if done.exit_code != 0:
                raise errors.CommandFailed(job.command, done.exit_code, done.stdout, done.stderr)
            layer = self._published(work, job, key, place, done)
        except BaseException as error:
            self._end_failed(work, job, place, error)
            raise
        self._workplace.tidy(place)
        return layer

    def _published(self, work: WorkDirectory, job: Job, key: str, place: Place, done: Executed) -> Layer:
        capture = self._captured(work, job, place)
        own = {**_story(job, self._settings), **done.as_json(), "changed": capture.changes.as_json()}
        record: LayerRecord = work.publish(key, capture, own)
        return Layer.of(record, **own)

    def _captured(self, work: WorkDirectory, job: Job, place: Place) -> Capture:
        isolation = self._settings.isolation
        if isolation.changes_in_overlay:
            upper = isolation.upper(place)
            folders.leave_out(upper, work.path, job.ignore)
            return work.capture_overlay(upper)
        return work.capture(job.ignore)

    # ---- one process

    def _begun(self, work: WorkDirectory, job: Job) -> Place:
        """Where it runs. From now on, whoever comes after a kill undoes what the command has done."""
        place = self._workplace.place()
        if not self._settings.isolation.changes_in_overlay:
            work.begin(job.ignore)
        return place

    def _executed(self, work: WorkDirectory, job: Job, place: Place) -> Executed:
        secrets = job.environment.secrets.values()
        limit = self._settings.output_limit
        out, err = (Output(stream, secrets, limit, self._on_line) for stream in ("stdout", "stderr"))
        variables = job.environment.variables(place.home, place.work)
        order = self._settings.isolation.order([*job.shell, job.command], variables, place, job.reads)
        began = time.monotonic()
        report = supervise(order, out, err, timeout=job.timeout, stop=self._stop, held=(work.lock,))
        seconds = round(time.monotonic() - began, 3)
        if report.exit_code is None or report.survivors:
            raise _failure(job, report, out.text, err.text, stopped=self._stop.asked)
        return Executed(report.exit_code, out.text, err.text, seconds)

    def _replay(self, layer: Layer) -> None:
        """What the command printed when it was run: first the one stream, then the other."""
        if self._on_line is not None:
            for text, stream in ((layer.stdout, "stdout"), (layer.stderr, "stderr")):
                for line in text.splitlines():
                    self._on_line(Line(line, "stdout" if stream == "stdout" else "stderr"))

    # ---- undoing

    def _end_failed(self, work: WorkDirectory, job: Job, place: Place, error: BaseException) -> None:
        if self._settings.keep_failed and isinstance(error, errors.CommandFailed):
            overlaid = self._settings.isolation.changes_in_overlay
            error.kept = self._settings.isolation.upper(place) if overlaid else work.path
            work.leave()
            return
        try:
            self._undo(work, job)
        except Exception as second:  # the first error says more; whoever works here next tries again
            error.add_note(f"and the work directory could not be restored yet: {second}")
        self._workplace.tidy(place)

    def _undo(self, work: WorkDirectory, job: Job) -> None:
        if not self._settings.isolation.changes_in_overlay:
            work.restore(job.ignore)


def _story(job: Job, settings: Settings) -> dict[str, JSON]:
    """What the history says of a command; nothing of its secrets."""
    return {
        "kind": "command",
        "command": job.command,
        "input": job.input,
        "environment": dict(job.environment.declared),
        "shell": list(job.shell),
        "isolation": settings.isolation.key,
        "time": now_as_text(),
    }


def _failure(job: Job, report: Report, stdout: str, stderr: str, *, stopped: bool) -> errors.CommandFailed:
    if report.refused is not None:
        part, number = report.refused
        return errors.CommandNotStarted(job.command, None, stdout, stderr, part=part, errno=number)
    if report.timed_out:
        return errors.CommandTimedOut(job.command, None, stdout, stderr, timeout=job.timeout)
    if report.survivors:
        return errors.CommandNotEnded(job.command, report.exit_code, stdout, stderr, survivors=report.survivors)
    kind = errors.CommandStopped if stopped else errors.CommandNotEnded
    return kind(job.command, None, stdout, stderr)
