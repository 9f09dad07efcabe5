"""The agent for editors: the Agent Client Protocol over standard streams. Optional, as its SDK is."""
