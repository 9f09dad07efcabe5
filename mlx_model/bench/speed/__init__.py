"""How fast the engine is here, and where its time goes."""
