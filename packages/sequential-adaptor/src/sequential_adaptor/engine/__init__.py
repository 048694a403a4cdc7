"""The engine: how tasks move from call to call, whoever works on them."""

from sequential_adaptor.engine.engine import Engine
from sequential_adaptor.engine.executor import TaskExecutor
from sequential_adaptor.engine.handle import RunHandle
from sequential_adaptor.engine.processor import StackProcessor
from sequential_adaptor.engine.retention.policy import Retention
from sequential_adaptor.engine.worker import Worker

__all__ = ["Engine", "Retention", "RunHandle", "StackProcessor", "TaskExecutor", "Worker"]
