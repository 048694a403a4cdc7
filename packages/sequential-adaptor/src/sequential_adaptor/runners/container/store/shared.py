"""What the parts of an open store have in common."""

from __future__ import annotations

from pathlib import Path

from sequential_adaptor.errors import ConfigurationError
from sequential_adaptor.runners.container.store.catalogue import Catalogue
from sequential_adaptor.runners.container.store.database import Database
from sequential_adaptor.runners.container.store.locks import exclusive
from sequential_adaptor.runners.container.store.objects import Objects
from sequential_adaptor.runners.container.store.places import Places
from sequential_adaptor.runners.container.store.trees import Trees


class Shared:
    """The files of one open store."""

    def __init__(self, state: Path) -> None:
        self.places = Places(state)
        try:
            self.places.make()
        except OSError as error:
            raise ConfigurationError(f"{state} cannot be the state folder: {error.strerror}") from error
        with exclusive(self.places.making):
            self.database = Database(self.places.database)
        self.objects = Objects(self.places, self.database)
        self.trees = Trees(self.objects)
        self.catalogue = Catalogue(self.database)

    def close(self) -> None:
        """Close them."""
        self.objects.close()
        self.database.close()
