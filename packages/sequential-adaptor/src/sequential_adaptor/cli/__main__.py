"""``python -m sequential_adaptor.cli``, where the script ``sequential`` is not on the path."""

from sequential_adaptor.cli.main import main

main()
