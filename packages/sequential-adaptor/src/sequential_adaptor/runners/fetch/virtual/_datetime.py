"""``datetime``: classes whose ``now`` and ``today`` are the task's clock. They make ordinary dates and times."""

from __future__ import annotations

import datetime as real
from typing import Any

from sequential_adaptor.runners.fetch.virtual._frames import frame


def replacements() -> dict[str, Any]:
    """``datetime`` and ``date``."""
    return {"datetime": _Datetime, "date": _Date}


class _SameAsReal(type):
    """Instances and subclasses of the real class count as the stand-in's; classes that tasks derive are ordinary."""

    def __instancecheck__(cls, instance: object) -> bool:
        found = _original(cls)
        return type.__instancecheck__(cls, instance) if found is cls else isinstance(instance, found)

    def __subclasscheck__(cls, subclass: type) -> bool:
        found = _original(cls)
        return type.__subclasscheck__(cls, subclass) if found is cls else issubclass(subclass, found)


class _Date(real.date, metaclass=_SameAsReal):
    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return real.date.__new__(_original(cls), *args, **kwargs)

    @classmethod
    def today(cls) -> Any:
        found = frame()
        moment = real.datetime.now().astimezone() if found is None else found.clock.now.astimezone()
        today = moment.date()
        return today if cls is _Date else cls(today.year, today.month, today.day)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return handler(real.date)


class _Datetime(real.datetime, metaclass=_SameAsReal):
    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return real.datetime.__new__(_original(cls), *args, **kwargs)

    @classmethod
    def now(cls, tz: real.tzinfo | None = None) -> Any:
        found = frame()
        if found is None:
            return _as(cls, real.datetime.now(tz))
        moment = found.clock.now.astimezone(tz)
        return _as(cls, moment if tz is not None else moment.replace(tzinfo=None))

    @classmethod
    def today(cls) -> Any:
        return cls.now()

    @classmethod
    def utcnow(cls) -> Any:
        return cls.now(real.UTC).replace(tzinfo=None)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return handler(real.datetime)


def _original(cls: type) -> Any:
    """The real class for a stand-in; a class that a task derives from one is itself."""
    if cls is _Datetime:
        return real.datetime
    return real.date if cls is _Date else cls


def _as(cls: type, moment: real.datetime) -> Any:
    if cls is _Datetime:
        return moment
    time = (moment.hour, moment.minute, moment.second, moment.microsecond)
    return cls(moment.year, moment.month, moment.day, *time, moment.tzinfo, fold=moment.fold)
