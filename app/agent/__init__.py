"""The agent: loop, prompt, tools, permissions, sessions. No Textual."""
