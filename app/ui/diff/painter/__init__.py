"""The rows of a review as strips, drawn from the model and a theme: no running application is needed."""
