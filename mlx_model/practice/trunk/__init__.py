"""The practice model in PyTorch: its shape, its network and how that is initialized."""
