"""What a terminal shows of the workspace before the workspace can draw: nothing here may import Textual."""
