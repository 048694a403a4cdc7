"""The commands that come with the core. Each module has one ``command``, offered by entry point like any plug-in's."""
