"""The backward pass: gradients of the adapter, layer by layer and segment by segment."""
