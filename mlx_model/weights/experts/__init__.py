"""Routed experts on disk and in memory: where each lies, which are loaded, how often each is used."""
