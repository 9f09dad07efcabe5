"""Adapters of our engine, as a person names them."""

from app.errors import TidegateError
from app.paths import adapters_directory, expanded


class BadAdapter(TidegateError):
    """An adapter cannot be had under its name."""


def adapter_name(named: str) -> str:
    """The name by which our engine knows an adapter. A directory gets a link in the folder where the engine
    looks, so that an engine that runs already finds it too; anything else is a name. Raises BadAdapter."""
    directory = expanded(named)
    if not named or not directory.is_dir() or directory.name == named == str(directory):
        return named
    directory = directory.resolve()
    if not (directory / "adapter_config.json").is_file():
        raise BadAdapter(f"{named} is no adapter (it has no adapter_config.json)", "see tidegate tune")
    link = adapters_directory() / directory.name
    if link.resolve() == directory:
        return directory.name
    if link.is_symlink():
        link.unlink()  # it led to what had this name before
    elif link.exists():
        raise BadAdapter(f"another adapter is called {directory.name}, {link}", "rename one of them")
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(directory)
    except OSError as error:
        raise BadAdapter(f"{link} cannot be made ({error.strerror})") from None
    return directory.name
