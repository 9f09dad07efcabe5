"""An agent, the model that answers it, and the Hub."""
