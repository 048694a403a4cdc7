"""The template backend: records in the memory of one process, shared by every adapter that names the same store."""

from sequential_adaptor.backends.template.adapter import TemplateAdapter

__all__ = ["TemplateAdapter"]
