"""Metal kernels of our own, where MLX's would be many launches."""
