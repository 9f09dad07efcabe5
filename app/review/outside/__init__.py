"""Review of what programs outside of Tidegate change, an agent that runs elsewhere among them."""
