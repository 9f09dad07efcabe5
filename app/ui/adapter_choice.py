"""The slash command /adapter: what our engine computes replies under, and the review's adapter put aside."""

import asyncio
from collections.abc import Callable

from app.errors import TidegateError
from app.model.port import EnginePort
from app.settings.settings import remember

NONE = "none"
"""The model without any adapter."""


async def tell_news(engine: EnginePort, tell: Callable[..., None], key: str) -> None:
    """Say once that training from the review made the adapter in use, and which `key` puts it aside."""
    from app.tuning.trial import take_news  # noqa: PLC0415  the first frame does not wait for it

    try:
        news = await asyncio.to_thread(take_news, engine.adapter)
    except TidegateError as error:
        tell(str(error), is_error=True)
        return
    if news:
        what = f"Replies are computed under {engine.adapter}, made of your review."
        tell(f"{what} {news} The key {key} puts it aside.")


async def choose_adapter(words: str, engine: EnginePort, tell: Callable[[str], None]) -> str:
    """Do what /adapter `words` asks for; what is wrong with it as a sentence, "" if nothing. Raises
    TidegateError."""
    if words == "aside":
        from app.tuning.trial import put_aside  # noqa: PLC0415  few have one to put aside

        name, before = await asyncio.to_thread(put_aside)
        engine.adapter = before
        instead = f"under {before}" if before not in ("", NONE) else "by the model alone"
        tell(f"{name} is put aside; its files stay. Replies are computed {instead} again.")
        return ""
    known = {one.name: one for one in await engine.adapters()}
    if words and words not in (NONE, *known):
        return f"There is no adapter {words!r}; there are: {', '.join(known) or NONE}."
    if words:
        engine.adapter = words
        await asyncio.to_thread(remember, "adapter", words)
        how = "by the model alone" if words == NONE else f"under {words}"
        tell(f"Replies are computed {how} from now on. What was read otherwise is read anew.")
    else:
        default = next((one.name for one in known.values() if one.is_default), NONE)
        on = engine.adapter or default
        rows = [f"{'●' if name == on else '○'} {name}" for name in (NONE, *known)]
        tell("\n".join(["The model's adapters:", *rows]))
    return ""
