"""Pure review: change log, hunks, word diff, patch surgery, staging. No Textual, no agent."""
