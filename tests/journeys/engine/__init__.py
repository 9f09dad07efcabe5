"""The real engine behind the real screen."""
