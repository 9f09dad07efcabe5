"""The shape of a model: config.json, read and checked once."""
