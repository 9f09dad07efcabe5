"""Opening the engine that a choice of model calls for."""

from app.model.catalogue.catalogue import LocalModel, ModelChoice, ServedModel
from app.model.engine.adapters import adapter_name
from app.model.engine.local import LocalEngine
from app.model.engine.remote import RemoteEngine, absent_engine, refused_engine
from app.model.port import EnginePort
from app.model.wire.client import ReplyOptions
from app.settings.settings import Settings


def open_engine(choice: ModelChoice, settings: Settings) -> EnginePort:
    """The engine for `choice`; nothing is started or connected before its `start` or first request. Raises
    BadAdapter."""
    if isinstance(choice, LocalModel):
        options = _options(settings, adapter_name(settings.adapter))
        return LocalEngine(choice, idle_seconds=settings.engine_idle_minutes * 60, options=options)
    if not isinstance(choice, ServedModel):
        return absent_engine(choice)
    if settings.offline:
        return refused_engine(choice)
    options = _options(settings, settings.adapter)
    return RemoteEngine(choice, api_key=settings.api_key or None, options=options)


def _options(settings: Settings, adapter: str) -> ReplyOptions:
    return ReplyOptions(
        draft=settings.draft,
        adapter=adapter,
        exact_edits=settings.exact_edits,
        effort=settings.reasoning_effort,
        budget=settings.reasoning_budget,
    )
