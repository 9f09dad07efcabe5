"""What an engine does without because memory ran short, in words for the user."""

from app.model.wire.client import Health


def given_up(health: Health) -> str:
    """Sentences on what was given back since the engine started, "" where nothing is missed."""
    said = []
    if "snapshots" in health.given_back:
        said.append("What it had read before was dropped from memory, and is read from disk when it is needed.")
    if "experts" in health.given_back:
        fewer = (
            "fewer experts" if health.expert_slots is None else f"{health.expert_slots:,} experts of each layer"
        )
        said.append(
            f"It keeps {fewer} in memory now and reads the others from disk, which is slower, until memory has "
            "been free for some minutes."
        )
    return " ".join(["The machine ran short of memory, so the engine gave some back.", *said]) if said else ""
